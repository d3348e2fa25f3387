"""Call scenarios as data: a small model, the calls made in it, and what must come of them.

A scenario is a YAML file in `scenarios/`; the same scenario is walked by `explain` and played with real
phones on a real Asterisk. The property test prints a failing case in this very format.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from control_plane.callpath.explain import (
    Behaviour,
    CallerId,
    Circumstances,
    Explanation,
    HandsetCaller,
    InsideCaller,
    OutsideCaller,
    explain,
)
from control_plane.domain.entities import (
    AuthorizationCode,
    NumberStatus,
    Occupancy,
    Organisation,
    PhoneNumber,
    Site,
    SiteProvisioning,
    Trunk,
)
from control_plane.domain.extension import Device, DeviceKind, Extension, Forwarding, NoAnswer, Transport
from control_plane.domain.groups import CallGroup, Destination, MainNumber, Strategy
from control_plane.domain.handsets import Handset
from control_plane.domain.model import Model
from control_plane.domain.regions import RegionCode

FOLDER = Path(__file__).parent / "scenarios"
SITE = "sg"
TRUNK = "carrier"
HANDSET = "handset:"
"""Before the MAC in `from`: a call from the neutral line of that handset."""
PIN = "4711"
VOICEMAIL_CODE = "*97"
OUTSIDE_FOR_BUSY = "+6567770000"
"""What an extension calls when a scenario wants it to be in a call."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ExtensionSpec(Strict):
    """One extension; `number` gives it a DID whose status may be named."""

    devices: tuple[DeviceKind, ...] = (DeviceKind.DESKTOP,)
    transport: Transport = Transport.UDP
    number: str | None = None
    status: NumberStatus = NumberStatus.ACTIVE
    ring_devices: tuple[DeviceKind, ...] = ()
    dnd: bool = False
    dnd_action: str = "auto"
    call_waiting: bool = True
    restricted: bool = False
    type: str = "normal"
    primary_device: DeviceKind | None = None
    forwarding: Forwarding = Forwarding()
    no_answer: NoAnswer = NoAnswer(ring_timeout_s=5)
    pin_failures: int = 0
    pin_locked: bool = False


class GroupSpec(Strict):
    """One call group."""

    members: tuple[str, ...] = ()
    strategy: Strategy = Strategy.RING_ALL
    ring_timeout_s: int = 5
    total_ring_s: int = 20
    otherwise: Destination | None = None


class MainSpec(Strict):
    """The main number with its group features."""

    number: str = "+6561000900"
    status: NumberStatus = NumberStatus.ACTIVE
    hours: tuple[str, ...] = ("mon-fri 08:30-18:00",)
    holidays: tuple[str, ...] = ()
    in_hours: Destination
    out_of_hours: Destination
    if_not_answered: Destination | None = None
    ring_timeout_s: int = 5


class HandsetSpec(Strict):
    """One handset nobody is logged in at."""

    name: str = "Lobby"
    transport: Transport = Transport.UDP
    phone_id: int | None = None


class Expected(Strict):
    """What a scenario's author says must happen; traces are compared whole, so they are not repeated here."""

    outcome: str
    rings: frozenset[str] = frozenset()
    answered_by: frozenset[str] = frozenset()
    passes: tuple[str, ...] = ()
    status: int | None = None


class CallSpec(Strict):
    """One call. `behaviour` names extensions and outside numbers that do not simply answer."""

    caller: str = Field(alias="from")
    to: str
    behaviour: dict[str, Behaviour] = {}
    in_call: frozenset[str] = frozenset()
    enter: tuple[str, ...] = ()
    at: datetime | None = None
    began_with: dict[str, str] = {}
    last_call_ended: dict[str, int] = {}
    last_used: dict[str, DeviceKind] = {}
    expect: Expected


