"""How changes are told to people: reasons as sentences, diffs line by line, secrets masked."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator

from control_plane.plan.changes import Change, Drift
from control_plane.render.artefacts import ArtefactKey, Holder, Unit, is_secret
from control_plane.render.handsets.publication import difference, files_changed

MASK = "***"
SECRET_FIELDS = frozenset({"password", "md5_cred", "password_digest", "refresh_token", "oauth_secret"})
"""Fields of PJSIP objects that authenticate (Asterisk 22 res_pjsip.so, configOption of auth)."""
_LONGEST_SHOWN = 60


def reason_for(change: Change, unit: Unit | None) -> str:
    """One sentence: what differs and what the step does about it."""
    what = subject(change.key)
    where = "the published store" if change.key.holder is Holder.PUBLISHED else "Asterisk"
    fields = ", ".join(_changed_names(change))
    match change.drift:
        case Drift.MODEL_MOVED:
            return _model_moved(change, unit)
        case Drift.EDITED:
            return (
                f"{what} was edited in {where}{f' ({fields})' if fields else ''}; put back as the model says"
            )
        case Drift.LOST if change.after is None:
            return f"{what} was removed, but {where} has it again; removed once more"
        case Drift.LOST:
            return f"{where[:1].upper()}{where[1:]} does not hold {what} as it was given; written again"
        case Drift.FOREIGN:
            return f"{what} belongs to nothing in the model; removed"


def reload_reason(module: str) -> str:
    """Why a module is reloaded."""
    return f"{module} reads its file only when it is reloaded"


def subject(key: ArtefactKey) -> str:
    """What a person calls this artefact."""
    match key.holder:
        case Holder.ROW:
            return f"row {key.name}"
        case Holder.MAILBOX:
            return f"mailbox {key.name}"
        case Holder.FILE:
            return f"file {key.name}"
        case Holder.PUBLISHED if key.name.startswith("common/"):
            return f"handset file {key.name.removeprefix('common/')}"
        case Holder.PUBLISHED:
            return f"handset {key.name}"


def _model_moved(change: Change, unit: Unit | None) -> str:
    owner = str(unit).strip() if unit is not None else "the model"
    if change.key.holder is Holder.PUBLISHED:
        return _publication_moved(change, owner)
    aspect = _aspect(change.key, unit)
    if change.after is None:
        return f"{owner} changed: {aspect} {'off' if change.before == '1' else 'removed'}"
    if change.before is None and len(change.after) > 1:
        shown = _shown_value(change.key, change.after)
        return f"{owner} changed: {aspect} added{f' ({shown})' if shown else ''}"
    if change.after == "1" and not is_secret(change.key):
        return f"{owner} changed: {aspect} on"
    names = ", ".join(_changed_names(change))
    shown = _shown_value(change.key, change.after)
    return f"{owner} changed: {aspect} {names or (f'is now {shown}' if shown else 'differs')}"


def _publication_moved(change: Change, owner: str) -> str:
    if change.after is None:
        return f"{subject(change.key)} is not in the model any more: what it could fetch is withdrawn"
    if change.before is None:
        return f"{owner} is new: its files are published"
    names = ", ".join(_changed_names(change))
    return f"{owner} changed: {names or 'how its files are served'}"


def _aspect(key: ArtefactKey, unit: Unit | None) -> str:
    """The artefact's name without what the unit's own name already says."""
    if key.holder is Holder.ROW and unit is not None:
        family, _, rest = key.name.partition("/")
        own = "/".join(unit.key) + "/"
        if family == "ext" and rest.startswith(own):
            return rest.removeprefix(own)
        return key.name
    return subject(key)


def _shown_value(key: ArtefactKey, value: str) -> str:
    if is_secret(key) or len(value) > _LONGEST_SHOWN or value.startswith("{") or "\n" in value:
        return ""
    return value


def _changed_names(change: Change) -> list[str]:
    if change.key.holder is Holder.PUBLISHED:
        return list(files_changed(change.before, change.after))
    before, after = _fields(change.key, change.before), _fields(change.key, change.after)
    if before is None or after is None:
        return []
    return [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]


def diff_lines(key: ArtefactKey, before: str | None, after: str | None) -> tuple[str, ...]:
    """The difference for a person: field by field where the value has fields, unified for files.

    Secrets never appear: `password: *** -> ***` says that a password changes and nothing more.
    """
    if key.holder is Holder.PUBLISHED:
        return tuple(difference(before, after))
    if key.holder is Holder.FILE:
        return tuple(_unified(key.name, before or "", after or ""))
    old, new = _fields(key, before), _fields(key, after)
    if old is None or new is None or not (old or new):
        # Not an object of fields on one side: such a value may hold a secret anywhere.
        return (_line("value", before, after, masked=is_secret(key)),)
    return tuple(
        _line(name, old.get(name), new.get(name), masked=_is_secret_field(key, name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    )


def _unified(name: str, before: str, after: str) -> Iterator[str]:
    return difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"{name} (Asterisk)", f"{name} (model)", lineterm=""
    )


def _line(name: str, before: str | None, after: str | None, *, masked: bool) -> str:
    def shown(value: str | None) -> str:
        if value is None:
            return "(none)"
        return MASK if masked else value

    return f"{name}: {shown(before)} -> {shown(after)}"


def _is_secret_field(key: ArtefactKey, name: str) -> bool:
    if key.holder is Holder.MAILBOX:
        return name == "pin"
    return name in SECRET_FIELDS or key.name.startswith(("code/", "pin/"))


_MAILBOX_FIELDS = ("pin", "name", "email", "pager", "options")
"""Positions in the value of a mailbox: `mailbox => pin,name,email,pager,options`."""


def _fields(key: ArtefactKey, value: str | None) -> dict[str, str] | None:
    """The named parts of a value; {} for an absent one, None when the value has no parts."""
    if value is None:
        return {}
    if key.holder is Holder.MAILBOX:
        return None if "\n" in value else dict(zip(_MAILBOX_FIELDS, value.split(",", 4), strict=False))
    if key.holder is not Holder.ROW or not key.name.startswith("pbx/"):
        return None
    try:
        parsed = json.loads(value)
    except ValueError:
        return None
    if not isinstance(parsed, dict):
        return None
    return {str(name): part if isinstance(part, str) else json.dumps(part) for name, part in parsed.items()}
