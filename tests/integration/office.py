"""An office whose handsets set themselves up: provisioning server, control plane and node are processes.

Each handset is a simulator of its family (`tests/handsets`) that asks over real HTTP and is told nothing but
where the provisioning server is. What it then believes is all that its SIP phone gets.
"""

from __future__ import annotations

import itertools
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx

from control_plane.adapters.phones import Answer, Engine, Phone, SipAccount
from control_plane.bootstrap.locks import PidFile
from control_plane.bootstrap.process import environment
from control_plane.callpath.graph import outcome_of, parse_trace
from control_plane.domain.extension import Transport
from control_plane.render.handsets.families import CATALOGUE
from control_plane.service.demo import OCCUPIER, SITE
from control_plane.settings import Settings
from tests.handsets.boot import Account, Boot, Handset
from tests.handsets.fanvil import FanvilPhone
from tests.handsets.softphone_boot import SET_UP_BY_LINK, Get, Got, Softphone
from tests.handsets.witnesses import WITNESSES
from tests.integration.stack import Api, Json, Stack, extension_path, running_stack

READY_S = 20.0
ANSWER_S = 20.0
AT_ONCE = 6
"""Handsets that boot, and phones that are there, at one time."""
HANDSETS = f"/organisations/{OCCUPIER}/handsets"
FIRST_EXTENSION = 201
BETWEEN_S = 0.7
"""Between two entries, as in tests/calls."""
TYPED_S = 40.0
IN_FORCE_S = 30

Change = tuple[str, str, Json | None]
"""Method, path and body."""


class ProvisioningProcess:
    """`python -m provisioning_server` on the address of the lab, started and ended from outside."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.state_dir / "provisioning"
        base = {name: value for name, value in environment().items() if not name.startswith("WIRECHIEF_")}
        self._environment = base | {
            "WIRECHIEF_PROVISIONING_STATE_DIR": str(settings.state_dir),
            "WIRECHIEF_PROVISIONING_HOST": settings.api_host,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.https = settings.provisioning_public_url
        self.http = f"http://{settings.api_host}:8069"

    def start(self) -> None:
        """Start it; returns when it answers."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        with (self._folder / "out").open("ab") as out:
            command = [sys.executable, "-m", "provisioning_server"]
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self._environment
            )
        pid_file = PidFile(self._folder, "provisioning.pid", "The provisioning server")
        deadline = time.monotonic() + READY_S
        while not pid_file.url():
            assert self._process.poll() is None, (self._folder / "out").read_text()[-2000:]
            assert time.monotonic() < deadline, "the provisioning server does not answer"
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    @property
    def authority(self) -> Path:
        """The certificate of the authority that signed its certificate."""
        return self._folder / "tls" / "ca.crt"


@dataclass
class Desk:
    """One handset: what stands on its label, and what it believes since it booted."""

    family: str
    mac: str
    model: str
    extension: str
    transport: Transport
    asks: Handset
    bootstrap: Boot | None = None
    boot: Boot | None = None

    @property
    def path(self) -> str:
        return f"{HANDSETS}/{self.mac}"

    @property
    def extension_path(self) -> str:
        return extension_path(self.extension)

    def new(self) -> Desk:
        """The same from the factory: it knows its MAC and nothing else."""
        return replace(self, asks=WITNESSES[self.family].handset(), bootstrap=None, boot=None)

    def again(self) -> Desk:
        """The same when it is switched on again: it knows where it fetches, and has no line yet."""
        asks = deepcopy(self.asks)
        if isinstance(asks, FanvilPhone):  # which keeps what it has while that is not older
            asks.version = ""
        return replace(self, asks=asks, bootstrap=self.boot, boot=None)

    @property
    def account(self) -> Account:
        """The one account it believes in."""
        assert self.boot is not None, f"{self.family} has not booted"
        [account] = self.boot.accounts
        return account


@dataclass
class SoftDesk:
    """One softphone: it has no MAC but an id of ours, and is set up by a link that works once."""

    family: str
    mac: str
    extension: str
    transport: Transport
    asks: Softphone
    boot: Boot | None = None

    @property
    def path(self) -> str:
        return f"{HANDSETS}/{self.mac}"

    @property
    def extension_path(self) -> str:
        return extension_path(self.extension)

    @property
    def account(self) -> Account:
        """The one account it believes in."""
        assert self.boot is not None, f"{self.family} was not set up"
        [account] = self.boot.accounts
        return account


