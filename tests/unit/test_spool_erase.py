"""Erasing a mailbox from the spool: all of it, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from control_plane.adapters.voicemail import VoicemailSpool


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for key in ("100", "101"):
        inbox = tmp_path / "spool" / "voicemail" / "acme" / key / "INBOX"
        inbox.mkdir(parents=True)
        (inbox / "msg0000.wav").write_bytes(b"RIFF")
        (inbox.parent / "unavail.wav").write_bytes(b"RIFF")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").write_text("keep")
    return tmp_path


async def test_a_mailbox_goes_whole_and_others_stay(root: Path) -> None:
    spool = VoicemailSpool(root / "spool")
    assert await spool.erase("acme/100")
    boxes = root / "spool" / "voicemail" / "acme"
    assert [box.name for box in boxes.iterdir()] == ["101"]
    assert len(list((boxes / "101").rglob("*.wav"))) == 2
    assert await spool.erase("acme/100"), "once more does no harm"
    assert await spool.erase("globex/100"), "nor does what never was"


@pytest.mark.parametrize(
    "name", ["", "acme", "acme/", "acme/..", "../outside", "acme/100/INBOX", "acme/1", "/"]
)
async def test_a_name_that_is_no_mailbox_erases_nothing(root: Path, name: str) -> None:
    assert not await VoicemailSpool(root / "spool").erase(name)
    assert len(list((root / "spool").rglob("*.wav"))) == 4
    assert (root / "outside" / "precious").exists()


async def test_links_are_removed_and_not_followed(root: Path) -> None:
    boxes = root / "spool" / "voicemail" / "acme"
    (boxes / "102").symlink_to(root / "outside")
    (boxes / "100" / "Old").symlink_to(root / "outside")
    spool = VoicemailSpool(root / "spool")
    assert await spool.erase("acme/102")
    assert await spool.erase("acme/100")
    assert (root / "outside" / "precious").exists()
    assert [box.name for box in boxes.iterdir()] == ["101"]
    (boxes.parent / "globex").symlink_to(root / "outside")
    assert not await spool.erase("globex/100"), "an organisation that is a link is not gone into"
