"""Routes that only ask: what a call would do, and who changed what."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Body, Path, Query
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool

from control_plane.api import documents
from control_plane.api.caller import Calling
from control_plane.api.context import Creating, Ports
from control_plane.callpath.explain import Behaviour, Circumstances
from control_plane.domain.entities import Key, Slug
from control_plane.ports import ID_MAX, AuditEntry, AuditFilter, EntityKind
from control_plane.service.explaining import Question, explain_call
from control_plane.service.undo import undo

explanations = APIRouter(prefix="/explain", tags=["questions"])
audit = APIRouter(prefix="/audit", tags=["questions"])

Party = Annotated[str, Field(max_length=64, description='"acme/101", or a number outside as E.164.')]


_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]")


def _not_a_count(given: object) -> object:
    """The library also reads "0.5" and 1700000000, as Unix time; the document promises RFC 3339."""
    if not isinstance(given, str) or _DATE.match(given) is None:
        raise ValueError("must be a date and time with its offset, such as 2026-03-02T09:00:00+08:00")
    return given


Moment = Annotated[AwareDatetime, BeforeValidator(_not_a_count)]


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Inside(_Given):
    """A call from a phone of an extension."""

    org: Slug
    key: Key


class Outside(_Given):
    """A call from outside; without a number it is anonymous."""

    number: Annotated[str, Field(max_length=32)] | None = None
    trunk: Slug | None = Field(default=None, description="Where it comes in; null: where `to` belongs.")


class LoggedOut(_Given):
    """A call from a handset at which nobody is logged in (R73)."""

    handset: Annotated[str, Field(max_length=24, description="Its MAC, in any notation.")]


class ExplainIn(_Given):
    """A call that is not made. What is not said to do otherwise is registered, free, and answers."""

    caller: Inside | LoggedOut | Outside
    to: Annotated[str, Field(pattern=r"^\+?[0-9*#]{1,32}$", description="The dialled digits.")]
    behaviour: dict[Party, Behaviour] = {}
    in_call: list[Party] = Field(
        default=[], description="Extensions with a call up.", examples=[["acme/101"]]
    )
    last_used: dict[Party, str] = Field(default={}, description="Extension -> id of the device used last.")
    at: Moment | None = Field(default=None, description="When it is made; null: now.")
    began_with: dict[Party, Key] = Field(
        default={}, description="Call group -> the member that round robin began with last."
    )
    last_call_ended: dict[Party, int] = Field(
        default={}, description="Member of a call group -> when its last call ended, in Unix time."
    )
    logs_in: Key | None = Field(
        default=None, description="Extension typed when a handset nobody is logged in at asks who logs in."
    )
    codes: list[StrictBool] = Field(
        default=[], max_length=3, description="Authorization codes or PINs entered: right or wrong."
    )


class StepOut(BaseModel):
    """One node of the call path passed."""

    node: str
    outcome: str
    why: str


class LegOut(BaseModel):
    """One forwarded leg."""

    path: str
    outcome: str
    trace: list[StepOut]


class ExplanationOut(BaseModel):
    """Where the call ends, why, and what rings on the way."""

    outcome: str
    trace: list[StepOut]
    legs: list[LegOut]
    rings: list[str]
    answered_by: list[str]


class AuditOut(BaseModel):
    """Who changed what, when; secrets are masked."""

    id: int
    revision: int
    at: datetime
    actor: str
    kind: EntityKind
    key: str
    org: str | None = Field(description="Whose it was; null: the operator's.")
    fields: list[str] = Field(
        description="What changed, secrets included.", examples=[["forwarding.enabled"]]
    )
    before: dict[str, object] | None = Field(description="null: it was made.")
    after: dict[str, object] | None = Field(description="null: it was removed.")

    @classmethod
    def of(cls, entry: AuditEntry) -> AuditOut:
        """The entry for JSON."""
        return cls(
            id=entry.id,
            revision=entry.revision,
            at=entry.at,
            actor=entry.actor,
            kind=entry.kind,
            key="/".join(entry.key),
            org=entry.org,
            fields=list(entry.fields),
            before=None if entry.before is None else dict(entry.before),
            after=None if entry.after is None else dict(entry.after),
        )


class AuditPage(BaseModel):
    """Entries, newest first."""

    items: list[AuditOut]
    next: int | None = Field(default=None, description="Give this as `before` for older entries.")


@explanations.post("", response_model=ExplanationOut, responses=documents.ASK)
async def explain(ports: Ports, caller: Calling, body: Annotated[ExplainIn, Body()]) -> dict[str, object]:
    """What this call would do and why, node by node, without making it.

    A tenant asks about calls from and to his own; what others have is to him a number outside.
    """
    circumstances = Circumstances(
        behaviour=body.behaviour,
        in_call=frozenset(body.in_call),
        last_used=body.last_used,
        codes=tuple(body.codes),
        logs_in=body.logs_in or "",
        at=body.at or ports.clock.now(),
        began_with=body.began_with,
        last_call_ended=body.last_call_ended,
    )
    match body.caller:
        case Inside(org=org, key=key):
            question = Question(body.to, org=org, key=key, circumstances=circumstances)
        case LoggedOut(handset=mac):
            question = Question(body.to, mac=mac, circumstances=circumstances)
        case Outside(number=number, trunk=trunk):
            question = Question(body.to, number=number, trunk=trunk, circumstances=circumstances)
    return (await explain_call(ports.store, question, caller)).as_json()


@audit.get("", response_model=AuditPage, responses=documents.LIST)
async def list_audit(
    ports: Ports,
    caller: Calling,
    kind: Annotated[EntityKind | None, Query(description="Only this kind of entity.")] = None,
    key: Annotated[
        str | None, Query(max_length=100, description='Only this entity, such as "acme/100".')
    ] = None,
    actor: Annotated[str | None, Query(max_length=254, description="Only what this one did.")] = None,
    org: Annotated[str | None, Query(max_length=31, description="Only of this organisation.")] = None,
    since: Annotated[Moment | None, Query(description="Only from this moment on.")] = None,
    until: Annotated[Moment | None, Query(description="Only before this moment.")] = None,
    field: Annotated[
        str | None,
        Query(max_length=100, description='Only changes of this field, such as "forwarding".'),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Entries per page.")] = 50,
    before: Annotated[int, Query(ge=0, le=ID_MAX, description="`next` of the page before.")] = 0,
) -> AuditPage:
    """Who changed what, newest first; secrets are masked."""
    if not caller.sees_everything:
        if org not in (None, caller.org):
            return AuditPage(items=[])
        org = caller.org
    wanted = AuditFilter(
        actor=actor,
        org=org,
        since=since,
        until=until,
        field=field,
        kind=kind,
        key=None if key is None else tuple(key.split("/")),
    )
    entries = await ports.store.audit(wanted, limit=limit, before_id=before)
    following = entries[-1].id if len(entries) == limit else None
    return AuditPage(items=[AuditOut.of(entry) for entry in entries], next=following)


class UndoOut(BaseModel):
    """What an undo did, or would do."""

    action: Literal["change", "make", "remove"]
    kind: EntityKind
    key: str
    changes: dict[str, tuple[Any, Any]] = Field(description="Field -> what is now, what it becomes.")
    revision: int | None = Field(description="null: nothing was done (`dry_run`).")


@audit.post("/{entry}/undo", response_model=UndoOut, responses=documents.UNDO)
async def undo_change(
    write: Creating,
    caller: Calling,
    entry: Annotated[int, Path(ge=1, le=ID_MAX)],
    dry_run: Annotated[bool, Query(description="Only say what would be done.")] = False,
) -> dict[str, Any]:
    """Undo one change, as a new change by the rules of any other; refused when it was changed since."""
    done = await undo(write.store, write.by, caller, write.policy, entry, dry_run=dry_run)
    if done.revision is not None:
        await write.removed()
    return {
        "action": done.action,
        "kind": done.entry.kind,
        "key": "/".join(done.entry.key),
        "changes": done.changes,
        "revision": done.revision,
    }
