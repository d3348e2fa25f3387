"""The lab's two Asterisks as they really start, run, die and come back."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import ssl
import stat
import subprocess
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from control_plane.adapters.ami_exchange import AmiExchange, ami_exchange
from control_plane.adapters.carrier import Behaviour, CallEnd, Carrier
from control_plane.adapters.containers import BOOTSTRAP, Lab
from control_plane.adapters.engine import ContainerState, docker, log_tail
from control_plane.adapters.secrets import load_or_make_secrets
from control_plane.errors import LabError, LoginRefused, Rejected, Unreachable, UnsafeValue
from control_plane.render.mailboxes import mailbox_file
from tests.lab import RunningLab, own_settings, running_lab_in
from tests.waiting import wait_until

pytestmark = pytest.mark.asterisk

OUTSIDE = "+14155550123"
IDENTIFY_CACHE = "identify"
DIALPLAN = (
    "_+1212555XXXX,1,Dial(PJSIP/${CALLERID(num)}@trunk,20)",
    "_+1212555XXXX,2,Hangup(${HANGUPCAUSE})",
    f"_+1646555XXXX,1,Dial(PJSIP/{OUTSIDE}@trunk,20)",
    "_+1646555XXXX,2,Hangup(${HANGUPCAUSE})",
    "h,1,UserEvent(Probe)",
)


def node_ami(running: RunningLab) -> AbstractAsyncContextManager[AmiExchange]:
    settings = running.settings
    return ami_exchange(
        settings.ami_host, settings.ami_port, settings.ami_user, running.secrets.ami.get_secret_value()
    )


async def put(ami: AmiExchange, family: str, key: str, value: object) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    await ami.action("DBPut", ("Family", family), ("Key", key), ("Val", text))


async def push_dialplan(ami: AmiExchange) -> None:
    name = "generated_dialplan.conf"
    await ami.action("CreateConfig", ("Filename", name))
    operations = [("NewCat", ""), *(("Append", line) for line in DIALPLAN)]
    headers = [("SrcFilename", name), ("DstFilename", name)]
    for number, (operation, line) in enumerate(operations):
        headers += [(f"Action-{number:06}", operation), (f"Cat-{number:06}", "from-trunk")]
        if line:
            headers += [(f"Var-{number:06}", "exten"), (f"Value-{number:06}", f">{line}")]
    await ami.action("UpdateConfig", *headers)
    await ami.action("Reload", ("Module", "pbx_config.so"))


@pytest.fixture(scope="module")
def own_lab(asterisk_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    """A lab these tests may break."""
    with running_lab_in(tmp_path_factory.mktemp("own-lab"), asterisk_image=asterisk_image) as running:
        yield running


@pytest.fixture(scope="module")
def trunked_lab(own_lab: RunningLab) -> RunningLab:
    """The node sends what comes in from the carrier out again: to its caller's number, or to OUTSIDE."""
    settings = own_lab.settings

    async def push() -> None:
        async with node_ami(own_lab) as ami:
            contact = f"sip:{settings.carrier_address}:{settings.carrier_sip_port}"
            await put(ami, "pbx/aor", "trunk", {"contact": contact})
            endpoint = {
                "context": "from-trunk",
                "aors": "trunk",
                "allow": "alaw",
                "direct_media": "no",
                "trust_id_inbound": "yes",
            }
            await put(ami, "pbx/endpoint", "trunk", endpoint)
            identify = {"endpoint": "trunk", "match": settings.carrier_address}
            await put(ami, "pbx/identify", "trunk", identify)
            # PJSIP keeps a copy of these: without this the first calls are refused, for up to five seconds.
            await ami.action("SorceryMemoryCachePopulate", ("Cache", IDENTIFY_CACHE))
            await push_dialplan(ami)

    asyncio.run(push())
    return own_lab


def complaints(log: Path) -> list[str]:
    return [line for line in log.read_text().splitlines() if re.search(r"\b(WARNING|ERROR)\b", line)]


def test_both_asterisks_boot_without_a_warning_or_an_error(asterisk_image: str, tmp_path: Path) -> None:
    with running_lab_in(tmp_path, asterisk_image=asterisk_image) as fresh:
        assert complaints(fresh.lab.node_dir / "log" / "messages") == []
        assert complaints(fresh.lab.carrier_dir / "log" / "messages") == []


