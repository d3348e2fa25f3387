"""The desired state as one immutable value with the look-ups everything downstream needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

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
from control_plane.domain.handsets import Handset
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
    feature_codes: tuple[FeatureCode, ...] = FEATURE_CODES

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
        feature_codes: tuple[FeatureCode, ...] = FEATURE_CODES,
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
            feature_codes=feature_codes,
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

    def node_of(self, extension: Extension) -> str:
        return self.sites[extension.site].node


def by_priority(devices: Iterable[Device]) -> tuple[Device, ...]:
    """`devices` as R89 orders them: IP phone, mobile, desktop."""
    return tuple(sorted(devices, key=lambda d: (DEVICE_PRIORITY.index(d.kind), d.id)))


def chosen(devices: Iterable[Device], kinds: Iterable[DeviceKind]) -> tuple[Device, ...]:
    """Those of `devices` whose kind is among `kinds`."""
    wanted = frozenset(kinds)
    return tuple(device for device in devices if device.kind in wanted)


def ring_choice(extension: Extension, devices: tuple[Device, ...]) -> tuple[Device, ...]:
    """Devices an explicit choice rings (R83, R85, R88); empty when the default rule decides (R86-R89)."""
    if extension.type is ExtensionType.CONTACT_CENTER:
        kinds = extension.ring_devices or (
            (extension.primary_device,) if extension.primary_device is not None else ()
        )
        return chosen(devices, kinds)[:1] or devices[:1]
    return chosen(devices, extension.ring_devices)
