"""A node as files: a plain Asterisk on an exported tree, with nobody pushing, plays the same scenarios."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import pytest

from control_plane.adapters.ami_exchange import wait_until_booted
from control_plane.adapters.engine import ASTERISK_UID, docker, remove
from control_plane.adapters.phones import Engine
from control_plane.bootstrap.export import export_tree
from control_plane.bootstrap.wiring import Wiring
from control_plane.domain.model import Model
from control_plane.errors import Rejected
from tests.calls.node import NodeUnderTest, node_under_test
from tests.calls.player import Player
from tests.calls.scenario import FOLDER, Scenario, build, load
from tests.calls.test_scenarios import compare
from tests.lab import RunningLab, running_lab_in

PLAYED = (
    "r95-vip-rings-both-devices-of-100",
    "dnd-without-voicemail-is-busy",
    "dnd-with-voicemail-takes-a-message",
    "restricted-right-code",
    "restricted-wrong-code-twice",
    "no-answer-goes-to-voicemail",
    "tls-and-srtp-call",
    "emergency",
    "feature-codes",
    "neutral-line-emergency-and-reception",
)
"""Scenarios whose models fit into one export: no number belongs to two of them."""


@dataclass(frozen=True)
class ExportedNode:
    """The plain Asterisk and where what it writes can be read."""

    node: NodeUnderTest
    boot_log: str
    spool: Path


SCENARIOS = {name: load(FOLDER / f"{name}.yaml") for name in PLAYED}


def united(models: list[Model]) -> Model:
    """One model of several; what two of them share (the site, the trunk) is the same in both."""
    return Model.of(
        organisations=chain.from_iterable(m.organisations.values() for m in models),
        sites=chain.from_iterable(m.sites.values() for m in models),
        occupancies=chain.from_iterable(m.occupancies.values() for m in models),
        numbers=chain.from_iterable(m.numbers.values() for m in models),
        extensions=chain.from_iterable(m.extensions.values() for m in models),
        call_groups=chain.from_iterable(m.call_groups.values() for m in models),
        handsets=chain.from_iterable(m.handsets.values() for m in models),
        devices=(d for m in models for found in m.devices.values() for d in found),
        trunks=chain.from_iterable(m.trunks.values() for m in models),
    )


def plain_asterisk(lab: RunningLab, tree: Path, scratch: Path) -> str:
    """Starts Asterisk itself on the tree, in the place of the lab's node; what it logged until booted."""
    remove(lab.lab.node_name)
    owner, group = os.getuid() or ASTERISK_UID, os.getgid() or ASTERISK_UID
    mounts = {"etc": tree, "log": scratch / "log", "spool": scratch / "spool"}
    for path in (mounts["log"], mounts["spool"]):
        path.mkdir()
    if os.getuid() == 0:
        for path in (*mounts.values(), *tree.rglob("*")):
            os.chown(path, owner, group)
    docker(
        "run",
        "--detach",
        "--pull=never",
        "--network=host",
        "--init",
        f"--name={lab.lab.node_name}",
        f"--user={owner}:{group}",
        f"--tmpfs=/run/asterisk:uid={owner},gid={group}",
        f"--volume={mounts['etc']}:/etc/asterisk",
        f"--volume={mounts['log']}:/var/log/asterisk",
        f"--volume={mounts['spool']}:/var/spool/asterisk",
        "--entrypoint=asterisk",
        lab.settings.asterisk_image,
        "-f",
    )
    s, secret = lab.settings, lab.secrets.ami.get_secret_value()
    asyncio.run(wait_until_booted(s.ami_host, s.ami_port, s.ami_user, secret, within_s=s.start_deadline_s))
    return (mounts["log"] / "messages.log").read_text() + docker("logs", lab.lab.node_name)


def on_lab(lab: RunningLab, scenario: Scenario) -> Model:
    s = lab.settings
    return build(
        scenario,
        trunk_host=s.carrier_address,
        trunk_port=s.carrier_sip_port,
        media_address=s.sip_address,
    )


@pytest.fixture(scope="module")
def exported(asterisk_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExportedNode]:
    scratch = tmp_path_factory.mktemp("exported")
    with running_lab_in(scratch / "state", asterisk_image=asterisk_image) as lab:
        # The carrier is the lab's; its node only lent the addresses and made the certificate.
        models = [on_lab(lab, scenario) for scenario in SCENARIOS.values()]
        export_tree(Wiring(lab.settings, lab.secrets), united(models), scratch / "etc")
        secrets = lab.secrets.model_copy(update={"ami": lab.secrets.export_ami})
        alone = replace(lab, secrets=secrets)
        boot_log = plain_asterisk(alone, scratch / "etc", scratch)
        with node_under_test(alone) as node:
            yield ExportedNode(node, boot_log, scratch / "spool")


def test_a_plain_asterisk_starts_on_the_tree_without_a_warning(exported: ExportedNode) -> None:
    assert re.findall(r".*(?:WARNING|ERROR).*", exported.boot_log) == []


@pytest.mark.parametrize("name", PLAYED)
def test_a_call_on_the_exported_node_equals_explain(
    exported: ExportedNode, engine: Engine, name: str
) -> None:
    scenario = SCENARIOS[name]
    model = on_lab(exported.node.lab, scenario)
    player = Player(exported.node, engine, scenario, model)
    for spec in scenario.calls:
        compare(scenario, model, spec, player.play(spec))


def test_a_message_left_on_the_exported_node_is_in_the_spool(exported: ExportedNode, engine: Engine) -> None:
    scenario = SCENARIOS["dnd-with-voicemail-takes-a-message"]
    model = on_lab(exported.node.lab, scenario)
    box = exported.spool / "voicemail" / scenario.slug / "101"
    with Player(exported.node, engine, scenario, model).phones(frozenset()) as phones:
        call = phones.of(f"{scenario.slug}/100").call("101")
        engine.poll_until(lambda: any(box.rglob("*.wav")), 30, "the greeting is over and the message begins")
        engine.run_for(2)
        call.hangup()
        exported.node.wait_quiet(lambda: engine.poll(0.01))
    assert [p.name for p in sorted((box / "INBOX").glob("msg0000.*"))] == ["msg0000.txt", "msg0000.wav"]


def test_the_manager_user_of_the_export_may_not_write(exported: ExportedNode) -> None:
    with pytest.raises(Rejected, match="Permission denied"):
        exported.node.run(exported.node.link.put_rows([("pbx/auth/x", "{}")]))
