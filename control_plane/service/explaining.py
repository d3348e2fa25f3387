"""What a call would do and why, asked for by names as they stand in the model."""

from __future__ import annotations

from dataclasses import dataclass, field

from control_plane.callpath.explain import (
    CallerId,
    Circumstances,
    Explanation,
    HandsetCaller,
    InsideCaller,
    OutsideCaller,
    explain,
)
from control_plane.domain.extension import Extension
from control_plane.domain.model import Model
from control_plane.errors import InvalidField
from control_plane.ports import Store
from control_plane.service.handsets import require_handset
from control_plane.service.rules import require_extension


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


async def explain_call(store: Store, question: Question) -> Explanation:
    """The way of the call through the model as it is now.

    Raises:
        UnknownEntity: the caller is not in the model.
        InvalidField: nobody outside can call, since there is no trunk.
    """
    model = (await store.snapshot()).model
    for name in question.circumstances.in_call:
        _require_named(model, name)
    return explain(model, _caller(model, question), question.dialled, question.circumstances)


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
