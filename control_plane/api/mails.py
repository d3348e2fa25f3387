"""Mails about calls that wait or were given up: why, trying them again, and discarding one."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Query, Request, Response

from control_plane.api import documents
from control_plane.api.caller import Calling
from control_plane.api.context import Ports
from control_plane.api.node_schemas import KeptMailOut, RetriedOut
from control_plane.api.nodes import Node, nodes_of
from control_plane.errors import AsteriskError, UnknownEntity, Unreachable
from control_plane.service.mails import KeptMail, as_told_to_tenant, mail_as_dict
from control_plane.service.notify import Outbox

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
MailId = Annotated[str, Path(max_length=200, description="As the list of mails has it.")]
NOT_NOW = "The telephone system cannot be asked for its mails now; try again later."

of_node = APIRouter(prefix="/nodes/{node}/mails", tags=["nodes"])
of_organisation = APIRouter(prefix="/organisations/{org}/mails", tags=["organisations"])


@of_node.get("", response_model=list[KeptMailOut], responses=documents.NODE)
async def list_mails(node: Node, limit: Limit = 100) -> list[dict[str, Any]]:
    """Mails about missed calls and voicemail that were given up, then those that wait; the newest first."""
    return [mail_as_dict(mail) for mail in (await node.outbox.mails())[:limit]]


@of_node.post("/retry", response_model=RetriedOut, responses=documents.MAILS)
async def retry_mails(node: Node) -> dict[str, int]:
    """Try all of them again now; the answer does not wait for the outcome."""
    return {"retried": await node.outbox.retry()}


@of_node.post("/{mail}/retry", response_model=RetriedOut, responses=documents.MAILS)
async def retry_mail(node: Node, mail: MailId) -> dict[str, int]:
    """Try one again now; the answer does not wait for the outcome."""
    return {"retried": await node.outbox.retry(mail)}


@of_node.delete("/{mail}", status_code=204, responses=documents.MAILS)
async def discard_mail(node: Node, caller: Calling, mail: MailId) -> Response:
    """Forget a mail; it is never sent."""
    await node.outbox.discard(mail, caller.name)
    return Response(status_code=204)


@of_organisation.get("", response_model=list[KeptMailOut], responses=documents.LIST)
async def list_organisation_mails(
    request: Request, ports: Ports, caller: Calling, org: str, limit: Limit = 100
) -> list[dict[str, Any]]:
    """Those about extensions of one organisation; how the mail server fails is told to the operator only."""
    found: list[KeptMail] = []
    for outbox in await _outboxes(request, ports, org):
        found += [mail for mail in await _answer(outbox.mails()) if mail.org == org]
    found.sort(key=lambda mail: mail.order, reverse=True)
    told = found if caller.sees_everything else [as_told_to_tenant(mail) for mail in found]
    return [mail_as_dict(mail) for mail in told[:limit]]


@of_organisation.post("/retry", response_model=RetriedOut, responses=documents.LIST)
async def retry_organisation_mails(request: Request, ports: Ports, org: str) -> dict[str, int]:
    """Try those about extensions of one organisation again now; the answer does not wait for the outcome."""
    outboxes = await _outboxes(request, ports, org)
    return {"retried": sum([await _answer(outbox.retry(org=org)) for outbox in outboxes])}


async def _outboxes(request: Request, ports: Ports, org: str) -> list[Outbox]:
    if org not in (await ports.store.snapshot()).model.organisations:
        raise UnknownEntity("organisation", org)
    return [node.outbox for _, node in sorted(nodes_of(request).items())]


async def _answer(asked: Awaitable[T]) -> T:
    """Raises: Unreachable, which names nothing of the operator's."""
    try:
        return await asked
    except AsteriskError as exc:
        raise Unreachable(NOT_NOW) from exc
