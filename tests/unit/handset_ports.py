"""What the API needs for handsets, over stores in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import SecretStr

from control_plane.adapters.published import JournalFile
from control_plane.adapters.uploads import UploadsFile
from control_plane.apply.handset_files import HandsetFiles
from control_plane.apply.publisher import Publisher
from control_plane.ports import Clock, NodeLink
from control_plane.service.handset_preview import HandsetSource
from control_plane.service.handset_view import Provisioning, Registered
from tests.contract.fake_published import FakePublished
from tests.unit.handset_models import PLACE


def handset_ports(
    store: Any,
    link: NodeLink,
    clock: Clock,
    directory: Path,
    *,
    published: FakePublished | None = None,
    registered: Registered = lambda aor: None,
) -> dict[str, Any]:
    """What ApiPorts takes for handsets; the journal is in `directory`."""
    held = published or FakePublished()
    journal = JournalFile(directory / "journal.sqlite3")
    return {
        "handsets": Provisioning(store, held, journal, clock, registered, link, PLACE.url),
        "publisher": Publisher(held, store, HandsetFiles(lambda: PLACE)),
        "sealed": UploadsFile(directory / "journal.sqlite3", SecretStr("05" * 32)),
        "handset_source": HandsetSource(held, lambda: PLACE),
    }
