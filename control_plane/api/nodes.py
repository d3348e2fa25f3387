"""The nodes: how each stands, what a push would do, pushing, and who is blocked there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Request, Response

from control_plane.api import documents
from control_plane.api.node_schemas import (
    AppliedOut,
    ApplyIn,
    BlockOut,
    CallOut,
    DriftOut,
    NodeOut,
    PlanOut,
    Unblocked,
)
from control_plane.apply.guard import Guard
from control_plane.apply.observer import Observer
from control_plane.apply.reconciler import Reconciler
from control_plane.apply.reports import applied_as_dict, block_as_dict, call_as_dict
from control_plane.errors import StalePlan, UnknownEntity
from control_plane.observe.calls import CALLS_KEPT
from control_plane.plan.changes import Drift
from control_plane.plan.plan import Plan
from control_plane.ports import NodeLink
from control_plane.service.notify import Outbox
from control_plane.service.warnings import ModelFindings

WAIT_MAX_S = 60.0
PENDING_SHOWN = 50
"""Steps in the state of a node. With a first push of 1 000 extensions pending, all steps took 0.6 s, during
which nothing was pushed; whoever waits for the push asks many times a second."""

Json = dict[str, Any]


@dataclass(frozen=True)
class NodePorts:
    """What runs for one node."""

    reconciler: Reconciler
    guard: Guard
    outbox: Outbox
    link: NodeLink
    findings: ModelFindings
    observer: Observer


def nodes_of(request: Request) -> Mapping[str, NodePorts]:
    """What runs, by node."""
    nodes: Mapping[str, NodePorts] = request.app.state.nodes
    return nodes


async def _node(request: Request, node: str) -> NodePorts:
    nodes = nodes_of(request)
    if node not in nodes:
        raise UnknownEntity("node", node)
    return nodes[node]


Node = Annotated[NodePorts, Depends(_node)]
router = APIRouter(prefix="/nodes", tags=["nodes"])


@router.get("", response_model=list[NodeOut], responses=documents.ALWAYS)
async def list_nodes(request: Request) -> list[Json]:
    """How every node stands."""
    return [await node_as_json(node) for _, node in sorted(nodes_of(request).items())]


@router.get("/{node}", response_model=NodeOut, responses=documents.LIST)
async def get_node(node: Node) -> Json:
    """How one node stands: in sync or what is pending, drift, errors, registrations are under /contacts."""
    return await node_as_json(node)


@router.get("/{node}/contacts", responses=documents.NODE)
async def get_contacts(node: Node) -> dict[str, str]:
    """The devices registered now: SIP user name and contact."""
    return await node.link.contacts()


@router.post("/{node}/plan", response_model=PlanOut, responses=documents.NODE)
async def make_plan(node: Node) -> Json:
    """What an apply would do now, from a fresh look at Asterisk; secrets are masked."""
    return (await node.reconciler.plan()).as_dict()


@router.post("/{node}/drift", response_model=DriftOut, responses=documents.NODE)
async def find_drift(node: Node) -> Json:
    """What differs from what was pushed although the model did not move: edited, lost or foreign."""
    plan = (await node.reconciler.plan()).as_dict()
    moved = Drift.MODEL_MOVED.value
    return {**plan, "steps": [step for step in _steps(plan) if step["drift"] != moved]}


def _steps(plan: Json) -> list[Json]:
    steps: list[Json] = plan["steps"]
    return steps


@router.post("/{node}/apply", response_model=AppliedOut, responses=documents.APPLY)
async def apply_plan(node: Node, body: Annotated[ApplyIn | None, Body()] = None) -> Json:
    """Push what differs now; with `digest` only if the plan is still that one."""
    expected = await _expected(node.reconciler, body.digest) if body and body.digest else None
    return applied_as_dict(await node.reconciler.apply(expected))


async def _expected(reconciler: Reconciler, digest: str) -> Plan:
    plan = await reconciler.plan()
    if plan.digest != digest:
        raise StalePlan("The model or Asterisk changed since this plan was made; make a new plan.")
    return plan


@router.post("/{node}/follow", response_model=NodeOut, responses=documents.LIST)
async def follow(
    node: Node,
    revision: Annotated[int, Query(ge=0, description="The revision to wait for.")],
    within_s: Annotated[float, Query(gt=0, le=WAIT_MAX_S)] = 5.0,
) -> Json:
    """Nudge the push and answer when Asterisk holds `revision`, or when that took too long."""
    await node.reconciler.wait_pushed(revision, within_s)
    return await node_as_json(node)


@router.get("/{node}/calls", response_model=list[CallOut], responses=documents.LIST)
async def get_calls(
    node: Node, limit: Annotated[int, Query(ge=1, le=CALLS_KEPT, description="How many at most.")] = 20
) -> list[Json]:
    """The last calls that ended, newest first, with the way each took through the call path."""
    return [call_as_dict(record) for record in node.observer.calls.finished()[:limit]]


@router.get("/{node}/blocked", response_model=list[BlockOut], responses=documents.LIST)
async def get_blocked(node: Node) -> list[Json]:
    """The addresses whose SIP is refused now, newest first."""
    return [block_as_dict(block) for block in node.guard.blocked()]


@router.delete("/{node}/blocked", status_code=200, response_model=Unblocked, responses=documents.NODE)
async def unblock_all(node: Node) -> Json:
    """Lift every block."""
    return {"unblocked": await node.guard.unblock_all()}


@router.delete("/{node}/blocked/{address}", status_code=204, responses=documents.UNBLOCK)
async def unblock(node: Node, address: str) -> Response:
    """Lift the block of one address."""
    await node.guard.unblock(address)
    return Response(status_code=204)


async def node_as_json(node: NodePorts) -> Json:
    """The state of a node for JSON and people; secrets are masked."""
    state, mail = node.reconciler.state, node.outbox.status
    return {
        "node": state.node,
        "stage": state.stage.value,
        "link": state.link.value,
        "in_sync": state.in_sync,
        "revision": state.revision,
        "revision_pushed": state.revision_pushed,
        "last_error": state.last_error,
        "pending": state.pending.as_dict(PENDING_SHOWN) if state.pending is not None else None,
        "last_drift": list(state.last_drift),
        "faults": list(state.faults),
        "warnings": list(await node.findings.sentences()),
        "last_audit_s": state.last_audit_s,
        "rows": state.rows,
        "mailboxes": state.mailboxes,
        "blocked": len(node.guard.blocked()),
        "mail": {
            "configured": mail.configured,
            "waiting": mail.waiting,
            "sent": mail.sent,
            "failed": mail.failed,
            "problem": mail.problem,
        },
    }
