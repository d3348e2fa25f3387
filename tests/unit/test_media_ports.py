"""Whether the ports for media are there for Asterisk alone."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane.adapters import media_ports
from control_plane.adapters.media_ports import ephemeral_ports, media_warnings, overlap, taken_ports
from tests.lab import own_settings

ADDRESS = "127.77.1.1"


@pytest.fixture
def taken() -> Iterator[int]:
    """A UDP port another program has on all addresses, as a browser or a phone does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("0.0.0.0", 0))
        yield other.getsockname()[1]


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the machine says of its ephemeral ports."""
    path = tmp_path / "ip_local_port_range"
    path.write_text("32768\t60999\n")
    monkeypatch.setattr(media_ports, "EPHEMERAL", path)
    return path


def test_a_port_taken_on_all_addresses_is_taken_on_ours(taken: int) -> None:
    assert taken_ports(ADDRESS, [taken]) == [taken]


def test_a_port_taken_on_another_address_is_free_on_ours() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.77.1.2", 0))
        port = other.getsockname()[1]
        assert taken_ports(ADDRESS, [port]) == []
        assert taken_ports("127.77.1.2", [port]) == [port]


def test_an_address_that_is_not_ours_is_an_error_and_no_taken_port() -> None:
    with pytest.raises(OSError, match="assign"):
        taken_ports("192.0.2.1", [20000])


def test_a_taken_port_is_named_with_the_settings_that_mend_it(taken: int, given: Path) -> None:
    given.write_text("1 2\n")
    (warning,) = media_warnings(ADDRESS, range(taken, taken + 1), "RTP_PORT")
    assert f"({taken})" in warning
    assert "WIRECHIEF_RTP_PORT_MIN" in warning


@pytest.mark.parametrize(
    ("ports", "shared"),
    [
        (range(20000, 21000), None),
        (range(32000, 33000), "32768-32999"),
        (range(40000, 41000), "40000-40999"),
        (range(60000, 62000), "60000-60999"),
    ],
)
def test_ports_the_machine_gives_away_are_warned_of(given: Path, ports: range, shared: str | None) -> None:
    warnings = [text for text in media_warnings(ADDRESS, ports, "RTP_PORT") if "ip_local_port_range" in text]
    assert len(warnings) == (shared is not None)
    assert all(f"gives {shared} to" in text and "outside 32768-60999" in text for text in warnings)


@pytest.mark.parametrize("text", ["", "nonsense\n", "32768\n"])
def test_a_machine_that_does_not_say_gives_none_away(given: Path, text: str) -> None:
    given.write_text(text)
    assert not ephemeral_ports()


def test_labs_of_tests_use_no_port_the_machine_gives_away(tmp_path: Path) -> None:
    """Else a test's SRTP call is refused whenever a socket of another test has its RTCP port."""
    given = ephemeral_ports()
    assert given
    for _ in range(20):
        s = own_settings(tmp_path)
        assert not overlap(range(s.rtp_port_min, s.rtp_port_max + 1), given)
        assert not overlap(range(s.carrier_rtp_port_min, s.carrier_rtp_port_max + 1), given)
