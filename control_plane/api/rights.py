"""Who may call which operation: the table of rights, and the check that every request passes.

A new endpoint needs one line in RULES, under the name of its function; the application does not start without
it. The line says which scopes its token needs and who may call it:

    "get_group": Rule(READ, TENANT_READS),
    "create_group": Rule(WRITE, TENANT_CHANGES),

An address that names something (/organisations/{org}/...) is checked before the endpoint runs: a tenant who
does not see it gets 404. Where an address alone does not say whose things are answered, as a listing over all
tenants does not, the endpoint has to leave out what the caller does not see (`Viewing` in context.py), and
its rule says so: `filtered=True`. `fields` limits what some may change in a body. A path parameter that
names something outside an organisation is taught to service/rights.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from fastapi import Request
from fastapi.routing import APIRoute

from control_plane.api.caller import caller_of
from control_plane.api.context import Ports
from control_plane.domain.accounts import Scope
from control_plane.errors import Forbidden, InvalidField
from control_plane.service.rights import Caller, Position, View
from control_plane.service.task_view import require_seen
from control_plane.service.undo import find_entry

READ: Final = frozenset({Scope.READ})
WRITE: Final = frozenset({Scope.WRITE})
SECRETS: Final = frozenset({Scope.SECRETS})
PUSH: Final = frozenset({Scope.PUSH})
ACCOUNTS: Final = frozenset({Scope.ACCOUNTS})
NO_SCOPE: Final[frozenset[Scope]] = frozenset()

Who = frozenset[Position]

OPERATOR_CHANGES: Final[Who] = frozenset({Position.OPERATOR_ADMIN})
OPERATOR_READS: Final[Who] = OPERATOR_CHANGES | {Position.OPERATOR_READER}
TENANT_CHANGES: Final[Who] = OPERATOR_CHANGES | {Position.OCCUPIER_ADMIN}
TENANT_READS: Final[Who] = TENANT_CHANGES | OPERATOR_READS | {Position.OCCUPIER_READER}
OWN_CHANGES: Final[Who] = TENANT_CHANGES | {Position.PERSON}
"""The tenant's administrator, and a person for what is his own."""
OWN_READS: Final[Who] = TENANT_READS | {Position.PERSON}
POOL_CHANGES: Final[Who] = OPERATOR_CHANGES | {Position.CARRIER}
EVERYBODY: Final[Who] = frozenset(Position)

OWN_EXTENSION_FIELDS: Final = frozenset(
    {
        "label",
        "voicemail_pin",
        "ring_devices",
        "primary_device",
        "call_waiting",
        "dnd",
        "dnd_action",
        "forwarding",
        "no_answer",
    }
)
"""What a person sets for himself (R11); what costs or restricts is the administrator's (R107)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may call an operation, with a token of which scopes."""

    scopes: frozenset[Scope]
    who: Who
    filtered: bool = False
    """The endpoint itself sees to it that the answer has nothing the caller does not see."""
    own: Who = frozenset()
    """Of accounts, these may do it to their own only."""
    fields: Mapping[Position, frozenset[str]] = field(default_factory=dict)
    """The fields of the body that these may give; others may give all."""


