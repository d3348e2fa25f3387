"""What handsets sent, for people: settings and logs with what could be a secret masked, and removing them."""

from __future__ import annotations

import re

from control_plane.ports import Clock, Store, Uploads
from control_plane.render.handsets.publication import MASK, masked
from control_plane.service.handsets import require_handset
from control_plane.service.writing import By

_NAMED = re.compile(r"^(.*?(?:pass|pwd|pin|secret|token|key)[^=:>\n]*[=:>]).*$", re.IGNORECASE | re.MULTILINE)
"""A line that names something that lets somebody in, in any notation; what follows the name is masked."""


def shown_upload(content: bytes) -> str:
    """`content` as text, without what could be a secret.

    Secrets of ours are long and go wherever they are; others go with the rest of the line that names them.
    """
    return masked(_NAMED.sub(rf"\g<1>{MASK}", content.decode(errors="replace")))


async def remove_upload(store: Store, uploads: Uploads, by: By, clock: Clock, mac: str, id: int) -> None:
    """Remove a file that a handset sent, for good; who did is in the audit.

    Raises: UnknownEntity (handset or file), PublishingFailed; then nothing is removed, nor in the audit.
    """
    async with store.transaction(by.actor) as tx:
        handset = require_handset(tx.model, mac)
        tx.put(handset.model_copy(update={"upload_removed": f"{id} at {clock.now().isoformat()}"}))
        await uploads.remove(handset.mac, id)
