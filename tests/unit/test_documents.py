"""The documents say what the program is: generated parts are current, names that are mentioned exist."""

from __future__ import annotations

import re

import pytest

from tests.documents import DOCUMENTS, PARTS, ROOT, current

HAND_WRITTEN = [
    "README.md",
    "CHANGELOG.md",
    *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md")),
]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_generated_parts_are_current(name: str) -> None:
    text = (ROOT / name).read_text()
    assert current(text) == text, "run: make docs"


def test_every_generated_part_stands_in_a_document() -> None:
    marks = {
        mark for name in DOCUMENTS for mark in re.findall("generated: ([a-z-]+)", (ROOT / name).read_text())
    }
    assert marks == set(PARTS)


@pytest.mark.parametrize("name", HAND_WRITTEN)
def test_links_between_documents_lead_somewhere(name: str) -> None:
    path = ROOT / name
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_every_command_a_document_mentions_exists() -> None:
    known = set(
        re.findall(r"^### `(wirechief(?: [a-z-]+)+)", (ROOT / "docs/commands.md").read_text(), re.MULTILINE)
    )
    groups = {" ".join(command.split()[:2]) for command in known}
    for name in HAND_WRITTEN:
        for words in re.findall(r"[`$] ?wirechief ([a-z][a-z-]*(?: [a-z-]+)?)", (ROOT / name).read_text()):
            first = f"wirechief {words.split()[0]}"
            assert first in groups or f"wirechief {words}" in known, f"{name}: wirechief {words}"


def test_the_overview_of_commands_has_every_group() -> None:
    known = re.findall(r"^### `wirechief ([a-z-]+)", (ROOT / "docs/commands.md").read_text(), re.MULTILINE)
    overview = (ROOT / "README.md").read_text().split("## The commands")[1].split("## ")[0]
    assert set(re.findall(r"`([a-z][a-z-]*)[`\s]", overview)) == set(known)
