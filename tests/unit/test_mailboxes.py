"""Which file a mailbox is in, and what the spool says of PINs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from control_plane.adapters.voicemail import VoicemailSpool
from control_plane.render.mailboxes import MAILBOX_FILES, mailbox_file, name_in, place_of
from control_plane.render.static import SEEDED_FILES

contexts = st.from_regex(r"[a-z][a-z0-9-]{0,30}", fullmatch=True)
boxes = st.text(st.characters(exclude_characters="=\r\n\0", codec="utf-8"), min_size=1, max_size=20)


def test_the_file_of_a_mailbox_never_changes() -> None:
    # These are in the files of running nodes.
    assert mailbox_file("acme/100") == "voicemail_51.conf"
    assert mailbox_file("demo/101") == "voicemail_08.conf"


def test_mailboxes_spread_evenly_over_the_files() -> None:
    counts = Counter(mailbox_file(f"acme/{key}") for key in range(10_000, 20_000))
    assert set(counts) == set(MAILBOX_FILES)
    assert max(counts.values()) < 250


def test_mailbox_files_are_kept_at_a_restart() -> None:
    assert set(MAILBOX_FILES) == SEEDED_FILES


@given(st.sampled_from(MAILBOX_FILES), contexts, boxes)
def test_every_line_of_every_file_has_a_name_of_its_own(file: str, context: str, box: str) -> None:
    assert place_of(name_in(file, context, box)) == (file, context, box)


def write_pin(root: Path, name: str, text: str) -> Path:
    path = root / "voicemail" / name / "secret.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


CHOSEN = ";! Generator: app_voicemail\n;!\n[general]\npassword = 80808\n\n"
"""As Asterisk 22.10.1 writes it, but for more comments."""


async def test_pins_chosen_by_phone_are_read_from_the_spool(tmp_path: Path) -> None:
    write_pin(tmp_path, "acme/100", CHOSEN)
    write_pin(tmp_path, "demo/101", CHOSEN.replace("80808", "13*57"))
    write_pin(tmp_path, "demo/102", "[general]\n")
    (tmp_path / "voicemail" / "acme" / "103" / "INBOX").mkdir(parents=True)
    spool = VoicemailSpool(tmp_path)
    assert await spool.read_pins() == {"acme/100": "80808", "demo/101": ""}
    assert await spool.read_pins(["acme/100", "acme/103", "acme/999"]) == {"acme/100": "80808"}


async def test_a_spool_that_is_not_there_yet_has_no_pins(tmp_path: Path) -> None:
    assert await VoicemailSpool(tmp_path / "nowhere").read_pins() == {}


async def test_removing_pins_leaves_the_messages(tmp_path: Path) -> None:
    pin = write_pin(tmp_path, "acme/100", CHOSEN)
    message = pin.parent / "msg0000.wav"
    message.touch()
    spool = VoicemailSpool(tmp_path)
    await spool.remove_pins(["acme/100", "acme/101"])
    assert await spool.read_pins() == {}
    assert message.exists() and not pin.exists()


async def test_no_link_and_no_name_leads_out_of_the_spool(tmp_path: Path) -> None:
    outside = write_pin(tmp_path / "outside", "acme/100", CHOSEN)
    spool = VoicemailSpool(tmp_path)
    (tmp_path / "voicemail" / "acme").mkdir(parents=True)
    (tmp_path / "voicemail" / "acme" / "100").symlink_to(outside.parent)
    (tmp_path / "voicemail" / "demo").symlink_to(outside.parent.parent)
    names = ["acme/100", "demo/100", "../outside/voicemail/acme/100", "acme/../100"]
    assert await spool.read_pins(names) == await spool.read_pins() == {}
    await spool.remove_pins(names)
    assert outside.exists()
