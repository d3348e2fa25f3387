"""How a node stands, what a push would do and did, and who is blocked: the shapes of the answers."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from control_plane.apply.outcome import Outcome
from control_plane.apply.state import Stage
from control_plane.plan.changes import Drift
from control_plane.plan.steps import Op
from control_plane.ports import LinkState
from control_plane.service.mails import MailState
from control_plane.service.notice import NoticeKind


class StepOut(BaseModel):
    """One thing to do in Asterisk."""

    op: Op
    artefact: str
    reason: str
    drift: Drift = Field(
        description="Why it differs: the model moved; or Asterisk was edited, lost it, or holds more."
    )
    unit: str | None
    secret: bool
    touches_calls: bool
    diff: list[str] = Field(description="Secrets are masked.")


class PlanOut(BaseModel):
    """Steps in the order they would run."""

    node: str
    revision: int
    digest: str = Field(description="Give this to apply, to run this plan and no other.")
    touches_calls: bool
    counts: dict[Op, int]
    steps: list[StepOut]


class HandsetsPreviewOut(BaseModel):
    """What a change would publish for handsets; secrets are masked."""

    counts: dict[Op, int]
    steps: list[StepOut] = Field(description="One for each handset that was rendered and changes.")
    told: list[str] = Field(
        description="MACs whose settings change: told to fetch (NOTIFY check-sync) where registered."
    )
    more: int = Field(
        ge=0, description="Handsets the change reaches beyond those rendered; theirs may change too."
    )
    directories: int = Field(
        ge=0, description="Further handsets whose directory changes, some seconds after the change."
    )
    problems: list[str] = Field(description="What could not be looked at, and why.")


class PreviewOut(PlanOut):
    """What a change would push, and publish."""

    handsets: HandsetsPreviewOut | None = Field(
        description="null: nothing is published here, or it is not for you to see."
    )


class WidePreviewOut(BaseModel):
    """What a change would push to each node that has steps, by node, and publish."""

    plans: list[PlanOut]
    handsets: HandsetsPreviewOut | None = Field(
        description="null: nothing is published here, or it is not for you to see."
    )


class DriftOut(BaseModel):
    """The steps of a plan that the model is not the cause of."""

    node: str
    revision: int
    steps: list[StepOut]


class AppliedOut(BaseModel):
    """What became of a push."""

    ok: bool
    steps: int
    counts: dict[Outcome, int]
    error: str | None
    problems: list[str]
    took_s: float
    plan: PlanOut | None = Field(description="null: there was nothing to do.")


class MailOut(BaseModel):
    """How mail about calls stands."""

    configured: bool
    waiting: int
    sent: int
    failed: int = Field(description="How many were given up and are kept, to be tried again or discarded.")
    problem: str | None


class KeptMailOut(BaseModel):
    """A mail about a call that is not sent: to whom and why not, never what it says."""

    node: str
    id: str
    state: MailState
    kind: NoticeKind | None = Field(description="null, as what follows, where its row cannot be read.")
    organisation: str | None
    extension: str | None
    at: datetime | None = Field(description="When the call was that it is about.")
    recipients: list[str] = Field(description="Whom another try goes to: those the extension names now.")
    tries: int | None = Field(
        description="While it waits, since the control plane started; null: not known any more."
    )
    error: str | None = Field(description="Why it is not sent.")
    given_up_at: datetime | None
    next_try: datetime | None


class RetriedOut(BaseModel):
    """How many mails are tried again."""

    retried: int


class NodeOut(BaseModel):
    """How a node stands."""

    node: str
    stage: Stage
    link: LinkState
    in_sync: bool = Field(description="Asterisk was seen to hold everything as of `revision`.")
    revision: int = Field(description="The newest revision rendered; -1 before the first.")
    revision_pushed: int = Field(
        description="The newest revision Asterisk holds wholly; -1 before the first."
    )
    last_error: str | None
    pending: PlanOut | None = Field(
        description="What is not yet in Asterisk: all of it is counted, its first 50 steps are listed."
    )
    last_drift: list[str]
    faults: list[str] = Field(description="What needs a person.")
    warnings: list[str] = Field(description="About the model: loops and chains of forwardings set by phone.")
    last_audit_s: float | None
    rows: int
    mailboxes: int
    blocked: int
    mail: MailOut


class BlockOut(BaseModel):
    """An address whose SIP is refused."""

    address: str
    since: datetime
    until: datetime
    times: int
    reason: str


class Unblocked(BaseModel):
    """How many blocks were lifted."""

    unblocked: int


class ApplyIn(BaseModel):
    """`digest` of the plan that was looked at: if another would be run now, nothing is."""

    model_config = ConfigDict(extra="forbid")

    digest: str | None = Field(default=None, max_length=64)


class NodePassedOut(BaseModel):
    """One node of the call path and what came of it."""

    node: str
    outcome: str


class CallPartOut(BaseModel):
    """One way through the call path: the call itself, or a forwarded leg of it."""

    path: str = Field(description='Empty for the call itself; "100>101" for a leg.')
    organisation: str
    caller: str
    callee: str
    dialled: str
    outcome: str
    code: str = Field(description="Id of the authorization code used, never its digits.")
    trace: list[NodePassedOut]


class CallOut(BaseModel):
    """A call that ended."""

    call: str = Field(description="Asterisk's linkedid.")
    ended: datetime
    outcome: str
    parts: list[CallPartOut]
