"""Reading and changing Asterisk's configuration files through one session."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from control_plane.adapters.ami import config_text
from control_plane.adapters.ami.session import Session
from control_plane.errors import Rejected
from control_plane.ports import ConfigFile, ConfigLine

EMPTY_FILE = "wirechief_empty.conf"
"""A file without content: UpdateConfig reads it as the source when it starts a file anew."""

STAGE_FILE = "wirechief_stage.conf"
"""Where content of more than one batch grows, so that the real file is written once, whole."""

_MISSING = "Config file not found"
_RESTRICTED = "File requires escalated privileges"  # also what UpdateConfig says of a missing file
_EXISTS = "File exists"


async def read_config(
    session: Session, filename: str, category: str | None = None
) -> dict[str, list[ConfigLine]] | None:
    """The file, or one category of it; None when the file does not exist."""
    config_text.require_filename(filename)
    action = {"Action": "GetConfig", "Filename": filename}
    if category is not None:
        action["Category"] = category
    reply = await session.ask(action, what=f"Read {filename}")
    if reply.ok:
        return config_text.parse_config(reply.headers)
    if reply.error == _MISSING:
        return None
    raise Rejected(f"Read {filename}: Asterisk refused: {reply.error}.")


async def write_config(session: Session, filename: str, content: ConfigFile) -> None:
    """Replace the file's content; until the last batch the old content stays."""
    config_text.require_filename(filename)
    config_text.require_content(filename, content)
    operations = list(config_text.content_operations(content))
    await _require_empty(session)
    await _change(session, EMPTY_FILE, filename, operations, what=f"Write {filename}")


async def edit_config(
    session: Session,
    filename: str,
    category: str,
    *,
    delete: Sequence[ConfigLine],
    append: Sequence[ConfigLine],
) -> None:
    """Delete and append lines of one category, all or nothing; category and file are made when missing."""
    config_text.require_filename(filename)
    config_text.require_category(filename, category)
    for line in (*delete, *append):
        config_text.require_config_line(filename, category, line)
    operations = [config_text.create_category(category)]
    if delete:
        held = await read_config(session, filename, category) or {}
        lines = next(iter(held.values()), [])
        operations += config_text.delete_operations(category, lines, delete)
    operations += [config_text.append_line(category, line) for line in append]
    await _change(session, filename, filename, operations, what=f"Edit {filename} [{category}]")


async def _change(
    session: Session,
    source: str,
    target: str,
    operations: Iterable[config_text.Operation],
    *,
    what: str,
) -> None:
    """Write to `target` what `source` holds after the operations.

    Batches are collected in STAGE_FILE and only the last one goes to `target`, so a broken connection
    leaves it as it was, and only Asterisk's own death while writing can leave a part of the new content.
    """
    steps = list(config_text.batches(operations)) or [[]]
    for number, headers in enumerate(steps, start=1):
        written = target if number == len(steps) else STAGE_FILE
        await _update(session, source, written, headers, what=what)
        source = STAGE_FILE


async def _require_empty(session: Session) -> None:
    held = await read_config(session, EMPTY_FILE)
    if held is None:
        await _create(session, EMPTY_FILE)
    elif held:
        raise Rejected(f"{EMPTY_FILE} on the node must be empty, and is not; delete it.")


async def _create(session: Session, filename: str) -> None:
    reply = await session.ask({"Action": "CreateConfig", "Filename": filename}, what=f"Create {filename}")
    if not reply.ok and reply.error != _EXISTS:
        raise Rejected(f"Create {filename}: Asterisk refused: {reply.error}.")


async def _update(
    session: Session, source: str, target: str, headers: Iterable[tuple[str, str]], *, what: str
) -> None:
    action = {"Action": "UpdateConfig", "SrcFilename": source, "DstFilename": target, **dict(headers)}
    reply = await session.ask(action, what=what)
    if not reply.ok and reply.error == _RESTRICTED:
        # Refused means not done, so asking again after making the file repeats nothing.
        for filename in {source, target}:
            await _create(session, filename)
        reply = await session.ask(action, what=what)
    if not reply.ok:
        raise Rejected(f"{what}: Asterisk refused: {reply.error}.")
