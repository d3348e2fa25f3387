"""What the routes are given: the ports, and for a write who asks and what the answer must carry."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Request, Response
from pydantic import SecretStr

from control_plane.api.caller import Calling
from control_plane.api.nodes import NodePorts
from control_plane.apply.publisher import Publisher
from control_plane.domain.entities import Entity
from control_plane.domain.model import Model
from control_plane.errors import InvalidField, PublishingFailed
from control_plane.ports import Clock, Store, TaskStore, Uploads
from control_plane.service.devices import SipAddress
from control_plane.service.follow_up import FollowUp
from control_plane.service.handset_preview import HandsetSource
from control_plane.service.handset_view import Provisioning
from control_plane.service.logins import Logins
from control_plane.service.number_policy import NumberPolicy
from control_plane.service.rights import View
from control_plane.service.writing import By, Saved

E = TypeVar("E", bound=Entity)

_STRONG_ETAG = re.compile(r'"([0-9]{1,18})"')


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class ApiPorts:
    """Everything the API stands on. `nudge` is called after each committed change; it must not block."""

    store: Store
    token: SecretStr
    sip: SipAddress
    tasks: TaskStore
    clock: Clock
    logins: Logins
    nudge: Callable[[], None] = _nothing
    nodes: Mapping[str, NodePorts] = field(default_factory=dict)
    policy: NumberPolicy = field(kw_only=True)
    handsets: Provisioning | None = None
    publisher: Publisher | None = None
    follow_up: FollowUp | None = None
    sealed: Uploads | None = None
    handset_source: HandsetSource | None = None

    @property
    def provisioning(self) -> Provisioning:
        """Raises: PublishingFailed where nothing is published."""
        if self.handsets is None:
            raise PublishingFailed("This control plane publishes nothing for handsets.")
        return self.handsets

    @property
    def uploads(self) -> Uploads:
        """Raises: PublishingFailed where nothing is published."""
        if self.sealed is None:
            raise PublishingFailed("This control plane publishes nothing for handsets.")
        return self.sealed

    @property
    def publishing(self) -> Publisher:
        """Raises: PublishingFailed where nothing is published."""
        if self.publisher is None:
            raise PublishingFailed("This control plane publishes nothing for handsets.")
        return self.publisher


def etag(version: int) -> str:
    """RFC 9110 section 8.8.3: the entity tag of a version."""
    return f'"{version}"'


def expected_versions(if_match: str | None) -> frozenset[int] | None:
    """The versions an If-Match header allows; None for any.

    RFC 9110 section 13.1.1: strong comparison, so a weak tag, like one of another make, matches nothing.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    tags = (_STRONG_ETAG.fullmatch(tag.strip()) for tag in if_match.split(","))
    return frozenset(int(tag[1]) for tag in tags if tag is not None)


# Dependencies are coroutines although they wait for nothing: the framework would run each plain function in a
# thread of its pool, which costs every request more than what they do.


async def ports_of(request: Request) -> ApiPorts:
    """The ports the application was made with."""
    ports: Any = request.app.state.ports
    if not isinstance(ports, ApiPorts):
        raise TypeError("the application was made without ApiPorts")
    return ports


async def require_known_query(request: Request) -> None:
    """Refuse a misspelt or repeated query parameter instead of answering something else than was asked.

    Raises: InvalidField.
    """
    known = request.app.state.query_names(request.scope["route"].name)
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in known:
            takes = f"this address takes {', '.join(sorted(known))}" if known else "this address takes none"
            raise InvalidField(name, f"there is no such parameter; {takes}")
        if name in seen:
            raise InvalidField(name, "is given more than once")
        seen.add(name)


class Write:
    """One write: where to, by whom, and what the answer says about it."""

    def __init__(self, ports: ApiPorts, response: Response, by: By) -> None:
        self.ports = ports
        self.store = ports.store
        self.policy = ports.policy
        self.by = by
        self._response = response

    def done(self, saved: Saved[E], location: str | None = None) -> E:
        """The saved entity; the answer gets its ETag, its revision and, when created, its address."""
        self._response.headers["ETag"] = etag(saved.version)
        self._response.headers["X-Revision"] = str(saved.version)
        if location is not None:
            self._response.headers["Location"] = f"/api/v1{location}"
        self.ports.nudge()
        return saved.entity

    async def changed(self) -> None:
        """After a write of several entities: the answer gets a revision that has them as they are now."""
        self._response.headers["X-Revision"] = str(await self.store.revision())
        self.ports.nudge()

    async def removed(self) -> None:
        """The answer gets a revision that no longer has what was removed."""
        await self.changed()


Ports = Annotated[ApiPorts, Depends(ports_of)]


async def _view(ports: Ports, caller: Calling) -> tuple[Model, View]:
    model = (await ports.store.snapshot()).model
    return model, View(caller, model)


Viewing = Annotated[tuple[Model, View], Depends(_view)]
"""The newest model, and what the caller sees of it."""


async def _write(
    ports: Ports,
    caller: Calling,
    response: Response,
    if_match: Annotated[
        str | None,
        Header(description='Only change the version with this ETag, such as "12"; else the answer is 412.'),
    ] = None,
) -> Write:
    return Write(ports, response, By(caller.name, expected_versions(if_match)))


async def _create(ports: Ports, caller: Calling, response: Response) -> Write:
    return Write(ports, response, By(caller.name))


Writing = Annotated[Write, Depends(_write)]
Creating = Annotated[Write, Depends(_create)]
