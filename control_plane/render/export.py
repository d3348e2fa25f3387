"""A node as a complete /etc/asterisk tree, for an Asterisk that nobody pushes to; pure.

The same templates yield the same endpoints, dialplan and mailboxes as the push; only the holder differs:
PJSIP reads `pjsip.conf` instead of AstDB. What calls read stays in AstDB, so the tree brings a database file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

from control_plane.domain.model import Model
from control_plane.render.artefacts import Holder, Rendered
from control_plane.render.dialplan import node_dialplan
from control_plane.render.mailboxes import MAILBOX_FILES, place_of
from control_plane.render.pjsip import DEVICE, NEUTRAL, TRUNK, device_values, neutral_values, trunk_values
from control_plane.render.static import NODE_EVENTS, NodeStart, render_node
from control_plane.render.templates import render
from control_plane.render.units import render_unit, units

ETC = "/etc/asterisk"
README = "README"
DATABASE_DIR = "db"
"""Directory of the tree that holds AstDB, which Asterisk must be able to write."""
DATABASE_FILE = f"{DATABASE_DIR}/astdb.sqlite3"
KEYS_DIR = "keys"

_OWN = (README, "asterisk.conf", "extensions.conf", "logger.conf", "manager.conf", "sorcery.conf")
"""Files that differ from those of a node that is pushed to; templates of their own."""
_TLS_TRANSPORT = "[transport-tls]"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tree will stand: its directory and SIP address there.

    `certificate_for` is the address the certificate is made out to; None: there is none, so no TLS transport.
    """

    directory: str
    sip_address: str
    certificate_for: str | None


@dataclass(frozen=True, slots=True)
class Export:
    """The files of the tree by relative name, and the rows of its AstDB (full key with a leading slash)."""

    files: Mapping[str, str]
    rows: Mapping[str, str]


def render_export(model: Model, start: NodeStart, place: Place) -> Export:
    """The tree of the node `start.name`, to stand at `place`; byte-stable for the same model.

    Sites whose media address is the node's SIP address now get that of the place.

    Raises:
        RenderError: the model holds a value that cannot be expressed.
    """
    node = start.name
    there = replace(start, sip_address=place.sip_address)
    model = _moved(model, start.sip_address, place.sip_address)
    rendered = [render_unit(model, node, unit) for unit in units(model, node)]
    files = {name: text for name, text in render_node(there).items() if name not in MAILBOX_FILES}
    files["pjsip.conf"] = _pjsip(files["pjsip.conf"], model, node, tls=place.certificate_for is not None)
    files["voicemail.conf"] = _voicemail(files["voicemail.conf"], rendered)
    files = {name: text.replace(f"{ETC}/", f"{place.directory}/") for name, text in files.items()}
    files.update(_own_files(model, there, place))
    return Export(dict(sorted(files.items())), _feature_rows(rendered))


def _own_files(model: Model, start: NodeStart, place: Place) -> dict[str, str]:
    values = {
        "s": start,
        "target": place.directory,
        "tls": place.certificate_for is not None,
        "own_certificate": place.certificate_for == start.sip_address,
        "database_dir": DATABASE_DIR,
        "events": NODE_EVENTS,
        "dialplan": node_dialplan(model),
    }
    return {name: render(f"export/{name}.j2", values) for name in _OWN}


def _moved(model: Model, before: str, after: str) -> Model:
    if before == after:
        return model
    sites = {
        key: site.model_copy(update={"media_address": after}) if site.media_address == before else site
        for key, site in model.sites.items()
    }
    return replace(model, sites=sites)


def _pjsip(static: str, model: Model, node: str, *, tls: bool) -> str:
    trunks = [render(TRUNK, trunk_values(t)) for _, t in sorted(model.trunks.items()) if t.node == node]
    devices = [
        render(DEVICE, device_values(model, extension, device))
        for ident, extension in sorted(model.extensions.items())
        if model.node_of(extension) == node and model.is_active(extension)
        for device in model.devices.get(ident, ())
    ]
    handsets = [
        render(NEUTRAL, neutral_values(model, handset))
        for _, handset in sorted(model.handsets.items())
        if handset.has_neutral_line and model.sites[handset.site].node == node
    ]
    head = static if tls else _without_section(static, _TLS_TRANSPORT)
    head = _headed("Endpoints, auths and AORs of this node. A change needs a reload.", head)
    return "\n".join(part.rstrip("\n") + "\n" for part in (head, *trunks, *devices, *handsets))


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


def _values(rendered: Iterable[Rendered], holder: Holder) -> list[tuple[str, str]]:
    return sorted((k.name, v) for part in rendered for k, v in part.values.items() if k.holder is holder)


def _voicemail(static: str, rendered: Iterable[Rendered]) -> str:
    """One file with the settings and all mailboxes: nothing edits it, so it need not be split."""
    settings = "\n".join(line for line in static.splitlines() if not line.startswith("#tryinclude"))
    found = [(place_of(name), line) for name, line in _values(rendered, Holder.MAILBOX)]
    boxes = sorted((place.context, place.mailbox, line) for place, line in found)
    parts = [_headed("Mailboxes of this node. A change needs a reload.", settings).rstrip("\n") + "\n"]
    for context, members in groupby(boxes, key=lambda box: box[0]):
        parts.append(f"\n[{context}]\n" + "".join(f"{box} => {line}\n" for _, box, line in members))
    return "".join(parts)


def _feature_rows(rendered: Iterable[Rendered]) -> dict[str, str]:
    """What calls read. PJSIP objects are in pjsip.conf, but a transferred call reads its endpoint's row."""
    rows = _values(rendered, Holder.ROW)
    return {f"/{n}": v for n, v in rows if not n.startswith("pbx/") or n.startswith("pbx/endpoint/")}
