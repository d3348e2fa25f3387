"""Numbers as CSV, in pieces, safe to open in a spreadsheet (R42, A42)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import islice

from control_plane.service.number_list import NumberRow

COLUMNS = ("status", "number", "extension", "assignment", "label1", "label2", "device", "warnings")
ROWS_AT_ONCE = 500
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""How a cell begins that a spreadsheet takes for a formula or a command."""


def csv_pieces(rows: Iterable[NumberRow]) -> Iterator[str]:
    """The header, then the rows, a few hundred at once; every cell is quoted."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    source = iter(rows)
    while True:
        piece = list(islice(source, ROWS_AT_ONCE))
        writer.writerows(map(_cells, piece))
        yield text.getvalue()
        text.seek(0)
        text.truncate()
        if len(piece) < ROWS_AT_ONCE:
            return


def _cells(row: NumberRow) -> tuple[str, ...]:
    number = row.number
    return (
        number.status.value.upper(),
        number.e164,  # quoted, and nothing but + and digits: left as it is, so that it can be read back
        number.extension or "",
        _text(row.assignment.text),
        _text(number.label_1),
        _text(number.label_2),
        _text(", ".join(row.devices)),
        ", ".join(warning.value.replace("_", " ") for warning in row.warnings),
    )


def _text(value: str) -> str:
    """`value` as a cell that is text: an apostrophe goes before what would be run."""
    return f"'{value}" if value.startswith(_FORMULA) else value
