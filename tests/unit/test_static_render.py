"""The files the Asterisks of the lab start with."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from control_plane.errors import UnsafeValue
from control_plane.render.static import (
    NODE_EVENTS,
    SEEDED_FILES,
    SILENCED_EVENTS,
    NodeStart,
    render_node,
)

NODE = NodeStart(
    name="lab",
    sip_address="127.0.0.1",
    sip_port=5060,
    rtp_port_min=20000,
    rtp_port_max=20999,
    ami_address="127.0.0.1",
    ami_port=5038,
    ami_user="wirechief",
    ami_secret="correct-horse",
    ami_permit=("127.0.0.0/8",),
    sip_tls_port=5061,
    realm="asterisk",
    user_agent="wirechief",
)


def test_rendering_the_same_node_twice_gives_the_same_bytes() -> None:
    assert render_node(NODE) == render_node(NODE)


def test_nothing_that_runs_programs_on_the_host_is_loaded() -> None:
    modules = render_node(NODE)["modules.conf"]
    assert "autoload = no" in modules
    assert not re.search(r"load = (app_system|func_shell|pbx_spool|res_agi|res_ari|res_config_)", modules)


def test_no_log_channel_shows_the_digits_callers_type() -> None:
    channels = render_node(NODE)["logger.conf"].split("[logfiles]")[1]
    assert not re.search(r"verbose|debug|dtmf|\*", channels)


def test_what_a_stranger_can_cause_goes_to_no_file() -> None:
    # Each unauthenticated packet makes a notice and a security event.
    files = re.findall(
        r"^(?!console)\w+ = (.*)$", render_node(NODE)["logger.conf"].split("[logfiles]")[1], re.M
    )
    assert files == ["warning,error"]


def test_the_manager_user_can_neither_place_calls_nor_run_commands() -> None:
    manager = render_node(NODE)["manager.conf"]
    assert "write = system,reporting,config\n" in manager
    assert "permit = 127.0.0.0/8\n" in manager


def test_the_manager_secret_is_in_no_other_file() -> None:
    files = render_node(NODE)
    assert [name for name, text in files.items() if "correct-horse" in text] == ["manager.conf"]


def test_files_edited_over_ami_include_no_others() -> None:
    files = render_node(NODE)
    for name in SEEDED_FILES:
        assert "#" not in re.sub(r";.*", "", files[name])


def test_a_line_break_in_a_setting_is_refused_with_its_name() -> None:
    with pytest.raises(UnsafeValue, match="realm"):
        replace(NODE, realm="asterisk\n[evil]")


def test_no_event_the_control_plane_wants_is_silenced() -> None:
    assert not set(NODE_EVENTS) & set(SILENCED_EVENTS)
    manager = render_node(NODE)["manager.conf"]
    assert f"disabledevents = {','.join(SILENCED_EVENTS)}" in manager