class Scenario(Strict):
    """A model and calls in it, made one after the other."""

    title: str
    rows: tuple[str, ...] = ()
    extensions: dict[str, ExtensionSpec]
    groups: dict[str, GroupSpec] = {}
    handsets: dict[str, HandsetSpec] = {}
    phone_ids: int = 1000
    main: MainSpec | None = None
    neighbour: dict[str, ExtensionSpec] = {}
    neighbour_groups: dict[str, GroupSpec] = {}
    time_zone: str = "Asia/Singapore"
    code: str | None = None
    reception: tuple[str, ...] = ()
    site_trunk: Literal["carrier", "none"] = "carrier"
    calls: tuple[CallSpec, ...] = Field(min_length=1)

    @property
    def slug(self) -> str:
        """A name for the organisation, its own for every scenario, so that nothing is left from another."""
        return "t" + hashlib.sha256(self.model_dump_json(by_alias=True).encode()).hexdigest()[:10]

    def as_yaml(self) -> str:
        """The scenario as a file that can be put into the folder."""
        data = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
        return text


def load(path: Path) -> Scenario:
    """The scenario in `path`."""
    return Scenario.model_validate(yaml.safe_load(path.read_text()))


def all_scenarios() -> list[Path]:
    """Every scenario file, sorted."""
    return sorted(FOLDER.glob("*.yaml"))


def build(
    scenario: Scenario,
    *,
    trunk_host: str = "127.0.0.2",
    trunk_port: int = 5060,
    media_address: str = "127.0.0.1",
) -> Model:
    """The model of a scenario, with the lab's carrier as its trunk."""
    org, other = scenario.slug, f"{scenario.slug}-b"
    extensions: list[Extension] = []
    devices: list[Device] = []
    numbers: list[PhoneNumber] = []
    for owner, specs in ((org, scenario.extensions), (other, scenario.neighbour)):
        for key, spec in specs.items():
            extensions.append(_extension(owner, key, spec))
            devices.extend(_device(owner, key, spec, kind) for kind in spec.devices)
            if spec.number is not None:
                numbers.append(
                    PhoneNumber(e164=spec.number, site=SITE, org=owner, extension=key, status=spec.status)
                )
    main = scenario.main
    if main is not None:
        numbers.append(PhoneNumber(e164=main.number, site=SITE, org=org, status=main.status, main=True))
    return Model.of(
        call_groups=[
            CallGroup(org=owner, key=key, site=SITE, **spec.model_dump())
            for owner, specs in ((org, scenario.groups), (other, scenario.neighbour_groups))
            for key, spec in specs.items()
        ],
        main_numbers=[_main(org, main)] if main is not None else [],
        organisations=[Organisation(id=org, name="Scenario"), Organisation(id=other, name="Neighbour")],
        sites=[
            Site(
                id=SITE,
                name="Singapore",
                region=RegionCode.SG,
                time_zone=scenario.time_zone,
                trunk=TRUNK if scenario.site_trunk == "carrier" else None,
                caller_id="+6561999999",
                media_address=media_address,
                provisioning=SiteProvisioning(phone_ids=scenario.phone_ids),
            )
        ],
        trunks=[Trunk(id=TRUNK, host=trunk_host, port=trunk_port, region=RegionCode.SG)],
        occupancies=[
            Occupancy(
                org=org,
                site=SITE,
                authorization_code=_code(scenario.code) if scenario.code else None,
                reception=scenario.reception,
            )
        ],
        handsets=[_handset(org, mac, spec) for mac, spec in scenario.handsets.items()],
        extensions=extensions,
        devices=devices,
        numbers=numbers,
    )


def _extension(org: str, key: str, spec: ExtensionSpec) -> Extension:
    fields = spec.model_dump(exclude={"devices", "transport", "status"})
    return Extension.model_validate(
        fields | {"org": org, "key": key, "site": SITE, "label": f"Ext {key}", "voicemail_pin": PIN}
    )


def _main(org: str, spec: MainSpec) -> MainNumber:
    fields = spec.model_dump(exclude={"number", "status"})
    return MainNumber.model_validate(fields | {"org": org, "site": SITE, "e164": spec.number})