def test_packets_of_strangers_do_not_grow_a_file(own_lab: RunningLab) -> None:
    settings = own_lab.settings
    log = own_lab.lab.node_dir / "log" / "messages"
    before = log.stat().st_size
    register = (
        f"REGISTER sip:{settings.sip_address} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK-1\r\n"
        "From: <sip:nobody@example.org>;tag=1\r\nTo: <sip:nobody@example.org>\r\nCall-ID: probe\r\n"
        "CSeq: 1 REGISTER\r\nContact: <sip:nobody@127.0.0.1:9>\r\nContent-Length: 0\r\n\r\n"
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for packet in (
            b"INVITE garbage",
            b"\x00\xff" * 40,
            b"REGISTER sip:x SIP/2.0\r\n\r\n",
            register.encode(),
        ):
            stranger.sendto(packet, (settings.sip_address, settings.sip_port))
    wait_until(lambda: "nobody" in log_tail(own_lab.lab.node_name, 50), "the stranger in Asterisk's log", 5)
    assert log.stat().st_size == before


def test_up_on_a_running_lab_leaves_it_alone(own_lab: RunningLab) -> None:
    before = docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", own_lab.lab.node_name)
    status = own_lab.lab.up()
    assert docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", own_lab.lab.node_name) == before
    assert (status.node, status.carrier) == (ContainerState.RUNNING, ContainerState.RUNNING)
    assert status.restart_needed == ()


def test_nothing_secret_is_readable_by_others(own_lab: RunningLab) -> None:
    state_dir = own_lab.settings.state_dir
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE((state_dir / "secrets.json").stat().st_mode) == 0o600
    for directory in (own_lab.lab.node_dir, own_lab.lab.carrier_dir):
        for path in (directory / "etc").iterdir():
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path.name
        assert stat.S_IMODE((directory / "db" / "astdb.sqlite3").stat().st_mode) & 0o077 == 0


def test_asterisk_does_not_run_as_root(own_lab: RunningLab) -> None:
    users = docker("exec", own_lab.lab.node_name, "sh", "-c", "cat /proc/[0-9]*/status | grep ^Uid")
    assert users
    assert not re.search(r"^Uid:\s+0\b", users, re.MULTILINE)


def test_nothing_that_runs_programs_is_loaded_and_every_wanted_module_runs(own_lab: RunningLab) -> None:
    modules = docker("exec", own_lab.lab.node_name, "asterisk", "-rx", "module show")
    assert not re.search(r"^(app_system|func_shell|pbx_spool|res_agi|res_ari)\.so", modules, re.MULTILINE)
    assert not re.search(r"Not Running", modules)
    assert re.search(r"^app_voicemail\.so.*Running", modules, re.MULTILINE)


async def test_the_manager_user_can_push_but_neither_call_nor_run_commands(own_lab: RunningLab) -> None:
    async with node_ami(own_lab) as ami:
        await put(ami, "probe", "key", "value")
        for refused in ("Originate", "Command", "Atxfer", "QueueAdd"):
            with pytest.raises(Rejected):
                await ami.action(refused, ("Channel", "Local/1@nowhere"), ("Command", "core show version"))


async def test_a_wrong_manager_password_is_refused(own_lab: RunningLab) -> None:
    settings = own_lab.settings
    with pytest.raises(LoginRefused):
        async with ami_exchange(settings.ami_host, settings.ami_port, settings.ami_user, "wrong"):
            pytest.fail("logged in with a wrong password")


async def test_a_line_break_in_a_value_is_refused_before_anything_is_sent(own_lab: RunningLab) -> None:
    async with node_ami(own_lab) as ami:
        with pytest.raises(UnsafeValue):
            await put(ami, "probe", "key", "a\r\nAction: Logoff")
        await ami.action("Ping")


def test_phones_can_check_the_nodes_certificate_against_the_labs_authority(own_lab: RunningLab) -> None:
    settings = own_lab.settings
    context = ssl.create_default_context(cafile=str(own_lab.lab.certificate_authority))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    for name in (settings.sip_address, "localhost"):
        with (
            socket.create_connection((settings.sip_address, settings.sip_tls_port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=name) as secured,
        ):
            assert secured.version() == "TLSv1.2"


@pytest.mark.parametrize(
    ("behaviour", "end", "cause"),
    [
        (Behaviour.ANSWER, CallEnd.ANSWERED, 16),
        (Behaviour.ECHO, CallEnd.ANSWERED, 16),
        (Behaviour.BUSY, CallEnd.BUSY, 17),
        (Behaviour.RING, CallEnd.NO_ANSWER, 0),
    ],
)
async def test_a_call_through_the_pbx_meets_the_number_as_it_was_set(
    trunked_lab: RunningLab, behaviour: Behaviour, end: CallEnd, cause: int
) -> None:
    await trunked_lab.carrier.set_number(OUTSIDE, behaviour)
    result = await trunked_lab.carrier.call("+442071838750", "+16465550100", talk_s=1, ring_s=2)
    assert result.end is end
    if cause:
        assert result.cause == cause
    seen = await trunked_lab.carrier.seen(OUTSIDE)
    assert seen is not None
    assert (seen.dialled, seen.behaviour) == (OUTSIDE, behaviour.value)


async def test_an_emergency_number_answers_even_when_it_was_set_busy(trunked_lab: RunningLab) -> None:
    await trunked_lab.carrier.set_number("911", Behaviour.BUSY)
    result = await trunked_lab.carrier.call("911", "+12125550100", talk_s=1, ring_s=5)
    assert result.end is CallEnd.ANSWERED
    seen = await trunked_lab.carrier.seen("911")
    assert seen is not None
    assert seen.behaviour == "emergency"


async def test_the_pbx_sees_the_number_of_an_outside_caller_and_not_that_of_an_anonymous_one(
    trunked_lab: RunningLab,
) -> None:
    carrier = trunked_lab.carrier
    await carrier.set_number(OUTSIDE, Behaviour.BUSY)
    await carrier.call("+442071838750", "+16465550100", ring_s=2)
    shown = await carrier.seen(OUTSIDE)
    await carrier.call("anonymous", "+16465550100", ring_s=2)
    withheld = await carrier.seen(OUTSIDE)
    assert shown is not None and withheld is not None
    assert shown.caller_number == "+442071838750"
    assert "+442071838750" not in withheld.from_header
    assert "anonymous" in withheld.from_header.lower()


async def test_a_number_the_pbx_does_not_know_is_refused(trunked_lab: RunningLab) -> None:
    result = await trunked_lab.carrier.call("+442071838750", "+33123456789", ring_s=5)
    assert result.end is CallEnd.REFUSED


async def test_a_call_sends_no_event_the_control_plane_would_throw_away(trunked_lab: RunningLab) -> None:
    await trunked_lab.carrier.set_number(OUTSIDE, Behaviour.ANSWER)
    async with node_ami(trunked_lab) as ami:
        await trunked_lab.carrier.call("+442071838750", "+16465550100", talk_s=1)
        await ami.event(lambda event: event.get("UserEvent") == "Probe", 5)
        noise = {event["Event"] for event in ami.kept_events} - {"FullyBooted"}
    assert noise == set()


def test_what_was_pushed_is_still_there_after_a_crash(own_lab: RunningLab) -> None:
    async def write() -> None:
        async with node_ami(own_lab) as ami:
            await put(ami, "probe", "survivor", "here")

    async def read() -> str:
        async with node_ami(own_lab) as ami:
            await ami.action("DBGet", ("Family", "probe"), ("Key", "survivor"))
            event = await ami.event(lambda event: event.get("Event") == "DBGetResponse", 5)
            value: str = event["Val"]
            return value

    asyncio.run(write())
    database = own_lab.lab.node_dir / "db" / "astdb.sqlite3"
    # Asterisk commits about once a second.
    wait_until(lambda: b"survivor" in database.read_bytes(), "the row on the disk", 10)
    own_lab.lab.kill_node()
    assert own_lab.lab.status().node is ContainerState.STOPPED
    own_lab.lab.start_node()
    assert asyncio.run(read()) == "here"


def test_changed_settings_wait_for_a_restart_and_are_named(asterisk_image: str, tmp_path: Path) -> None:
    with running_lab_in(tmp_path, asterisk_image=asterisk_image) as running:
        changed = running.settings.model_copy(update={"sip_user_agent": "other"})
        lab = Lab(changed, running.secrets)
        pjsip = lab.node_dir / "etc" / "pjsip.conf"
        assert lab.up().restart_needed == ("node: pjsip.conf",)
        assert "other" not in pjsip.read_text()
        lab.down()
        assert lab.up().restart_needed == ()
        assert "user_agent = other" in pjsip.read_text()


def test_a_mailbox_file_edited_over_ami_is_not_overwritten_at_the_next_start(
    asterisk_image: str, tmp_path: Path
) -> None:
    with running_lab_in(tmp_path, asterisk_image=asterisk_image) as running:
        mailboxes = running.lab.node_dir / "etc" / mailbox_file("acme/100")
        edited = mailboxes.read_text() + "[acme]\n100 = 1234\n"
        mailboxes.write_text(edited)
        running.lab.down()
        running.lab.up()
        assert mailboxes.read_text() == edited


def test_a_taken_port_is_named_with_the_setting_that_changes_it(asterisk_image: str, tmp_path: Path) -> None:
    settings = own_settings(tmp_path, asterisk_image=asterisk_image)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as squatter:
        squatter.bind((settings.sip_address, settings.sip_tls_port))
        squatter.listen(1)
        lab = Lab(settings, load_or_make_secrets(tmp_path))
        with pytest.raises(LabError, match=r"port 5061 \(TCP\) is taken.*WIRECHIEF_SIP_TLS_PORT"):
            lab.up()
    assert lab.status().node is ContainerState.ABSENT


def test_an_address_of_another_machine_is_named_with_its_setting(asterisk_image: str, tmp_path: Path) -> None:
    settings = own_settings(tmp_path, asterisk_image=asterisk_image, sip_address="203.0.113.77")
    with pytest.raises(
        LabError, match=r"203\.0\.113\.77 is no address of this machine: set WIRECHIEF_SIP_ADDRESS"
    ):
        Lab(settings, load_or_make_secrets(tmp_path)).up()


def test_an_image_that_is_not_there_is_named_with_the_remedy(asterisk_image: str, tmp_path: Path) -> None:
    settings = own_settings(tmp_path, asterisk_image="wirechief-asterisk:none")
    with pytest.raises(LabError, match=r"wirechief-asterisk:none is not on this machine.*docker/bootstrap"):
        Lab(settings, load_or_make_secrets(tmp_path)).up()


def test_asterisk_takes_the_open_files_it_may_have_where_the_engine_starts_with_few(
    asterisk_image: str,
) -> None:
    # In Asterisk's place: what says how many it would have.
    program = (
        "mkdir /tmp/bin; printf '#!/bin/sh\nulimit -S -n' >/tmp/bin/asterisk; chmod +x /tmp/bin/asterisk"
    )
    started = f"{program}; PATH=/tmp/bin:$PATH start-asterisk"
    arguments = ("--rm", "--network=none", "--ulimit=nofile=1024:4096", "--entrypoint=sh")
    assert docker("run", *arguments, asterisk_image, "-c", started) == "4096"


def test_an_asterisk_that_does_not_boot_in_time_says_so_with_its_last_lines(
    asterisk_image: str, tmp_path: Path
) -> None:
    settings = own_settings(tmp_path, asterisk_image=asterisk_image, start_deadline_s=2)
    lab = Lab(settings, load_or_make_secrets(tmp_path))
    lab.write_files()
    keys = lab.node_dir / "etc" / "keys"
    keys.touch()  # a file where the certificates' directory should be
    try:
        with pytest.raises(
            LabError,
            match=r"-node was not ready within 2 s. Its last lines:\n(?s:.*)no certificate could be made",
        ):
            lab.up()
    finally:
        lab.down()


async def test_the_carrier_of_a_lab_that_is_down_is_unreachable(tmp_path: Path) -> None:
    carrier = Carrier(own_settings(tmp_path), "secret")
    with pytest.raises(Unreachable):
        await carrier.set_number("+14155550100", Behaviour.BUSY)


def test_a_second_bootstrap_looks_and_changes_nothing(asterisk_image: str, tmp_path: Path) -> None:
    """Every program that installs, builds or starts something tells that it was called, and fails."""
    calls, engine = tmp_path / "calls", shutil.which("docker")
    for name in ("docker", "dockerd", "apt-get", "mmdebstrap", "systemctl"):
        program = tmp_path / name
        ends = f'exec {engine} "$@"' if name == "docker" else "exit 1"
        program.write_text(f'#!/bin/sh\necho "{name} $*" >>{calls}\n{ends}\n')
        program.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([str(BOOTSTRAP)], capture_output=True, text=True, check=True, env=environment)
    assert (done.stdout, done.stderr) == (f"{asterisk_image}\n", "")
    assert calls.read_text().splitlines() == ["docker info", f"docker image inspect {asterisk_image}"]


def test_an_engine_that_does_not_answer_is_one_sentence_with_the_remedy(tmp_path: Path) -> None:
    environment = os.environ | {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    done = subprocess.run([str(BOOTSTRAP)], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert re.fullmatch(
        r"bootstrap: the container engine named by DOCKER_HOST .* unset DOCKER_HOST.*\n", done.stderr
    )
