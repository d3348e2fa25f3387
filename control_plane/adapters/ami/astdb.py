"""AstDB rows as AMI actions. Pure."""

from __future__ import annotations

from control_plane.errors import UnsafeValue

KEY_LIMIT_BYTES = 253
"""AstDB holds "/family/key" in 256 bytes with its end (main/db.c, MAX_DB_FIELD)."""

_SKIPPED = "".join(map(chr, range(1, 33)))
"""Characters that AMI drops before a header's value (ast_skip_blanks in strings.h)."""

Headers = list[tuple[str, str]]


def split_key(key: str) -> tuple[str, str]:
    """Family and key of a full AstDB key.

    Raises:
        UnsafeValue
    """
    family, found, name = key.rpartition("/")
    subject = f"AstDB row {key!r}"
    if not found or not all(key.split("/")) or family[0] in _SKIPPED or name[0] in _SKIPPED:
        raise UnsafeValue(subject, "must be written family/key: no part empty, no blank before either")
    if len(key.encode()) > KEY_LIMIT_BYTES:
        raise UnsafeValue(subject, f"is longer than {KEY_LIMIT_BYTES} bytes")
    return family, name


def put_action(key: str, value: str) -> tuple[str, Headers]:
    """The key, for errors, and the action that writes the row.

    Raises:
        UnsafeValue: names the key, never the value.
    """
    family, name = split_key(key)
    if value and value[0] in _SKIPPED:
        raise UnsafeValue(f"AstDB row {key!r}", "AMI drops blanks before a value; remove them")
    return key, [("Action", "DBPut"), ("Family", family), ("Key", name), ("Val", value)]


def delete_action(key: str) -> tuple[str, Headers]:
    """The key, for errors, and the action that deletes the row.

    Raises:
        UnsafeValue
    """
    family, name = split_key(key)
    return key, [("Action", "DBDel"), ("Family", family), ("Key", name)]
