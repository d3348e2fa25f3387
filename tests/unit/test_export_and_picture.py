"""A node as files, and the call path as a picture."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from control_plane.callpath.graph import GRAPH
from control_plane.domain.entities import Occupancy, Organisation, Site, Trunk
from control_plane.domain.extension import (
    Device,
    DeviceKind,
    Extension,
    Forwarding,
    NoAnswer,
    NoAnswerAction,
)
from control_plane.domain.model import Model
from control_plane.domain.regions import RegionCode
from control_plane.render.dialplan import dialplan_text
from control_plane.render.export import Export, Place, render_export
from control_plane.render.mailboxes import MAILBOX_FILES
from control_plane.render.picture import graph_mermaid
from control_plane.render.place_picture import extension_mermaid
from control_plane.render.static import NodeStart, render_node
from control_plane.render.templates import sections
from tests.unit.handset_models import MAC, OTHER, handset

START = NodeStart(
    name="lab",
    sip_address="192.0.2.1",
    sip_port=5060,
    rtp_port_min=20000,
    rtp_port_max=20099,
    ami_address="127.0.0.1",
    ami_port=5038,
    ami_user="wirechief",
    ami_secret="secret",
    ami_permit=("127.0.0.0/8",),
    sip_tls_port=5061,
    realm="asterisk",
    user_agent="wirechief",
)


HERE = Place("/etc/asterisk", START.sip_address, START.sip_address)


def extension(key: str, **fields: object) -> Extension:
    return Extension.model_validate({"org": "acme", "key": key, "site": "sg", **fields})


def device(key: str, kind: DeviceKind = DeviceKind.DESKTOP) -> Device:
    values = {"id": f"d{key}{kind.value[:2]}xxxxxx", "org": "acme", "extension": key, "kind": kind}
    return Device.model_validate({**values, "sip_password": "s" * 24})


def model(*extensions: Extension) -> Model:
    return Model.of(
        organisations=[Organisation(id="acme", name="Acme")],
        sites=[
            Site(id="sg", name="SG", region=RegionCode.SG, time_zone="Asia/Singapore", trunk="carrier"),
            Site(id="far", name="Far", region=RegionCode.GB, time_zone="Europe/London", node="other"),
        ],
        occupancies=[Occupancy(org="acme", site="sg", reception=("100",))],
        trunks=[Trunk(id="carrier", host="192.0.2.9", region=RegionCode.SG)],
        extensions=extensions,
        devices=[device(e.key) for e in extensions],
    )


VOICEMAIL = NoAnswer(action=NoAnswerAction.VOICEMAIL)


@pytest.fixture(name="tree")
def _tree() -> Export:
    return render_export(
        model(
            extension("100", dnd=True),
            extension("101", no_answer=VOICEMAIL, voicemail_pin="4711"),
            extension("900", site="far"),
        ),
        START,
        HERE,
    )


def test_the_tree_has_every_file_a_node_starts_with(tree: Export) -> None:
    assert set(tree.files) == set(render_node(START)) - set(MAILBOX_FILES) | {"README"}


def test_pjsip_conf_has_the_sections_the_push_would_write_and_only_of_this_node(tree: Export) -> None:
    text = tree.files["pjsip.conf"]
    found = [(s.name, s.type) for s in sections(text[text.index("[trunk-carrier]") :])]
    assert found == [
        ("trunk-carrier", "aor"),
        ("trunk-carrier", "endpoint"),
        ("trunk-carrier", "identify"),
        *((f"d{key}dexxxxxx", kind) for key in ("100", "101") for kind in ("auth", "aor", "endpoint")),
    ]


def test_pjsip_conf_has_the_neutral_lines_of_handsets_at_this_node() -> None:
    neutral = {"neutral_user": "nq8w7e6r5t4z", "neutral_password": "N" * 24}
    found = replace(
        model(extension("100")),
        handsets={
            MAC: handset(key=None, site="sg", **neutral),
            OTHER: handset(OTHER, None, site="far", neutral_user="n" * 12, neutral_password="F" * 24),
        },
    )
    text = render_export(found, START, HERE).files["pjsip.conf"]
    assert text.count("[nq8w7e6r5t4z]") == 3 and "n" * 12 not in text


def test_pjsip_reads_nothing_from_astdb(tree: Export) -> None:
    assert "= astdb" not in tree.files["sorcery.conf"]
    assert "endpoint = config,pjsip.conf,criteria=type=endpoint" in tree.files["sorcery.conf"]
    secrets = [name for name in tree.rows if name.startswith("/pbx/") and "/endpoint/" not in name]
    assert not secrets, "endpoints alone: a transferred call reads whose device transferred it"


def test_the_dialplan_is_in_extensions_conf_with_its_comments(tree: Export) -> None:
    text = tree.files["extensions.conf"]
    assert dialplan_text(["acme"]) in text
    assert "tryinclude" not in text


def test_what_calls_read_comes_as_rows_of_astdb(tree: Export) -> None:
    assert tree.rows["/ext/acme/100/dnd"] == "1"
    assert tree.rows["/reception/sg/acme/100"] == "1"
    assert all(name.startswith("/") for name in tree.rows)
    assert "astdbdir => /etc/asterisk/db" in tree.files["asterisk.conf"]


def test_all_mailboxes_are_in_voicemail_conf_which_includes_nothing(tree: Export) -> None:
    text = tree.files["voicemail.conf"]
    assert text.endswith("\nusedirectory = no\n\n[acme]\n101 => 4711,,,,attach=no|maxsecs=59\n")
    assert "#tryinclude" not in text


def test_a_tree_for_another_place_names_that_place() -> None:
    tree = render_export(model(), START, replace(HERE, directory="/srv/pbx"))
    assert "astetcdir => /srv/pbx" in tree.files["asterisk.conf"]
    assert "cert_file = /srv/pbx/keys/node.crt" in tree.files["pjsip.conf"]
    assert not any("/etc/asterisk" in text for text in tree.files.values())


def test_without_a_certificate_there_is_no_tls_transport_and_everything_else() -> None:
    text = render_export(model(), START, replace(HERE, certificate_for=None)).files["pjsip.conf"]
    assert "transport-tls" not in text
    assert "[transport-tcp]" in text
    assert "[trunk-carrier]" in text


def test_an_export_is_the_same_every_time() -> None:
    same = model(extension("100"))
    assert render_export(same, START, HERE) == render_export(same, START, HERE)


def test_a_tree_for_another_address_has_that_address_wherever_the_node_had_its_own() -> None:
    sited = model(extension("100"))
    site = sited.sites["sg"].model_copy(update={"media_address": START.sip_address})
    sited = replace(sited, sites={**sited.sites, "sg": site})
    tree = render_export(sited, START, replace(HERE, sip_address="198.51.100.7"))
    assert "bind = 198.51.100.7:5060" in tree.files["pjsip.conf"]
    assert "media_address=198.51.100.7" in tree.files["pjsip.conf"]
    assert not any(START.sip_address in text.replace("192.0.2.1,", "") for text in tree.files.values())


def test_a_tree_tells_in_five_steps_what_to_do_with_it(tree: Export) -> None:
    text = tree.files["README"]
    assert re.findall(r"^(\d)\. ", text, re.M) == ["1", "2", "3", "4", "5"]
    assert "SIP 192.0.2.1 port 5060 (UDP, TCP), 5061 (TLS), RTP UDP 20000-20099" in text
    assert "put your own" not in text


def test_a_certificate_for_another_address_is_named_as_what_is_left_to_do() -> None:
    text = render_export(model(), START, replace(HERE, certificate_for="127.0.0.1")).files["README"]
    assert "keys/node.crt is not made out to\n192.0.2.1: put your own certificate" in text


def test_no_file_speaks_of_containers(tree: Export) -> None:
    said = [name for name, text in tree.files.items() if re.search("container|docker|/usr/local", text, re.I)]
    assert said == []


def test_the_manager_user_of_a_tree_can_only_read(tree: Export) -> None:
    assert "write = reporting\n" in tree.files["manager.conf"]


def shapes(picture: str) -> set[str]:
    return set(re.findall(r"^ +(\w+)(?:\{\{|\[)", picture, re.MULTILINE))


def targets(picture: str) -> set[str]:
    return set(re.findall(r"> (?:\|.*?\| )?(\w+)$", picture, re.MULTILINE)) | set(
        re.findall(r"\| (\w+)$", picture, re.MULTILINE)
    )


def test_the_picture_of_the_graph_has_every_node_and_no_loose_arrow() -> None:
    picture = graph_mermaid()
    assert {name.replace(".", "_") for name in GRAPH} <= shapes(picture)
    drawn = shapes(picture) | set(re.findall(r"^ +(end_\w+)\(", picture, re.MULTILINE))
    assert targets(picture) <= drawn


def test_the_picture_of_an_extension_shows_only_what_its_settings_leave_open() -> None:
    quiet = extension("100", dnd=True)
    assert shapes(extension_mermaid(model(quiet), quiet)) == {"in_active", "in_dnd"}
    forwarding = extension("100", forwarding=Forwarding(enabled=True, extensions=("101",), vip=("102",)))
    picture = extension_mermaid(model(forwarding, extension("101")), forwarding)
    assert "in_vip -->|yes| in_devices" in picture
    assert "in_forward -->|busy / no_answer / unavailable| in_no_answer" in picture
    assert "in_forwarding -->|off|" not in picture


def test_a_label_cannot_break_the_picture() -> None:
    odd = extension("100", label='<b>"x"</b> #1')
    first = extension_mermaid(model(odd), odd).splitlines()[1]
    assert first == "  call([\"Call to 100 (b)'x'(/b) 1\"]) --> in_active"