RULES: Final[Mapping[str, Rule]] = {
    # organisations, sites, trunks
    "list_organisations": Rule(READ, OWN_READS, filtered=True),
    "create_organisation": Rule(WRITE, OPERATOR_CHANGES),
    "get_organisation": Rule(READ, OWN_READS, filtered=True),
    "patch_organisation": Rule(WRITE, OPERATOR_CHANGES),
    "delete_organisation": Rule(WRITE, OPERATOR_CHANGES),
    "list_sites": Rule(READ, EVERYBODY, filtered=True),
    "create_site": Rule(WRITE, OPERATOR_CHANGES),
    "get_site": Rule(READ, EVERYBODY),
    "patch_site": Rule(WRITE, OPERATOR_CHANGES),
    "delete_site": Rule(WRITE, OPERATOR_CHANGES),
    "list_trunks": Rule(READ, OPERATOR_READS),
    "create_trunk": Rule(WRITE, OPERATOR_CHANGES),
    "get_trunk": Rule(READ, OPERATOR_READS),
    "patch_trunk": Rule(WRITE, OPERATOR_CHANGES),
    "delete_trunk": Rule(WRITE, OPERATOR_CHANGES),
    # tenants
    "list_occupancies": Rule(READ, TENANT_READS),
    "create_occupancy": Rule(WRITE, OPERATOR_CHANGES),
    "get_occupancy": Rule(READ, TENANT_READS),
    "patch_occupancy": Rule(WRITE, OPERATOR_CHANGES),
    "delete_occupancy": Rule(WRITE, OPERATOR_CHANGES),
    "set_authorization_code": Rule(WRITE | SECRETS, TENANT_CHANGES),
    "clear_authorization_code": Rule(WRITE, TENANT_CHANGES),
    "list_people": Rule(READ, OWN_READS, filtered=True),
    "create_person": Rule(
        WRITE,
        TENANT_CHANGES,
        # One id names one person in the whole exchange: whether one is taken is no business of a tenant's.
        fields={Position.OCCUPIER_ADMIN: frozenset({"name", "email", "kind"})},
    ),
    "get_person": Rule(READ, OWN_READS),
    "patch_person": Rule(WRITE, TENANT_CHANGES),
    "delete_person": Rule(WRITE, TENANT_CHANGES),
    # extensions and devices
    "list_extensions": Rule(READ, OWN_READS, filtered=True),
    "create_extension": Rule(WRITE, TENANT_CHANGES),
    "get_extension": Rule(READ, OWN_READS),
    "patch_extension": Rule(WRITE, OWN_CHANGES, fields={Position.PERSON: OWN_EXTENSION_FIELDS}),
    "delete_extension": Rule(WRITE, TENANT_CHANGES),
    "get_extension_credentials": Rule(SECRETS, OWN_CHANGES),
    "list_devices": Rule(READ, OWN_READS),
    "create_device": Rule(WRITE | SECRETS, TENANT_CHANGES),
    "get_device": Rule(READ, OWN_READS),
    "patch_device": Rule(WRITE, OWN_CHANGES),
    "delete_device": Rule(WRITE, TENANT_CHANGES),
    "get_device_credentials": Rule(SECRETS, OWN_CHANGES),
    "rotate_device_password": Rule(WRITE | SECRETS, OWN_CHANGES),
    # call groups, main numbers
    "list_call_groups": Rule(READ, TENANT_READS),
    "create_call_group": Rule(WRITE, TENANT_CHANGES),
    "get_call_group": Rule(READ, TENANT_READS),
    "patch_call_group": Rule(WRITE, TENANT_CHANGES),
    "delete_call_group": Rule(WRITE, TENANT_CHANGES),
    "list_main_numbers": Rule(READ, TENANT_READS),
    "create_main_number": Rule(WRITE, TENANT_CHANGES),
    "get_main_number": Rule(READ, TENANT_READS),
    "patch_main_number": Rule(WRITE, TENANT_CHANGES),
    "delete_main_number": Rule(WRITE, TENANT_CHANGES),
    # what a change would push: for who may make it
    "preview_organisation": Rule(READ, OPERATOR_CHANGES),
    "preview_site": Rule(READ, OPERATOR_CHANGES),
    "preview_trunk": Rule(READ, OPERATOR_CHANGES),
    "preview_occupancy": Rule(READ, OPERATOR_CHANGES),
    "preview_person": Rule(READ, TENANT_CHANGES),
    "preview_extension": Rule(READ, OWN_CHANGES, fields={Position.PERSON: OWN_EXTENSION_FIELDS}),
    "preview_call_group": Rule(READ, TENANT_CHANGES),
    "preview_main_number": Rule(READ, TENANT_CHANGES),
    # what a call can meet
    "get_extension_picture": Rule(READ, OWN_READS),
    "get_call_group_picture": Rule(READ, TENANT_READS),
    "get_main_number_picture": Rule(READ, TENANT_READS),
    # numbers
    "list_numbers": Rule(READ, EVERYBODY, filtered=True),
    "export_numbers": Rule(READ, EVERYBODY, filtered=True),
    "create_number": Rule(
        WRITE,
        POOL_CHANGES,
        filtered=True,  # with these fields it can only be one of the pool
        fields={Position.CARRIER: frozenset({"e164", "site", "main"})},
    ),
    "get_number": Rule(READ, EVERYBODY),
    "patch_number": Rule(
        WRITE,
        POOL_CHANGES | TENANT_CHANGES,
        fields={
            Position.OCCUPIER_ADMIN: frozenset({"extension", "label_1", "label_2", "softphone"}),
            Position.CARRIER: frozenset({"site", "main"}),
        },
    ),
    "delete_number": Rule(WRITE, POOL_CHANGES),
    "add_number_range": Rule(WRITE, POOL_CHANGES),
    "import_numbers": Rule(WRITE, POOL_CHANGES),
    "allocate_numbers": Rule(WRITE, OPERATOR_CHANGES),
    "allocate_one_number": Rule(WRITE, OPERATOR_CHANGES),
    "deallocate_number": Rule(WRITE, OPERATOR_CHANGES),
    "activate_number": Rule(WRITE, OPERATOR_CHANGES),
    "deactivate_number": Rule(WRITE, OPERATOR_CHANGES),
    "assign_number": Rule(WRITE, TENANT_CHANGES),
    "unassign_number": Rule(WRITE, TENANT_CHANGES),
    "reset_number_pin": Rule(WRITE, TENANT_CHANGES),
    "check_number_pin": Rule(WRITE | SECRETS, TENANT_CHANGES),
    "get_number_default_pin": Rule(SECRETS, TENANT_CHANGES),
    "get_number_details": Rule(READ, OWN_READS),
    # voice services
    "list_services": Rule(READ, TENANT_READS),
    "add_service": Rule(WRITE, OPERATOR_CHANGES),
    "get_service": Rule(READ, TENANT_READS),
    "patch_service": Rule(WRITE, OPERATOR_CHANGES),
    "delete_service": Rule(WRITE, OPERATOR_CHANGES),
    "schedule_service": Rule(WRITE, OPERATOR_CHANGES),
    "unschedule_service": Rule(WRITE, OPERATOR_CHANGES),
    # handsets
    "list_handsets": Rule(READ, TENANT_READS),
    "create_handset": Rule(WRITE, TENANT_CHANGES),
    "import_handsets": Rule(WRITE, TENANT_CHANGES),
    "get_handset": Rule(READ, TENANT_READS),
    "patch_handset": Rule(WRITE, TENANT_CHANGES),
    "delete_handset": Rule(WRITE, TENANT_CHANGES),
    "log_in_handset": Rule(WRITE, TENANT_CHANGES),
    "log_out_handset": Rule(WRITE, TENANT_CHANGES),
    "open_enrolment": Rule(WRITE, TENANT_CHANGES),
    "close_enrolment": Rule(WRITE, TENANT_CHANGES),
    "rotate_handset": Rule(WRITE, TENANT_CHANGES),
    "show_handset_passwords": Rule(WRITE | SECRETS, OPERATOR_CHANGES),
    "end_rotation": Rule(WRITE, TENANT_CHANGES),
    "notify_handset": Rule(WRITE, TENANT_CHANGES),
    "list_handset_files": Rule(READ, TENANT_READS),
    "get_handset_file": Rule(READ, TENANT_READS),
    "list_handset_uploads": Rule(READ, OPERATOR_CHANGES),
    "get_handset_upload": Rule(READ | SECRETS, OPERATOR_CHANGES),
    "delete_handset_upload": Rule(WRITE, OPERATOR_CHANGES),
    "make_handset_link": Rule(WRITE | SECRETS, TENANT_CHANGES),
    "list_handset_models": Rule(READ, EVERYBODY, filtered=True),  # the same for everybody
    "get_provisioning": Rule(READ, OPERATOR_READS),
    "plan_publishing": Rule(READ, OPERATOR_READS),
    "find_publishing_drift": Rule(READ, OPERATOR_READS),
    "apply_publishing": Rule(PUSH, OPERATOR_CHANGES),
    "follow_publishing": Rule(PUSH, OPERATOR_CHANGES),
    # questions
    "explain": Rule(READ, TENANT_READS, filtered=True),
    "list_audit": Rule(READ, TENANT_READS, filtered=True),
    "undo_change": Rule(WRITE, TENANT_CHANGES),
    # decommission
    "decommission_organisation": Rule(WRITE, OPERATOR_CHANGES),
    "get_decommission": Rule(READ, TENANT_READS),
    # tasks
    "list_tasks": Rule(READ, TENANT_READS, filtered=True),
    "get_task": Rule(READ, TENANT_READS),
    "retry_task": Rule(WRITE, TENANT_CHANGES),
    # nodes
    "list_nodes": Rule(READ, OPERATOR_READS),
    "get_node": Rule(READ, OPERATOR_READS),
    "get_contacts": Rule(READ, OPERATOR_READS),
    "make_plan": Rule(READ, OPERATOR_READS),
    "find_drift": Rule(READ, OPERATOR_READS),
    "apply_plan": Rule(PUSH, OPERATOR_CHANGES),
    "follow": Rule(PUSH, OPERATOR_CHANGES),
    "get_calls": Rule(READ, OPERATOR_READS),
    "get_blocked": Rule(READ, OPERATOR_READS),
    "unblock_all": Rule(PUSH, OPERATOR_CHANGES),
    "unblock": Rule(PUSH, OPERATOR_CHANGES),
    # mails about calls
    "list_mails": Rule(READ, OPERATOR_READS),
    "retry_mails": Rule(WRITE, OPERATOR_CHANGES),
    "retry_mail": Rule(WRITE, OPERATOR_CHANGES),
    "discard_mail": Rule(WRITE, OPERATOR_CHANGES),
    "list_organisation_mails": Rule(READ, TENANT_READS),
    "retry_organisation_mails": Rule(WRITE, TENANT_CHANGES),
    # accounts
    "log_out": Rule(NO_SCOPE, EVERYBODY, filtered=True),
    "get_me": Rule(NO_SCOPE, EVERYBODY, filtered=True),
    "list_accounts": Rule(READ, EVERYBODY, filtered=True),
    "create_account": Rule(ACCOUNTS, TENANT_CHANGES, filtered=True),
    "get_account": Rule(READ, EVERYBODY),
    "patch_account": Rule(ACCOUNTS, TENANT_CHANGES),
    "delete_account": Rule(ACCOUNTS, TENANT_CHANGES),
    "set_password": Rule(ACCOUNTS, EVERYBODY, own=EVERYBODY - TENANT_CHANGES),
    "list_tokens": Rule(READ, EVERYBODY, own=EVERYBODY - TENANT_CHANGES),
    "create_token": Rule(ACCOUNTS, EVERYBODY, own=EVERYBODY - OPERATOR_CHANGES),
    "revoke_token": Rule(ACCOUNTS, EVERYBODY, own=EVERYBODY - TENANT_CHANGES),
}

