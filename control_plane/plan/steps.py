"""The order in which changes reach Asterisk: make before break.

Two rules hold after every single step of a plan, so a push may be cut anywhere:
1. What a row refers to exists before the row does: auth and AOR, endpoint, identify, mailbox, lists, the
   extension's own rows, and at last what leads a call there (DID and hint).
2. Nothing is removed while something that is still there refers to it: removals come after all additions,
   in reverse order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum, StrEnum
from operator import attrgetter
from typing import NamedTuple

from control_plane.plan.changes import Change, Drift
from control_plane.plan.wording import reason_for, reload_reason
from control_plane.render.artefacts import ArtefactKey, Holder, Unit, is_secret

DIALPLAN_MODULE = "pbx_config.so"
VOICEMAIL_MODULE = "app_voicemail.so"


class Op(StrEnum):
    """What a step does in Asterisk."""

    PUT = "put"  # DBPut
    DELETE = "delete"  # DBDel
    WRITE_FILE = "write_file"  # UpdateConfig of a whole file
    EDIT_MAILBOX = "edit_mailbox"  # UpdateConfig of one line of a mailbox file
    RELOAD = "reload"
    PUBLISH = "publish"  # a handset's row and files, in one transaction
    WITHDRAW = "withdraw"


class Phase(IntEnum):
    """Steps of one phase may go out together; phases go one after the other."""

    DIALPLAN = 0  # first: rows may be meant for the new plan, while the new plan still reads the old rows
    CREDENTIALS = 1
    ENDPOINTS = 2
    IDENTIFY = 3
    MAILBOXES = 4
    LISTS = 5
    EXTENSIONS = 6
    SWITCHES = 7
    ENTRANCES = 8
    NO_ENTRANCES = 9
    NO_SWITCHES = 10
    NO_EXTENSIONS = 11
    NO_LISTS = 12
    NO_MAILBOXES = 13
    NO_IDENTIFY = 14
    NO_ENDPOINTS = 15
    NO_CREDENTIALS = 16
    PUBLISHED = 17
    NO_PUBLISHED = 18


_FAMILY_PHASES = {
    "pbx/auth": Phase.CREDENTIALS,
    "pbx/aor": Phase.CREDENTIALS,
    "pbx/endpoint": Phase.ENDPOINTS,
    "pbx/identify": Phase.IDENTIFY,
    # A VIP list stands before the forwarding that excepts it, a code before the restriction that asks for it.
    "vip": Phase.LISTS,
    "code": Phase.LISTS,
    "site": Phase.LISTS,
    "emergency": Phase.LISTS,
    "reception": Phase.LISTS,
    # A group rings extensions; a main number stands on both, and its number opens it.
    "group": Phase.SWITCHES,
    "main": Phase.SWITCHES,
    "did": Phase.ENTRANCES,
    "hint": Phase.ENTRANCES,
}

_SWITCH = "/fwd"
"""Turns forwarding on; where to (`fwdto`) and which devices keep ringing (`vipring`) stand before it."""

_REMOVAL_OF = {
    Phase.CREDENTIALS: Phase.NO_CREDENTIALS,
    Phase.ENDPOINTS: Phase.NO_ENDPOINTS,
    Phase.IDENTIFY: Phase.NO_IDENTIFY,
    Phase.MAILBOXES: Phase.NO_MAILBOXES,
    Phase.LISTS: Phase.NO_LISTS,
    Phase.EXTENSIONS: Phase.NO_EXTENSIONS,
    Phase.SWITCHES: Phase.NO_SWITCHES,
    Phase.ENTRANCES: Phase.NO_ENTRANCES,
    Phase.PUBLISHED: Phase.NO_PUBLISHED,
}


class Step(NamedTuple):
    """One thing done in Asterisk and why. `before` and `after` may be secrets: never print them raw."""

    op: Op
    key: ArtefactKey
    before: str | None
    after: str | None
    drift: Drift
    phase: Phase
    unit: Unit | None = None
    module: str | None = None  # of a reload

    def __repr__(self) -> str:
        return f"Step({self.op}, {self.key}, {self.drift}, {self.phase})"

    @property
    def reason(self) -> str:
        """One sentence for a person: what differs, and what the step does about it."""
        if self.module is not None:
            return reload_reason(self.module)
        return reason_for(Change(self.key, self.before, self.after, self.drift), self.unit)

    @property
    def secret(self) -> bool:
        """Whether the values must be masked before a person or a log sees them."""
        return is_secret(self.key)

    @property
    def touches_calls(self) -> bool:
        """Whether calls notice beyond the next one reading a new setting.

        A dialplan reload moves calls that stand in the dialplan into the new plan. A device whose endpoint,
        AOR or auth goes can neither register nor place or take a call; a call it is in goes on. Everything
        else is read when the next call, REGISTER or voicemail login comes.
        """
        match self.op:
            case Op.RELOAD:
                return self.module == DIALPLAN_MODULE
            case Op.DELETE:
                return self.phase in (Phase.NO_CREDENTIALS, Phase.NO_ENDPOINTS, Phase.NO_IDENTIFY)
            case _:
                return False


def order(
    changes: Iterable[Change],
    units: Mapping[ArtefactKey, Unit] | None = None,
    reloads_owed: frozenset[str] = frozenset(),
) -> tuple[Step, ...]:
    """The steps that bring these changes about, in an order that keeps the two rules of this module.

    `units` names what an artefact was rendered from, for the reasons. `reloads_owed` are modules whose files
    were written by a push that was cut before the reload. Reloads of one module merge per phase.
    """
    owners = units or {}
    by_key = sorted(changes, key=attrgetter("key"))
    steps = [_step(change, owners.get(change.key)) for change in by_key]
    steps += sorted(_reloads(steps, reloads_owed), key=attrgetter("key"))
    # A stable sort by number keeps the order by key within a phase, and the reloads at its end.
    return tuple(sorted(steps, key=attrgetter("phase")))


def _step(change: Change, unit: Unit | None) -> Step:
    op, phase = _op_and_phase(change)
    key, before, after, drift = change
    return Step(op, key, before, after, drift, phase, unit)


_UNDOING = {Op.PUT: Op.DELETE, Op.PUBLISH: Op.WITHDRAW}


def _op_and_phase(change: Change) -> tuple[Op, Phase]:
    match change.key.holder:
        case Holder.ROW:
            op, phase = Op.PUT, row_phase(change.key.name)
        case Holder.FILE:
            return Op.WRITE_FILE, Phase.DIALPLAN
        case Holder.MAILBOX:
            op, phase = Op.EDIT_MAILBOX, Phase.MAILBOXES
        case Holder.PUBLISHED:
            op, phase = Op.PUBLISH, Phase.PUBLISHED
    if change.after is not None:
        return op, phase
    return _UNDOING.get(op, op), _REMOVAL_OF[phase]


def row_phase(name: str) -> Phase:
    """The phase in which a row of this name is written."""
    phase = _FAMILY_PHASES.get(family_of(name))
    if phase is not None:
        return phase
    return Phase.SWITCHES if name.endswith(_SWITCH) else Phase.EXTENSIONS


def family_of(name: str) -> str:
    """The owned family of a row: `pbx/auth`, `ext`."""
    first = name.find("/")
    return name[: name.find("/", first + 1)] if name.startswith("pbx/") else name[:first]


def _reloads(steps: Iterable[Step], owed: frozenset[str]) -> list[Step]:
    due: dict[tuple[Phase, str], Step] = {}
    for step in steps:
        module = _module_of(step)
        if module is not None:
            due.setdefault((step.phase, module), _reload(module, step.phase, step.drift))
    for module in owed - {module for _, module in due}:
        phase = Phase.DIALPLAN if module == DIALPLAN_MODULE else Phase.MAILBOXES
        due[phase, module] = _reload(module, phase, Drift.MODEL_MOVED)
    return list(due.values())


def _module_of(step: Step) -> str | None:
    match step.op:
        case Op.WRITE_FILE:
            return DIALPLAN_MODULE
        case Op.EDIT_MAILBOX:
            return VOICEMAIL_MODULE
        case _:
            return None


def _reload(module: str, phase: Phase, drift: Drift) -> Step:
    return Step(
        op=Op.RELOAD,
        key=ArtefactKey(Holder.FILE, module),
        before=None,
        after=None,
        drift=drift,
        phase=phase,
        module=module,
    )
