"""A second witness of what Asterisk holds: pyst2, which shares no code with the control plane.

Run as a program (`HOST PORT USER read FAMILY KEY`, `... put FAMILY KEY SIZE` or `... call`, password on
standard input), because pyst2 0.5.1 blocks, starts threads, and trips over deprecations at exit. Its list
answers arrive only as events.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Mapping

from asterisk.manager import Event, Manager


def read_row(ami: Manager, family: str, key: str) -> str:
    """The value of an AstDB row."""
    values: list[str] = []
    arrived = threading.Event()

    def take(event: Event, _manager: Manager) -> None:
        values.append(event.headers["Val"])
        arrived.set()

    ami.register_event("DBGetResponse", take)
    ami.send_action({"Action": "DBGet", "Family": family, "Key": key})
    if not arrived.wait(10):
        raise SystemExit(f"no row {family}/{key}")
    return values[0]


def put_row(ami: Manager, family: str, key: str, size: str) -> str:
    """The response to writing a value of `size` bytes."""
    action = {"Action": "DBPut", "Family": family, "Key": key, "Val": "x" * int(size)}
    return str(ami.send_action(action).headers["Response"])


def next_call(ami: Manager) -> str:
    """The headers, as JSON, of the next caller's CallPath event; says when it listens."""
    heard: list[str] = []
    arrived = threading.Event()

    def take(event: Event, _manager: Manager) -> None:
        if event.headers.get("UserEvent") == "CallPath" and not event.headers.get("Path"):
            heard.append(json.dumps(event.headers))
            arrived.set()

    ami.register_event("UserEvent", take)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    if not arrived.wait(60):
        raise SystemExit("no call was told of")
    return heard[0] + "\n"


VERBS: Mapping[str, Callable[..., str]] = {"read": read_row, "put": put_row, "call": next_call}


def main() -> None:
    """Answer one question on standard output."""
    host, port, user, verb, *arguments = sys.argv[1:]
    ami = Manager()
    ami.connect(host, int(port))
    ami.login(user, sys.stdin.read())
    sys.stdout.write(VERBS[verb](ami, *arguments))
    sys.stdout.flush()
    os._exit(0)  # pyst2's threads and destructor make an orderly exit slow and noisy


if __name__ == "__main__":
    main()