ENTRY_DIGITS_MAX: Final = 15
OPEN: Final = frozenset({"log_in"})
"""What needs no token."""

_BOUND: Final = frozenset({"org", "e164", "site", "account", "entry", "task"})
"""Path parameters that say whose a thing is."""
_PERSONAL: Final = frozenset({"key", "person"})
"""Path parameters below {org} that say whether a thing is a person's own."""


def require_rules(routes: Iterable[object], rules: Mapping[str, Rule] = RULES) -> None:
    """Nothing, when every route has a rule that can be kept.

    Raises: TypeError, which says what to add.
    """
    found = [route for route in routes if isinstance(route, APIRoute)]
    for route in found:
        _require_rule(route, rules.get(route.name))
    unused = set(rules) - {route.name for route in found}
    if unused:
        raise TypeError(f"RULES in api/rights.py names no operation with {', '.join(sorted(unused))}")


def _require_rule(route: APIRoute, rule: Rule | None) -> None:
    where = f"{'/'.join(sorted(route.methods or ()))} {route.path} ({route.name})"
    if rule is None:
        raise TypeError(
            f'{where} has no rule: add a line such as "{route.name}": Rule(READ, TENANT_READS) to RULES in '
            "api/rights.py, which says who may call it."
        )
    names = set(route.param_convertors)
    tenants = rule.who - OPERATOR_READS
    needed = _PERSONAL if Position.PERSON in tenants and "org" in names else _BOUND
    if tenants and not rule.filtered and not names & needed:
        raise TypeError(
            f"{where} lets in {_listed(tenants)}, but its address does not say whose things it answers "
            f"(by one of {_listed(needed)}): leave out in the endpoint what `Viewing` does not see and say "
            "filtered=True, or let in fewer."
        )


