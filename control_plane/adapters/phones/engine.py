"""Starts phones, and waits for what happens to them."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import json
import os
import re
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from control_plane.adapters.phones.channel import Channel, Message
from control_plane.adapters.phones.values import PhoneError, PhoneTimeout
from control_plane.errors import LabError

_LOOK_AGAIN_S = 0.05
"""How often a predicate is tried when no phone reports anything: it may look at something else."""

_REPLY_S = 10.0
"""A phone replies in milliseconds; the machine may be busy."""

_CLOSE_S = 3.0
"""A phone takes a second at most to hang up and unregister."""

_FATAL = re.compile(r"^(?:.*Assertion.*failed|Fatal Python error.*|\w*(?:Error|Exception): .*)", re.MULTILINE)


class Link:
    """A phone's process as its owner sees it."""

    def __init__(self, engine: Engine, name: str, channel: Channel, folder: Path) -> None:
        self.name = name
        self.channel = channel
        self.folder = folder
        self.on_event: Callable[[Message], None] | None = None
        self._engine = engine
        self._requests = itertools.count(1)
        self._replies: dict[int, Message] = {}

    def ask(self, do: str, deadline_s: float = _REPLY_S, **arguments: Any) -> Any:
        """Have the phone do something and return its reply.

        Raises:
            PhoneError: the phone cannot do it, or its process ended.
            PhoneTimeout: no reply in `deadline_s`.
        """
        return self._send({"do": do, "with": arguments}, do, deadline_s)

    def open(self, account: dict[str, Any], log_file: Path | None) -> str:
        """Have the process become this phone; "address:port" it listens on.

        Raises:
            PhoneError: it cannot be had; the process is gone.
        """
        opening = {"account": account, "log_file": str(log_file or ""), "folder": str(self.folder)}
        try:
            return str(self._send(opening, "listen", _REPLY_S))
        except PhoneError:
            self._engine.forget(self)
            raise

    def _send(self, message: Message, what: str, deadline_s: float) -> Any:
        if self.channel.closed:
            raise PhoneError(f"Phone {self.name} is closed: it cannot {what.replace('_', ' ')}.")
        number = next(self._requests)
        self.channel.send({**message, "request": number})
        self._engine.poll_until(
            lambda: number in self._replies, deadline_s, f"phone {self.name} replies to {what}"
        )
        reply = self._replies.pop(number)
        if "error" in reply:
            raise PhoneError(f"Phone {self.name} cannot {what.replace('_', ' ')}: {reply['error']}.")
        return reply["value"]

    def take(self) -> None:
        """Take what the process has sent."""
        for message in self.channel.receive():
            if "reply" in message:
                self._replies[message["reply"]] = message
            elif self.on_event is not None:
                self.on_event(message)

    def last_words(self) -> str:
        """Why the process ended, by its standard error; "" when it died silently."""
        return _last_words(self.folder / "errors") or _last_words(self.folder.parent / "errors")


def _last_words(errors: Path) -> str:
    text = errors.read_text(errors="replace") if errors.exists() else ""
    found = _FATAL.search(text)
    return found.group(0).strip() if found else ""


