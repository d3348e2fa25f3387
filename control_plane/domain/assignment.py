"""What the assignment cell of a number shows (R45, A40, A48)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from control_plane.domain.entities import PhoneNumber

UNASSIGNED_TEXT = "Unassigned"


class AssignmentKind(StrEnum):
    """How the cell reads."""

    UNASSIGNED = "unassigned"
    PERSON = "person"  # a link to the person
    TEXT = "text"  # named, but assigned to nobody


@dataclass(frozen=True, slots=True)
class Assignment:
    """Kind and text of the cell."""

    kind: AssignmentKind
    text: str


def assignment_of(number: PhoneNumber) -> Assignment:
    """Assigned means bound to a person; a name alone is only text."""
    text = " / ".join(part for part in (number.label_1, number.label_2) if part)
    if number.person is not None:
        return Assignment(AssignmentKind.PERSON, text or number.person)
    if text:
        return Assignment(AssignmentKind.TEXT, text)
    return Assignment(AssignmentKind.UNASSIGNED, UNASSIGNED_TEXT)
