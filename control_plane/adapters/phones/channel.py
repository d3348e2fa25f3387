"""The wire between a phone and its owner: one JSON object per packet of a local socket."""

from __future__ import annotations

import json
import socket
from collections import deque
from typing import Any

Message = dict[str, Any]

_PACKET_BYTES = 131_072
"""Above the largest SIP message (65 kB over UDP) a phone reports."""


class Channel:
    """One end of a SOCK_SEQPACKET pair that never blocks: what does not fit now is kept and sent later."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._unsent: deque[bytes] = deque()
        self.closed = False

    def fileno(self) -> int:
        return self._sock.fileno()

    def send(self, message: Message) -> None:
        """Queue a message and send what fits. A closed other end is noticed by `receive`."""
        self._unsent.append(json.dumps(message).encode())
        self.flush()

    def flush(self) -> None:
        """Send what is queued, as far as it fits."""
        while self._unsent and not self.closed:
            try:
                self._sock.send(self._unsent[0])
            except BlockingIOError:
                return
            except (BrokenPipeError, ConnectionResetError):
                self._unsent.clear()
                return
            self._unsent.popleft()

    def receive(self) -> list[Message]:
        """Messages that have come; sets `closed` when the other end is gone."""
        messages: list[Message] = []
        while not self.closed:
            try:
                packet = self._sock.recv(_PACKET_BYTES)
            except BlockingIOError:
                break
            except ConnectionResetError:
                packet = b""
            if packet:
                messages.append(json.loads(packet))
            else:
                self.closed = True
        return messages

    def close(self) -> None:
        self.closed = True
        self._sock.close()
