"""Puts the parts together: which store, which links, which lock, from the settings and the secrets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

from control_plane.adapters.ami import AmiAddress, AmiLink, AmiTiming
from control_plane.adapters.carrier import Carrier
from control_plane.adapters.clock import SystemClock
from control_plane.adapters.containers import Lab, node_start
from control_plane.adapters.published import JournalFile, PublishedFile
from control_plane.adapters.uploads import UploadsFile, public_key
from control_plane.adapters.voicemail import VoicemailSpool
from control_plane.apply.handset_files import HandsetFiles
from control_plane.apply.handsets import Intake
from control_plane.apply.publisher import Listener, Publisher, PublisherOptions
from control_plane.apply.reconciler import Reconciler
from control_plane.apply.state import Options
from control_plane.bootstrap.installation import Installation, installed
from control_plane.bootstrap.locks import exclusive_on
from control_plane.bootstrap.reach import provisioning_url
from control_plane.domain.features import with_codes
from control_plane.plan.plan import HANDSETS
from control_plane.ports import Clock, NodeLink
from control_plane.render.handsets.assemble import Place
from control_plane.render.static import NodeStart
from control_plane.service.devices import SipAddress
from control_plane.service.handset import take_in, take_in_pin
from control_plane.service.handset_view import Provisioning, Registered
from control_plane.service.number_life import confirm_numbers, forget_leftovers
from control_plane.service.number_policy import NumberPolicy
from control_plane.settings import Settings
from control_plane.store import SqlStore, open_store

DATABASE_FILE = "wirechief.sqlite3"
PROVISIONING_REALM = "provisioning"
"""Of the HTTP logins of handsets; the provisioning server reads it in the published store."""


@dataclass(frozen=True)
class Wiring(Installation):
    """Everything that is made from settings and secrets; nothing is opened or started by having one."""

    clock: Clock = field(default_factory=SystemClock)

    @property
    def sip_address(self) -> SipAddress:
        s = self.settings
        return SipAddress(s.sip_address, s.sip_port, s.sip_tls_port)

    @property
    def number_policy(self) -> NumberPolicy:
        """What is decided here about the life of numbers."""
        s = self.settings
        return NumberPolicy(self.clock, timedelta(days=s.number_cooldown_days))

    @property
    def node_start(self) -> NodeStart:
        return node_start(self.settings, self.secrets)

    def lab(self, report: Callable[[str], None] = lambda line: None) -> Lab:
        """The containers of the lab."""
        return Lab(self.settings, self.secrets, report)

    def carrier(self) -> Carrier:
        """The outside world of the lab."""
        return Carrier(self.settings, self.secrets.carrier_ami.get_secret_value())

    @asynccontextmanager
    async def store(self) -> AsyncIterator[SqlStore]:
        """The database, its schema brought up to date."""
        store = await open_store(
            self.settings.database.get_secret_value() or self.state_dir / DATABASE_FILE,
            self.clock,
            feature_codes=with_codes(self.settings.feature_codes),
            pin_failures_max=self.settings.pin_failures_max,
        )
        try:
            yield store
        finally:
            await store.close()

    def link(self, timing: AmiTiming | None = None) -> AmiLink:
        """The link to the node, not yet connected."""
        s = self.settings
        return AmiLink(AmiAddress(s.ami_host, s.ami_port, s.ami_user, self.secrets.ami), timing)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[AmiLink]:
        """The link to the node, for the length of one command.

        Raises:
            Unreachable, LoginRefused
        """
        link = self.link()
        try:
            await link.connect()
            yield link
        finally:
            await link.close()

    @property
    def spool(self) -> VoicemailSpool:
        """The node's voicemail, as far as it is files."""
        return VoicemailSpool(self.state_dir / "node" / "spool")

    def place(self) -> Place:
        """Where handsets fetch and register, as things are now."""
        s = self.settings
        base = provisioning_url(s)
        sip = self.sip_address
        return Place(
            url=f"{base}/",
            public_url=f"{base}/c/",
            sip_host=sip.host,
            sip_port=sip.port,
            sip_tls_port=sip.tls_port,
            year=self.clock.now().year,
            realm=PROVISIONING_REALM,
            sip_realm=s.sip_realm,
            ca_pem=_text_or_nothing(self.state_dir / "provisioning" / "tls" / "ca.crt"),
            ntp_servers=s.ntp_servers,
            stun_server=s.stun_server or None,
        )

    def published(self) -> PublishedFile:
        """The published store."""
        path = self.state_dir / "published" / "store.sqlite3"
        return PublishedFile(path, PROVISIONING_REALM, public_key(self.secrets.upload_key))

    @property
    def journal(self) -> JournalFile:
        """What handsets fetched."""
        return JournalFile(self._journal_path)

    @property
    def uploads(self) -> UploadsFile:
        """What handsets sent."""
        return UploadsFile(self._journal_path, self.secrets.upload_key)

    @property
    def _journal_path(self) -> Path:
        return self.state_dir / "provisioning" / "journal.sqlite3"

    def provisioning(
        self, store: SqlStore, published: PublishedFile, link: NodeLink, registered: Registered
    ) -> Provisioning:
        """What operators see of handsets."""
        place = self.place()
        return Provisioning(
            store, published, self.journal, self.clock, registered, link, place.url, place.authority_url
        )

    def publisher(
        self, store: SqlStore, published: PublishedFile, on_published: Listener = lambda macs: None
    ) -> Publisher:
        """What keeps the published store as the model says; the lock keeps several processes apart."""
        return Publisher(
            published,
            store,
            HandsetFiles(self.place),
            options=PublisherOptions(auto_apply=self.settings.auto_apply),
            exclusive=exclusive_on(self.state_dir, HANDSETS),
            on_published=on_published,
        )

    def reconciler(self, store: SqlStore, link: AmiLink) -> Reconciler:
        """What pushes to the node; the lock keeps the pushes of several processes apart."""
        return Reconciler(
            self.settings.node,
            link,
            store,
            Intake(
                partial(take_in, store, self.clock),
                partial(take_in_pin, store),
                partial(confirm_numbers, store, self.number_policy),
                partial(forget_leftovers, store),
            ),
            self.clock,
            options=Options(auto_apply=self.settings.auto_apply),
            exclusive=exclusive_on(self.state_dir, self.settings.node),
            pins=self.spool,
            boxes=self.spool,
            tasks=store,
        )


def _text_or_nothing(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""


def wire(settings: Settings | None = None) -> Wiring:
    """The wiring of these settings, or of the environment's; makes the secrets at first use.

    Raises:
        LabError: a setting is wrong, or the state directory cannot be used.
    """
    found = installed(settings)
    return Wiring(found.settings, found.secrets)
