"""The desired state as one immutable value with the look-ups everything downstream needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from control_plane.domain.accounts import Account, Token
from control_plane.domain.entities import (
    Leftover,
    Occupancy,
    Organisation,
    Person,
    PhoneNumber,
    Site,
    Trunk,
)
from control_plane.domain.extension import DEVICE_PRIORITY, Device, DeviceKind, Extension, ExtensionType
from control_plane.domain.features import FEATURE_CODES, FeatureCode
from control_plane.domain.groups import CallGroup, MainNumber
from control_plane.domain.handsets import Handset
from control_plane.domain.pins import PIN_FAILURES_MAX
from control_plane.domain.voice import ServiceChange, VoiceService

ExtensionId = tuple[str, str]
"""(organisation id, extension key)."""


@dataclass(frozen=True)
class Model:
    """Every entity by its key. Built once per revision; treat the mappings as read-only."""

    organisations: Mapping[str, Organisation] = field(default_factory=dict)
    sites: Mapping[str, Site] = field(default_factory=dict)
    occupancies: Mapping[tuple[str, str], Occupancy] = field(default_factory=dict)
    people: Mapping[str, Person] = field(default_factory=dict)
    numbers: Mapping[str, PhoneNumber] = field(default_factory=dict)
    extensions: Mapping[ExtensionId, Extension] = field(default_factory=dict)
    devices: Mapping[ExtensionId, tuple[Device, ...]] = field(default_factory=dict)
    trunks: Mapping[str, Trunk] = field(default_factory=dict)
    handsets: Mapping[str, Handset] = field(default_factory=dict)
    services: Mapping[tuple[str, str], VoiceService] = field(default_factory=dict)
    service_changes: Mapping[tuple[str, str, str], ServiceChange] = field(default_factory=dict)
    leftovers: Mapping[tuple[str, str, str], Leftover] = field(default_factory=dict)
    accounts: Mapping[str, Account] = field(default_factory=dict)
    tokens: Mapping[str, Token] = field(default_factory=dict)
    call_groups: Mapping[ExtensionId, CallGroup] = field(default_factory=dict)
    main_numbers: Mapping[tuple[str, str], MainNumber] = field(default_factory=dict)
    feature_codes: tuple[FeatureCode, ...] = FEATURE_CODES
    pin_failures_max: int = PIN_FAILURES_MAX

    @classmethod
    def of(
        cls,
        *,
        organisations: Iterable[Organisation] = (),
        sites: Iterable[Site] = (),
        occupancies: Iterable[Occupancy] = (),
        people: Iterable[Person] = (),
        numbers: Iterable[PhoneNumber] = (),
        extensions: Iterable[Extension] = (),
        devices: Iterable[Device] = (),
        trunks: Iterable[Trunk] = (),
        handsets: Iterable[Handset] = (),
        services: Iterable[VoiceService] = (),
        service_changes: Iterable[ServiceChange] = (),
        leftovers: Iterable[Leftover] = (),
        accounts: Iterable[Account] = (),
        tokens: Iterable[Token] = (),
        call_groups: Iterable[CallGroup] = (),
        main_numbers: Iterable[MainNumber] = (),
        feature_codes: tuple[FeatureCode, ...] = FEATURE_CODES,
        pin_failures_max: int = PIN_FAILURES_MAX,
    ) -> Model:
        """The model of these entities, in any order."""
        grouped: dict[ExtensionId, list[Device]] = {}
        for device in devices:
            grouped.setdefault((device.org, device.extension), []).append(device)
        return cls(
            organisations={o.id: o for o in organisations},
            sites={s.id: s for s in sites},
            occupancies={(o.org, o.site): o for o in occupancies},
            people={p.id: p for p in people},
            numbers={n.e164: n for n in numbers},
            extensions={(e.org, e.key): e for e in extensions},
            devices={owner: by_priority(found) for owner, found in grouped.items()},
            trunks={t.id: t for t in trunks},
            handsets={h.mac: h for h in handsets},
            services={(s.org, s.site): s for s in services},
            service_changes={(c.org, c.site, c.on.isoformat()): c for c in service_changes},
            leftovers={(left.node, left.org, left.extension): left for left in leftovers},
            accounts={a.email: a for a in accounts},
            tokens={t.id: t for t in tokens},
            call_groups={(g.org, g.key): g for g in call_groups},
            main_numbers={(m.org, m.site): m for m in main_numbers},
            feature_codes=feature_codes,
            pin_failures_max=pin_failures_max,
        )

    def is_active(self, extension: Extension) -> bool:
        """R23: an extension with a number works only while that number is ACTIVE."""
        if extension.number is None:
            return True
        number = self.numbers.get(extension.number)
        return number is not None and number.routes

    def devices_of(self, extension: Extension) -> tuple[Device, ...]:
        """Its devices, in ring priority order."""
        return self.devices.get((extension.org, extension.key), ())

    def device(self, ident: str) -> Device | None:
        """The device of this SIP user name; looks through all of them."""
        return next((d for found in self.devices.values() for d in found if d.id == ident), None)

    def handset_of(self, device: str) -> Handset | None:
        """The handset that is set up as `device`; looks through all of them."""
        return next((h for h in self.handsets.values() if h.device == device), None)

    @cached_property
    def memberships(self) -> Mapping[ExtensionId, tuple[str, ...]]:
        """The Group Keys of every extension that is a member of a call group."""
        found: dict[ExtensionId, list[str]] = {}
        for org, key in sorted(self.call_groups):
            for member in self.call_groups[org, key].members:
                found.setdefault((org, member), []).append(key)
        return {ident: tuple(keys) for ident, keys in found.items()}

    @cached_property
    def full_sites(self) -> frozenset[str]:
        """The sites of which every phone ID is taken, so that nobody more can log in there (R52)."""
        taken: dict[str, set[int]] = {}
        for handset in self.handsets.values():
            if handset.phone_id is not None:
                taken.setdefault(handset.site, set()).add(handset.phone_id)
        return frozenset(
            site
            for site, numbers in taken.items()
            if numbers.issuperset(range(1, self.sites[site].provisioning.phone_ids + 1))
        )

    def main_number(self, e164: str) -> MainNumber | None:
        """The group features of this number; None when it is no main number, or nothing is set for it."""
        number = self.numbers.get(e164)
        if number is None or not number.main or number.org is None:
            return None
        found = self.main_numbers.get((number.org, number.site))
        return found if found is not None and found.e164 == e164 else None

    def reception_of(self, org: str, site: Site) -> tuple[str, ...]:
        """What reaches reception for an organisation at a site: the site's numbers and its own (A59)."""
        occupancy = self.occupancies.get((org, site.id))
        return site.reception + (occupancy.reception if occupancy else ())

    def node_of(self, extension: Extension) -> str:
        return self.sites[extension.site].node


def by_priority(devices: Iterable[Device]) -> tuple[Device, ...]:
    """`devices` as R89 orders them: IP phone, mobile, desktop."""
    return tuple(sorted(devices, key=lambda d: (DEVICE_PRIORITY.index(d.kind), d.id)))


def chosen(devices: Iterable[Device], kinds: Iterable[DeviceKind]) -> tuple[Device, ...]:
    """Those of `devices` whose kind is among `kinds`."""
    wanted = frozenset(kinds)
    if not wanted:
        return ()
    return tuple(device for device in devices if device.kind in wanted)


def ring_choice(extension: Extension, devices: tuple[Device, ...]) -> tuple[Device, ...]:
    """Devices an explicit choice rings (R83, R85, R88); empty when the default rule decides (R86-R89)."""
    if extension.type is ExtensionType.CONTACT_CENTER:
        kinds = extension.ring_devices or (
            (extension.primary_device,) if extension.primary_device is not None else ()
        )
        return chosen(devices, kinds)[:1] or devices[:1]
    return chosen(devices, extension.ring_devices)
