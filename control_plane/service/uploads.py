"""What handsets sent, for people: their settings and logs, with what could be a secret masked."""

from __future__ import annotations

import re

from control_plane.render.handsets.publication import MASK, masked

_NAMED = re.compile(r"^(.*?(?:pass|pwd|pin|secret|token|key)[^=:>\n]*[=:>]).*$", re.IGNORECASE | re.MULTILINE)
"""A line that names something that lets somebody in, in any notation; what follows the name is masked."""


def shown_upload(content: bytes) -> str:
    """`content` as text, without what could be a secret.

    Secrets of ours are long and go wherever they are; others go with the rest of the line that names them.
    """
    return masked(_NAMED.sub(rf"\g<1>{MASK}", content.decode(errors="replace")))
