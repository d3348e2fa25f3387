"""What a call would do and why, asked for by names as they stand in the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from control_plane.callpath.explain import (
    CallerId,
    Circumstances,
    Explanation,
    HandsetCaller,
    InsideCaller,
    OutsideCaller,
    Step,
    explain,
)
from control_plane.domain.entities import PhoneNumber
from control_plane.domain.extension import Extension
from control_plane.domain.handsets import Handset
from control_plane.domain.model import Model
from control_plane.errors import Forbidden, InvalidField, UnknownEntity
from control_plane.ports import Store
from control_plane.service.handsets import require_handset
from control_plane.service.rights import Caller
from control_plane.service.rules import require_extension

K = TypeVar("K")
V = TypeVar("V")
H = TypeVar("H", PhoneNumber, Handset)


@dataclass(frozen=True, slots=True)
class Question:
    """Who calls, what is dialled, and how the world is then.

    The caller is an extension, or the neutral line of the handset `mac`, or else somebody outside with
    `number` (None: anonymous) who comes in over `trunk` (None: that of the dialled number's site).
    """

    dialled: str
    org: str | None = None
    key: str | None = None
    number: str | None = None
    trunk: str | None = None
    mac: str | None = None
    circumstances: Circumstances = field(default_factory=Circumstances)


async def explain_call(store: Store, question: Question, asking: Caller) -> Explanation:
    """The way of the call through the model as it is now.

    A tenant is told of calls from and to his own, as if nobody else's extensions and numbers were here: what
    another tenant has is explained as the number outside that it is to him, and that is all he learns.

    Raises:
        UnknownEntity: the caller is not in the model, or a number that a tenant asks about is not his.
        InvalidField: nobody outside can call, since there is no trunk.
        Forbidden: a tenant names a trunk.
    """
    model = (await store.snapshot()).model
    if asking.sees_everything:
        return _explained(model, question)
    if question.trunk is not None:
        raise Forbidden("Which trunk a call comes in over is the operator's to say: leave trunk out.")
    explanation = _explained(_own(model, asking.org or ""), question)
    if explanation.trace[0].node == "did.known" and explanation.trace[0].outcome == "no":
        raise UnknownEntity("number", question.dialled)
    return _without_trunks(explanation)


def _explained(model: Model, question: Question) -> Explanation:
    for name in question.circumstances.in_call:
        _require_named(model, name)
    return explain(model, _caller(model, question), question.dialled, question.circumstances)


def _own(model: Model, org: str) -> Model:
    """The model with one organisation's extensions and numbers only. It costs nothing to make."""
    return replace(
        model,
        numbers=_OwnValues(model.numbers, org),
        handsets=_OwnValues(model.handsets, org),
        extensions=_OwnKeys(model.extensions, org),
        devices=_OwnKeys(model.devices, org),
        call_groups=_OwnKeys(model.call_groups, org),
        main_numbers=_OwnKeys(model.main_numbers, org),
    )


class _Own(Mapping[K, V], Generic[K, V]):
    """The entries of a mapping that one organisation has."""

    def __init__(self, everything: Mapping[K, V], org: str) -> None:
        self._everything = everything
        self._org = org

    def _is_own(self, key: K) -> bool:
        raise NotImplementedError

    def __getitem__(self, key: K) -> V:
        if key not in self._everything or not self._is_own(key):
            raise KeyError(key)
        return self._everything[key]

    def __iter__(self) -> Iterator[K]:
        return filter(self._is_own, self._everything)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _OwnKeys(_Own[tuple[str, str], V]):
    """By keys that begin with the organisation."""

    def _is_own(self, key: tuple[str, str]) -> bool:
        return key[0] == self._org


class _OwnValues(_Own[str, H]):
    """By values that name their organisation."""

    def _is_own(self, key: str) -> bool:
        return self._everything[key].org == self._org


def _without_trunks(explanation: Explanation) -> Explanation:
    """The same, without the names of trunks, which are the operator's."""
    legs = tuple(replace(leg, trace=_neutral(leg.trace)) for leg in explanation.legs)
    return replace(explanation, trace=_neutral(explanation.trace), legs=legs)


def _neutral(trace: tuple[Step, ...]) -> tuple[Step, ...]:
    return tuple(
        replace(step, why="out to the telephone network") if step.node.endswith("trunk") else step
        for step in trace
    )


def _caller(model: Model, question: Question) -> CallerId:
    if question.org is not None and question.key is not None:
        require_extension(model, (question.org, question.key))
        return InsideCaller(question.org, question.key)
    if question.mac is not None:
        return HandsetCaller(require_handset(model, question.mac).mac)
    return OutsideCaller(question.trunk or trunk_to(model, question.dialled), question.number)


def _require_named(model: Model, name: str) -> Extension:
    org, _, key = name.partition("/")
    return require_extension(model, (org, key))


def trunk_to(model: Model, dialled: str) -> str:
    """The trunk over which calls to a number come in: its site's, else the first there is.

    Raises: InvalidField.
    """
    number = model.numbers.get(dialled)
    site = model.sites.get(number.site) if number is not None else None
    trunk = site.trunk if site is not None and site.trunk is not None else min(model.trunks, default=None)
    if trunk is None:
        raise InvalidField("caller", "nobody outside can call, since there is no trunk: make one first")
    return trunk
