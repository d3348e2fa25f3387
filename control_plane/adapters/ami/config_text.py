"""What Asterisk's configuration files can hold, and the UpdateConfig operations that put it there.

Pure. Rules measured on 22.10.1 and read in main/config.c and main/manager.c: a value loses blanks at its
ends, `;` goes bare (Asterisk escapes it in the file), `>` before a value makes the line a `=>` line, and a
name such as `#include` is written as text that breaks the file for good.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from control_plane.adapters.ami.wire import HEADER_LIMIT, require_line
from control_plane.errors import UnsafeValue
from control_plane.ports import ConfigFile, ConfigLine

_FIXED_HEADERS = 4  # Action, ActionID, SrcFilename, DstFilename

_STRIPPED = "".join(map(chr, range(1, 33)))
"""Characters that Asterisk drops at the ends of names and values (ast_strip in strings.h)."""

_FILENAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+")
_CATEGORY = re.compile(r"[^\[\];\r\n\0#()\\]+")
_NAME = re.compile(r"[^\[\];=\r\n\0#+\\]+")
_LINE_KEY = re.compile(r"Line-(\d+)-\d+")
_CATEGORY_KEY = re.compile(r"Category-(\d+)")

Operation = tuple[tuple[str, str], ...]
"""Headers of one operation without their number: (("Action", "Append"), ("Cat", ...), ...)."""


def require_filename(filename: str) -> None:
    """Refuse anything but a plain file name in Asterisk's configuration directory.

    Raises:
        UnsafeValue
    """
    if not _FILENAME.fullmatch(filename):
        raise UnsafeValue(
            f"configuration file {filename!r}", "must be a plain name such as voicemail.conf, without a path"
        )


def require_category(filename: str, category: str) -> None:
    """Refuse a category that would be read back as another one.

    Raises:
        UnsafeValue
    """
    if not _CATEGORY.fullmatch(category) or category != category.strip(_STRIPPED):
        raise UnsafeValue(
            f"{filename} category {category!r}",
            "must not be empty, have blanks at its ends, or any of [ ] ( ) ; # \\",
        )


def require_config_line(filename: str, category: str, line: ConfigLine) -> None:
    """Refuse a line that Asterisk would store differently from how it was given.

    Raises:
        UnsafeValue: names the line, never its value.
    """
    subject = f"{filename} [{category}] {line.name!r}"
    if not _NAME.fullmatch(line.name) or line.name != line.name.strip(_STRIPPED):
        raise UnsafeValue(
            subject, "a name must not be empty, have blanks at its ends, or any of [ ] ; = # + \\"
        )
    if line.value != line.value.strip(_STRIPPED):
        raise UnsafeValue(subject, "Asterisk drops blanks and control characters at the ends; remove them")
    if not line.arrow and line.value.startswith(">"):
        raise UnsafeValue(subject, "a value starting with > needs a `=>` line")
    require_line("Value-000000", _written(line), subject)


def require_content(filename: str, content: ConfigFile) -> None:
    """Refuse content that the file could not hold exactly.

    Raises:
        UnsafeValue
    """
    folded: dict[str, str] = {}
    for category, lines in content.items():
        require_category(filename, category)
        other = folded.setdefault(category.casefold(), category)
        if other != category:
            raise UnsafeValue(
                f"{filename} category {category!r}", f"is the same to Asterisk as {other!r}; rename one"
            )
        for line in lines:
            require_config_line(filename, category, line)


def _written(line: ConfigLine) -> str:
    return f">{line.value}" if line.arrow else line.value


def append_line(category: str, line: ConfigLine) -> Operation:
    """The operation that adds one line at the end of a category."""
    return (("Action", "Append"), ("Cat", category), ("Var", line.name), ("Value", _written(line)))


def create_category(category: str) -> Operation:
    """The operation that adds an empty category at the end of the file, unless it is there."""
    return (("Action", "NewCat"), ("Cat", category), ("Options", "ignoreerror"))


def content_operations(content: ConfigFile) -> Iterator[Operation]:
    """The operations that write `content` into an empty file."""
    for category, lines in content.items():
        yield (("Action", "NewCat"), ("Cat", category))
        for line in lines:
            yield append_line(category, line)


def delete_operations(
    category: str, held: Sequence[ConfigLine], unwanted: Iterable[ConfigLine]
) -> list[Operation]:
    """The operations that delete each unwanted line once; lines that `held` lacks need none.

    `Match` finds a line whatever moved meanwhile, but ignores case, takes all its twins, and an empty one
    matches everything; only then the line's number is used, from the last to the first.
    """
    by_number: list[int] = []
    by_match: list[Operation] = []
    free = list(range(len(held)))
    for line in unwanted:
        number = next((index for index in free if held[index] == line), None)
        if number is None:
            continue
        free.remove(number)
        if line.value and sum(_folded(other) == _folded(line) for other in held) == 1:
            headers = (("Var", line.name), ("Match", line.value), ("Options", "ignoreerror"))
            by_match.append((("Action", "Delete"), ("Cat", category), *headers))
        else:
            by_number.append(number)
    numbered: list[Operation] = [
        (("Action", "Delete"), ("Cat", category), ("Line", str(number)))
        for number in sorted(by_number, reverse=True)
    ]
    return numbered + by_match


def _folded(line: ConfigLine) -> tuple[str, str]:
    return line.name.casefold(), line.value.casefold()


def batches(operations: Iterable[Operation]) -> Iterator[list[tuple[str, str]]]:
    """Numbered headers, cut so that each UpdateConfig is as long as Asterisk takes: 31 lines appended.

    The fewer there are the better, for each writes again all lines that are there already.
    """
    headers: list[tuple[str, str]] = []
    count = 0
    for operation in operations:
        if len(headers) + len(operation) > HEADER_LIMIT - _FIXED_HEADERS:
            yield headers
            headers, count = [], 0
        headers.extend((f"{name}-{count:06d}", value) for name, value in operation)
        count += 1
    if headers:
        yield headers


def parse_config(headers: Mapping[str, str]) -> dict[str, list[ConfigLine]]:
    """The file that a GetConfig answer describes.

    `Category-000000: name`, then its `Line-000000-000000: name=value` with the value unescaped, all in file
    order. Categories of one name are joined, as Asterisk joins them when it loads dialplan or mailboxes.
    """
    content: dict[str, list[ConfigLine]] = {}
    lines: list[ConfigLine] = []
    for key, value in headers.items():
        if _LINE_KEY.fullmatch(key):
            name, _, text = value.partition("=")
            lines.append(ConfigLine(name, text))
        elif _CATEGORY_KEY.fullmatch(key):
            lines = content.setdefault(value, [])
    return content
