"""The processes phones live in: `python -m control_plane.adapters.phones.process FD`.

The first one loads the SIP stack once (0.2 s) and forks a phone for every socket it is sent over FD; a phone
starts in milliseconds and shares that memory. A phone ends, hung up and unregistered, when its owner says so
or is gone, however the owner ended.
"""

from __future__ import annotations

import faulthandler
import json
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from control_plane.adapters.phones.channel import Channel
from control_plane.adapters.phones.handset import Handset
from control_plane.adapters.phones.values import SipAccount

_BUSY_POLL_MS = 10
_IDLE_POLL_MS = 40
"""How late an idle phone notices its owner; SIP wakes it at once."""

_AWAKE_S = 2.0
"""A phone polls at the short interval for this long after a request: more usually follow."""


def main(fd: int) -> None:
    """Fork a phone for each socket received over `fd`, until its other end closes."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=fd) as control:
        while True:
            order, descriptors, _, _ = socket.recv_fds(control, 4096, 1)
            if not order:
                return
            if os.fork() == 0:
                control.close()
                _become_phone(descriptors[0], json.loads(order)["errors"])
            os.close(descriptors[0])


def _become_phone(fd: int, errors: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    output = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    faulthandler.enable()
    status = 1
    try:
        serve(Channel(socket.socket(fileno=fd)))
        status = 0
    finally:
        # Without the interpreter's shutdown: the order in which it drops C++ objects aborts.
        sys.stderr.flush()
        os._exit(status)


def serve(channel: Channel) -> None:
    """Be the phone that the first message describes, until told to close or the owner is gone."""
    select.select([channel], [], [], 5)
    opening = next(iter(channel.receive()), None)
    if opening is None:
        return

    def report(event: str, **fields: Any) -> None:
        channel.send({"event": event, "at": time.monotonic(), **fields})

    try:
        handset = _open(opening["account"], report, opening)
    except RuntimeError as error:
        channel.send({"reply": opening["request"], "error": str(error)})
        return
    channel.send({"reply": opening["request"], "value": handset.address})
    _attend(channel, handset)
    handset.stop()


def _open(account: dict[str, Any], report: Any, opening: dict[str, Any]) -> Handset:
    for name in ("ca_file", "certificate_file", "key_file"):
        account[name] = Path(account[name]) if account[name] else None
    account["codecs"] = tuple(account["codecs"])
    log_file = Path(opening["log_file"]) if opening["log_file"] else None
    return Handset.open(SipAccount(**account), report, Path(opening["folder"]), log_file)


def _attend(channel: Channel, handset: Handset) -> None:
    awake_until = time.monotonic() + _AWAKE_S
    while not channel.closed:
        awake = handset.busy or time.monotonic() < awake_until
        handset.poll(_BUSY_POLL_MS if awake else _IDLE_POLL_MS)
        channel.flush()
        for message in channel.receive():
            awake_until = time.monotonic() + _AWAKE_S
            if message["do"] == "close":
                return
            try:
                value = handset.do(message["do"], message["with"])
            except RuntimeError as error:
                channel.send({"reply": message["request"], "error": str(error)})
            else:
                channel.send({"reply": message["request"], "value": value})


if __name__ == "__main__":
    main(int(sys.argv[1]))