@dataclass
class Office:
    """Everything that runs, a handset of each family, and each softphone that a link sets up."""

    stack: Stack
    server: ProvisioningProcess
    desks: Mapping[str, Desk]
    softphones: dict[str, SoftDesk] = field(default_factory=dict)
    sip_logs: Path = Path()
    """Where the engine's phones log."""
    _places: Iterator[int] = field(default_factory=lambda: itertools.count(20))

    @property
    def api(self) -> Api:
        return self.stack.api

    # -- the operator

    def in_force(self, changes: Iterable[Change]) -> None:
        """Make changes, and wait until handsets can fetch what follows from them and the node holds it."""
        revision = ""
        for method, path, body in changes:
            answer = self.api.ask(method, path, body)
            assert answer.status < 300, f"{method} {path}: {answer.status} {answer.body}"
            revision = answer.headers.get("X-Revision") or answer.headers["x-revision"]
        follow = f"follow?revision={revision}&within_s={IN_FORCE_S}"
        state = self.api.ok("POST", f"/provisioning/{follow}")
        # Directories come later, many at a time; settings do not wait for them.
        assert state["pending"] is None and state["revision_published"] >= int(revision), state
        node = self.api.ok("POST", f"/nodes/lab/{follow}")
        assert node["in_sync"], node

    def at_every_desk(self, change: Callable[[Desk], Change]) -> None:
        """The same with one change for each."""
        self.in_force(change(desk) for desk in self.desks.values())

    def status(self, desk: Desk | SoftDesk) -> Json:
        """How the handset stands, as the operator sees it."""
        found: Json = self.api.ok("GET", desk.path)
        return found

    # -- the handsets

    def bootstrap(self, desk: Desk) -> None:
        """Boot as from the factory: by MAC alone, at the server's name."""
        desk.bootstrap = self._booted(desk, f"{self.server.https}/", None)

    def fetch(self, desk: Desk, scheme: str = "https") -> None:
        """Boot at the address and with the login that the handset was told last."""
        known = desk.boot or desk.bootstrap
        assert known is not None and known.provisioning is not None
        told = known.provisioning
        login: httpx.Auth | None = None
        if desk.asks.login == "digest":
            login = httpx.DigestAuth(told.user, told.password)
        elif desk.asks.login == "basic":
            login = httpx.BasicAuth(told.user, told.password)
        desk.boot = self._booted(desk, told.url, login, scheme)

    def _booted(self, desk: Desk, base: str, login: httpx.Auth | None, scheme: str = "https") -> Boot:
        trust = ssl.create_default_context(cafile=str(self.server.authority))
        with httpx.Client(verify=trust, auth=login, timeout=ANSWER_S, trust_env=False) as client:

            def fetch(name: str, user_agent: str) -> bytes | None:
                url = _without_login(urljoin(base, name))
                if scheme == "http":
                    url = url.replace(self.server.https, self.server.http)
                answer = client.get(url, headers={"User-Agent": user_agent})
                return answer.content if answer.status_code == 200 else None

            return desk.asks.boot(desk.mac, desk.model, fetch)

    def link(self, desk: SoftDesk) -> str:
        """What the person at a softphone is given."""
        link: str = self.api.ok("POST", f"{desk.path}/link")["link"]
        return link

    def set_up(self, desk: SoftDesk, link: str) -> None:
        """The person opens it."""
        with self._getting() as get:
            desk.boot = desk.asks.set_up(link, get)

    def ask_again(self, desk: SoftDesk) -> None:
        """It is switched on again."""
        assert desk.boot is not None
        with self._getting() as get:
            desk.boot = desk.asks.ask_again(desk.boot, get)

    @contextmanager
    def _getting(self) -> Iterator[Get]:
        trust = ssl.create_default_context(cafile=str(self.server.authority))
        with httpx.Client(verify=trust, timeout=ANSWER_S, trust_env=False) as client:

            def get(address: str, user_agent: str) -> Got | None:
                answer = client.get(address, headers={"User-Agent": user_agent})
                found = Got(answer.headers.get("content-type", ""), answer.content)
                return found if answer.status_code == 200 else None

            yield get

    def all_boot(self, boot: Callable[[Desk], object]) -> dict[str, BaseException]:
        """Boot all handsets, some at a time; what went wrong, by family."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            started = {family: pool.submit(boot, desk) for family, desk in self.desks.items()}
        found = {family: future.exception() for family, future in started.items()}
        return {family: error for family, error in found.items() if error is not None}

    # -- their SIP side

    def phone(self, desk: Desk | SoftDesk) -> Phone:
        """A phone with what the handset believes, and an address of its own."""
        account = desk.account
        secure = account.transport is Transport.TLS
        phone = Phone(
            self.stack.engine,
            SipAccount(
                sip_user=account.auth_user or account.user,
                sip_password=account.password,
                host=account.host,
                port=account.port,
                transport=account.transport.value,
                srtp=secure,
                ca_file=self.stack.lab.lab.certificate_authority if secure else None,
                local_address=self.free_address(),
                display_name=f"{desk.family}-{desk.extension}",
            ),
        )
        phone.behaviour = Answer(after_s=0.05)
        return phone

    def notified(self, desk: Desk) -> list[str]:
        """The NOTIFY requests of ours that the newest phone of a handset got, with plain line ends.

        A phone leaves an event it does not know unanswered, so each comes again: it is here once.
        """
        logs = self.sip_logs.glob(f"{desk.account.user}-*.log")
        log = max(logs, key=lambda path: int(path.stem.rpartition("-")[2]))
        text = log.read_text(errors="replace").replace("\r", "")
        found = re.findall(r"^NOTIFY sip:.*?(?=^--end msg--)", text, re.MULTILINE | re.DOTALL)
        return list(dict.fromkeys(one for one in found if "\nFrom: <sip:wc-notify@" in one))

    def ends_as(self, phone: Phone, caller: str, dialled: str, *typed: str) -> str:
        """How a call ends that Asterisk itself takes, once what is `typed` was sent, each with a #."""
        stack = self.stack
        before = len(stack.node.call_events)
        call = phone.call(dialled)
        call.wait_confirmed()
        for digits in typed:
            stack.engine.run_for(BETWEEN_S)
            call.send_dtmf(f"{digits}#")
        stack.until(lambda: call.ended, "Asterisk ends the call", TYPED_S)
        return outcome_of(parse_trace(stack.told(before, caller, dialled)["Trace"]))

    def free_address(self) -> str:
        """A loopback address beside the node's."""
        return f"{self.stack.lab.settings.sip_address.rpartition('.')[0]}.{next(self._places)}"