def _device(org: str, key: str, spec: ExtensionSpec, kind: DeviceKind) -> Device:
    stamp = _stamp(org, key, kind)
    return Device(
        id=device_id(org, key, kind),
        org=org,
        extension=key,
        kind=kind,
        transport=spec.transport,
        srtp=spec.transport is Transport.TLS,
        sip_password=SecretStr(stamp[11:43]),
    )


def _handset(org: str, mac: str, spec: HandsetSpec) -> Handset:
    stamp = _stamp(org, mac, "neutral")
    return Handset(
        mac=mac,
        model="T54W",
        org=org,
        site=SITE,
        name=spec.name,
        phone_id=spec.phone_id,
        token=SecretStr(stamp[:40]),
        http_user=stamp[:12],
        http_password=SecretStr(stamp[:24]),
        admin_password=SecretStr(stamp[24:48]),
        user_password=SecretStr(stamp[32:56]),
        neutral_user=f"n{stamp[:11]}",
        neutral_password=SecretStr(stamp[12:36]),
        neutral_transport=spec.transport,
    )


def _stamp(org: str, key: str, kind: str) -> str:
    return hashlib.sha256(f"{org}/{key}/{kind}".encode()).hexdigest()


def device_id(org: str, key: str, kind: DeviceKind) -> str:
    """The SIP user name of a scenario's device."""
    return f"d{_stamp(org, key, kind)[:11]}"


def _code(digits: str) -> AuthorizationCode:
    salt = "0123456789abcdef"
    digest = hashlib.sha1((salt + digits).encode(), usedforsecurity=False).hexdigest()
    return AuthorizationCode(id="testcode", salt=salt, digest=digest)


def caller_of(scenario: Scenario, spec: CallSpec) -> CallerId:
    """Who calls: "+65..." or "anonymous" from outside, else an extension ("b/200": of the neighbour)."""
    if spec.caller == "anonymous":
        return OutsideCaller(TRUNK, None)
    if spec.caller.startswith(HANDSET):
        return HandsetCaller(spec.caller.removeprefix(HANDSET))
    if is_outside(spec.caller):
        return OutsideCaller(TRUNK, spec.caller)
    return InsideCaller(*qualified(scenario, spec.caller).split("/"))


def is_outside(caller: str) -> bool:
    """Whether a scenario's caller is a number, in whatever notation, rather than an extension."""
    return caller.startswith("+") or (caller.isdigit() and len(caller) > 6)


def qualified(scenario: Scenario, name: str) -> str:
    """ "100" as "org/100", "b/200" as the neighbour's, a number as it is."""
    if name.startswith("+") or not name.replace("b/", "").isdigit() or name in {"999", "995"}:
        return name
    return f"{scenario.slug}-b/{name[2:]}" if name.startswith("b/") else f"{scenario.slug}/{name}"


def circumstances(scenario: Scenario, spec: CallSpec) -> Circumstances:
    """The call's circumstances as `explain` takes them."""
    logs_in = spec.caller.startswith(HANDSET)  # what is typed first is who
    right = PIN if logs_in or spec.to == VOICEMAIL_CODE else scenario.code
    return Circumstances(
        behaviour={qualified(scenario, name): what for name, what in spec.behaviour.items()},
        in_call=frozenset(qualified(scenario, name) for name in spec.in_call),
        codes=tuple(entry == right for entry in spec.enter[int(logs_in) :]),
        logs_in=spec.enter[0] if logs_in and spec.enter else "",
        last_used={
            f"{scenario.slug}/{key}": device_id(scenario.slug, key, kind)
            for key, kind in spec.last_used.items()
        },
        at=spec.at,
        began_with={f"{scenario.slug}/{key}": member for key, member in spec.began_with.items()},
        last_call_ended={f"{scenario.slug}/{key}": at for key, at in spec.last_call_ended.items()},
    )


def explained(scenario: Scenario, model: Model, spec: CallSpec) -> Explanation:
    """What `explain` says of one call of the scenario."""
    return explain(model, caller_of(scenario, spec), spec.to, circumstances(scenario, spec))