class Engine:
    """A context manager that owns phones and waits for them.

    Phones act on their own; `poll_until` and `run_for` take in what they report. An engine may be used from
    any thread, by one at a time. With `log_dir` every phone writes a SIP log there, messages included: they
    hold SRTP keys and digest responses, so that nobody but its owner may read them.
    """

    def __init__(self, log_dir: Path | None = None) -> None:
        """Check that phones can be had here; nothing is started yet.

        Raises:
            LabError: pjsua2 is not installed.
        """
        if find_spec("pjsua2") is None:
            raise LabError(
                "Phones need pjsua2, which is not installed: run `pip install 'wirechief[phones]'` "
                "(there are wheels for Python 3.8 to 3.12 on x86_64)."
            )
        self._log_dir = log_dir
        self._selector = selectors.DefaultSelector()
        self._links: list[Link] = []
        self._names = itertools.count(1)
        self._folder: Path | None = None
        self._nursery: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def poll_until(self, predicate: Callable[[], bool], deadline_s: float, what: str) -> None:
        """Take in what phones report until `predicate()` is true.

        Raises:
            PhoneTimeout: it was not true within `deadline_s`; the text says `what` was waited for.
            PhoneError: the process of a phone ended by itself.
        """
        deadline = time.monotonic() + deadline_s
        while not predicate():
            left = deadline - time.monotonic()
            if left <= 0:
                raise PhoneTimeout(what, deadline_s)
            self.poll(min(left, _LOOK_AGAIN_S))

    def run_for(self, seconds: float) -> None:
        """Take in what phones report for `seconds`: for a length of audio, never instead of a condition."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.poll(left)

    def poll(self, wait_s: float) -> None:
        """Take in what phones report; return after the first of it, or after `wait_s`."""
        for link in self._links:
            link.channel.flush()
        for key, _ in self._selector.select(wait_s):
            link = key.data
            link.take()
            if link.channel.closed:
                self.forget(link)
                raise PhoneError(f"Phone {link.name} ended by itself. {link.last_words()}".strip())

    def start_phone(self, name: str) -> Link:
        """Fork a process that waits to be told which phone it is.

        Raises:
            LabError: phones cannot be started on this machine.
        """
        control, folder = self._nursery_of_phones()
        own, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        place = folder / str(next(self._names))
        place.mkdir()
        with its:
            order = json.dumps({"errors": str(place / "errors")}).encode()
            try:
                socket.send_fds(control, [order], [its.fileno()])
            except OSError as exc:
                own.close()
                raise LabError(f"Phones cannot be started. {_last_words(folder / 'errors')}".strip()) from exc
        link = Link(self, name, Channel(own), place)
        self._links.append(link)
        self._selector.register(link.channel, selectors.EVENT_READ, link)
        return link

    def log_file(self, name: str) -> Path | None:
        """A new file that the phone of this name logs to; None when phones do not log.

        Raises:
            LabError: it cannot be made.
        """
        if self._log_dir is None:
            return None
        try:
            self._log_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            while True:
                path = self._log_dir / f"{name}-{next(self._names)}.log"
                # A log of an earlier call is kept, and what somebody laid there is not followed.
                with contextlib.suppress(FileExistsError):
                    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
                    return path
        except OSError as exc:
            raise LabError(f"No SIP log can be written to {self._log_dir} ({exc.strerror}).") from exc

    def forget(self, link: Link) -> None:
        """Let go of a phone that has ended."""
        if link in self._links:
            self._links.remove(link)
            self._selector.unregister(link.channel)
        link.channel.close()

    def close_phone(self, link: Link) -> None:
        """Hang up, unregister and end a phone; nothing happens when it has ended."""
        self._end([link] if link in self._links else [])

    def close(self) -> None:
        """End every phone and the process they came from. Closing twice is no error."""
        self._end(list(self._links))
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._nursery is not None:
            try:
                self._nursery.wait(_CLOSE_S)
            except subprocess.TimeoutExpired:
                self._nursery.kill()
                self._nursery.wait()
            self._nursery = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        self._selector.close()
        atexit.unregister(self.close)

    def _end(self, links: list[Link]) -> None:
        for link in links:
            link.channel.send({"do": "close", "with": {}})
        deadline = time.monotonic() + _CLOSE_S
        for link in links:
            while not link.channel.closed and (left := deadline - time.monotonic()) > 0:
                link.channel.flush()
                for key, _ in self._selector.select(min(left, _LOOK_AGAIN_S)):
                    key.data.take()
            # A phone that does not answer sees its owner gone now, and ends by itself.
            self.forget(link)

    def _nursery_of_phones(self) -> tuple[socket.socket, Path]:
        if self._control is not None and self._folder is not None:
            return self._control, self._folder
        self._folder = Path(tempfile.mkdtemp(prefix="phones-"))
        self._control, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        atexit.register(self.close)
        with its, contextlib.ExitStack() as stack:
            errors = stack.enter_context((self._folder / "errors").open("wb"))
            self._nursery = subprocess.Popen(
                [sys.executable, "-m", "control_plane.adapters.phones.process", str(its.fileno())],
                pass_fds=(its.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                # The same code as here, however it came onto the path.
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                # Ctrl-C is for the owner; phones end with it, properly.
                start_new_session=True,
            )
        return self._control, self._folder
