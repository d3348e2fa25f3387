"""A node as a complete /etc/asterisk tree, for an Asterisk that nobody pushes to; pure.

The same templates yield the same endpoints, dialplan and mailboxes as the push; only the holder differs:
PJSIP reads `pjsip.conf` instead of AstDB. What calls read stays in AstDB, so the tree brings a database file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from control_plane.domain.model import Model
from control_plane.render.artefacts import Holder, Rendered
from control_plane.render.dialplan import dialplan_text
from control_plane.render.mailboxes import place_of
from control_plane.render.pjsip import device_text, trunk_text
from control_plane.render.static import NodeStart, render_node
from control_plane.render.units import DIALPLAN_FILE, render_unit, units

ETC = "/etc/asterisk"
DATABASE_DIR = "db"
"""Directory of the tree that holds AstDB, which Asterisk must be able to write."""
DATABASE_FILE = f"{DATABASE_DIR}/astdb.sqlite3"
KEYS_DIR = "keys"

_INCLUDE = f"#tryinclude {DIALPLAN_FILE}"
_ASTDB_BACKED = "= astdb,pbx"
_TLS_TRANSPORT = "[transport-tls]"


@dataclass(frozen=True, slots=True)
class Export:
    """The files of the tree by relative name, and the rows of its AstDB (full key with a leading slash)."""

    files: Mapping[str, str]
    rows: Mapping[str, str]


def render_export(model: Model, start: NodeStart, *, target: str = ETC, tls: bool = True) -> Export:
    """The tree of the node `start.name`, to stand at `target`; byte-stable for the same model.

    Without `tls` it has no TLS transport: that needs a certificate, which is not part of the model.

    Raises:
        RenderError: the model holds a value that cannot be expressed.
    """
    node = start.name
    rendered = [render_unit(model, node, unit) for unit in units(model, node)]
    files = dict(render_node(start))
    files["pjsip.conf"] = _pjsip(files["pjsip.conf"], model, node, tls=tls)
    files["extensions.conf"] = files["extensions.conf"].replace(
        _INCLUDE, dialplan_text(sorted(model.organisations), model.feature_codes)
    )
    files["sorcery.conf"] = _without_astdb(files["sorcery.conf"])
    files |= _mailboxes(rendered)
    files["asterisk.conf"] = _directories(files["asterisk.conf"], target)
    if target != ETC:
        files = {name: text.replace(f"{ETC}/", f"{target}/") for name, text in files.items()}
    return Export(dict(sorted(files.items())), _feature_rows(rendered))


def _pjsip(static: str, model: Model, node: str, *, tls: bool) -> str:
    trunks = [trunk_text(t) for _, t in sorted(model.trunks.items()) if t.node == node]
    devices = [
        device_text(model, extension, device)
        for ident, extension in sorted(model.extensions.items())
        if model.node_of(extension) == node and model.is_active(extension)
        for device in model.devices.get(ident, ())
    ]
    head = static if tls else _without_section(static, _TLS_TRANSPORT)
    head = _headed("Endpoints, auths and AORs of this node. A change needs a reload.", head)
    return "\n".join(part.rstrip("\n") + "\n" for part in (head, *trunks, *devices))


def _headed(heading: str, text: str) -> str:
    """`text` with another heading: the comment it begins with is about a node that is pushed to."""
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if not line.startswith(";"))
    return "\n".join([f"; {heading}", *lines[first:]]) + "\n"


def _without_section(text: str, header: str) -> str:
    kept: list[str] = []
    inside = False
    for line in text.splitlines():
        if line.startswith("["):
            inside = line.strip() == header
        if not inside:
            kept.append(line)
    return "\n".join(kept) + "\n"


def _without_astdb(text: str) -> str:
    lines = [line for line in text.splitlines() if not line.endswith(_ASTDB_BACKED)]
    kept = "\n".join(line for line in lines if not line.startswith(";"))
    return f"; PJSIP reads its objects from pjsip.conf: this tree is not pushed to.\n{kept}\n"


def _directories(text: str, target: str) -> str:
    lines = [line for line in text.splitlines() if not line.startswith("astdbdir")]
    at = lines.index("[directories]") + 1
    lines[at:at] = [f"astetcdir => {target}", f"astdbdir => {target}/{DATABASE_DIR}"]
    return "\n".join(lines) + "\n"


def _values(rendered: Iterable[Rendered], holder: Holder) -> list[tuple[str, str]]:
    return sorted((k.name, v) for part in rendered for k, v in part.values.items() if k.holder is holder)


def _mailboxes(rendered: Iterable[Rendered]) -> dict[str, str]:
    places = sorted((place_of(name), line) for name, line in _values(rendered, Holder.MAILBOX))
    texts: dict[str, str] = {}
    for (file, context), boxes in groupby(places, key=lambda box: box[0][:2]):
        lines = "".join(f"{place.mailbox} => {line}\n" for place, line in boxes)
        texts[file] = texts.get(file, "; Mailboxes. A change needs a reload.\n") + f"\n[{context}]\n{lines}"
    return texts


def _feature_rows(rendered: Iterable[Rendered]) -> dict[str, str]:
    """What calls read; PJSIP objects are in pjsip.conf instead."""
    rows = _values(rendered, Holder.ROW)
    return {f"/{name}": value for name, value in rows if not name.startswith("pbx/")}