def _without_login(url: str) -> str:
    """An address without user and password: how a login is answered, the handset says."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _desks() -> dict[str, Desk]:
    """One handset of every family; the families that can take turns in how they register."""
    turns = itertools.cycle(Transport)
    found = {}
    for number, (family, witness) in enumerate(WITNESSES.items()):
        supports = CATALOGUE.family(CATALOGUE.model(witness.models[0])).supports
        transport = next(turns) if "tls" in supports else Transport.UDP
        found[family] = Desk(
            family=family,
            mac=f"0c383e{0xA0B100 + number:06x}",
            model=witness.models[0],
            extension=str(FIRST_EXTENSION + number),
            transport=transport,
            asks=witness.handset(),
        )
    return found


def _set_up(office: Office) -> None:
    """As an operator does it: an extension for each, the handset with its device, its enrolment."""
    extensions = f"/organisations/{OCCUPIER}/extensions"
    for desk in office.desks.values():
        label = f"New {desk.extension}"
        office.api.ok("POST", extensions, {"key": desk.extension, "site": SITE, "label": label})
        login = {"extension": desk.extension, "transport": desk.transport.value}
        office.api.ok("POST", HANDSETS, {"mac": desk.mac, "model": desk.model, "site": SITE, "login": login})
    for place, (family, asks) in enumerate(SET_UP_BY_LINK.items()):
        key, transport = str(FIRST_EXTENSION + len(office.desks) + place), list(Transport)[place]
        [model, *_] = [model.name for model in CATALOGUE.models if model.family == family]
        office.api.ok("POST", extensions, {"key": key, "site": SITE, "label": f"New {key}"})
        login = {
            "extension": key,
            "transport": transport.value,
            "kind": "mobile" if asks().polls else "desktop",
        }
        made = office.api.ok("POST", HANDSETS, {"model": model, "site": SITE, "login": login})
        office.softphones[family] = SoftDesk(family, made["mac"], key, transport, asks())
    office.at_every_desk(lambda desk: ("PUT", f"{desk.path}/enrolment", {}))


@contextmanager
def running_office(state_dir: Path, image: str, sip_logs: Path) -> Iterator[Office]:
    """All of it up, every handset set up and not yet switched on."""
    with Engine(sip_logs) as engine, running_stack(state_dir, image, engine) as stack:
        server = ProvisioningProcess(stack.lab.settings)
        try:
            server.start()
            office = Office(stack, server, _desks(), sip_logs=sip_logs)
            _set_up(office)
            yield office
        finally:
            server.kill()