async def authorise(request: Request, ports: Ports) -> None:
    """The check before every endpoint: what the address names is there for the caller, and he may do this.

    Raises: UnknownEntity, Forbidden.
    """
    caller, rule = await caller_of(request), RULES[request.scope["route"].name]
    names = request.path_params
    if "entry" in names:  # of the audit, which is not part of the model
        await find_entry(ports.store, caller, _number(names["entry"]))
    elif "task" in names and not caller.sees_everything:
        require_seen(caller, await ports.tasks.task(_number(names["task"])))
    elif names and not caller.sees_everything:
        View(caller, (await ports.store.snapshot()).model).require(names)
    _require_allowed(caller, rule)
    if caller.org is not None:
        await _require_own_site(request, View(caller, (await ports.store.snapshot()).model))
    if caller.position in rule.own and request.path_params.get("account") != caller.name:
        raise Forbidden(f"A {caller.position} may do this to the own account only.")
    allowed = rule.fields.get(caller.position)
    if allowed is not None:
        _require_fields(await request.json(), allowed)


async def _require_own_site(request: Request, view: View) -> None:
    """Nothing, when a body names no site, or one that the caller sees.

    Raises: InvalidField, the same for a site that strangers are at as for one that is not there.
    """
    try:
        body = await request.json()
    except (ValueError, RecursionError):
        return  # no body, or none that an endpoint takes
    site = body.get("site") if isinstance(body, dict) else None
    if isinstance(site, str) and not view.sees_site(site):
        raise InvalidField("site", f"you have nothing at a site {site!r}: choose one you have")


def _number(text: str) -> int:
    """`text` as the number of an entry; 0, which none has, when it is none."""
    return int(text) if text.isdecimal() and len(text) <= ENTRY_DIGITS_MAX else 0


def _require_allowed(caller: Caller, rule: Rule) -> None:
    if caller.position not in rule.who:
        raise Forbidden(f"A {caller.position} may not do this; it takes {_listed(rule.who)}.")
    missing = rule.scopes - caller.scopes
    if missing:
        raise Forbidden(f"This token may not do this: it lacks the scope {_listed(missing)}.")


def _require_fields(body: object, allowed: frozenset[str]) -> None:
    beyond = set(body) - allowed if isinstance(body, dict) else set()
    if beyond:
        raise Forbidden(
            f"You may not set {_listed(beyond)} here; yours to set are {_listed(allowed)}. "
            "Ask your administrator."
        )


def _listed(values: Iterable[str]) -> str:
    return ", ".join(sorted(values))
