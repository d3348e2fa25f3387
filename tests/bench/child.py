"""The bench's side of the control plane process: start it, ask it, send it HTTP requests, end it."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from tests.lab import RunningLab

END_S = 15.0


class Plane:
    """A running control plane whose model has been pushed."""

    def __init__(self, lab: RunningLab, process: subprocess.Popen[str], pushed: dict[str, Any]) -> None:
        self.push: dict[str, tuple[float, float]] = pushed["push"]
        self.memory_before: float = pushed["memory_before"]
        self.pid = process.pid
        self._process = process
        self._token = lab.secrets.api_token.get_secret_value()
        self._http = http.client.HTTPConnection(lab.settings.api_host, lab.settings.api_port, timeout=10)

    def ask(self, command: str) -> dict[str, float]:
        """The answer to one command."""
        _write(self._process, command)
        return _answer(self._process)

    def send(self, method: str, path: str, body: object = None) -> None:
        """Send a request; its answer must be taken before the next."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        self._http.request(method, f"/api/v1{path}", data, headers)

    def answer(self) -> Any:
        """The answer's JSON. Raises: RuntimeError when it is no success."""
        response = self._http.getresponse()
        text = response.read()
        if response.status >= 300:
            raise RuntimeError(f"the API answered {response.status}: {text.decode()}")
        return json.loads(text) if text else None


@contextmanager
def plane_of(lab: RunningLab) -> Iterator[Plane]:
    """A control plane process over the database in the lab's state directory, after its first push."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.plane"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        _write(
            process, json.dumps(lab.settings.model_dump(mode="json", exclude={"smtp_password", "database"}))
        )
        plane = Plane(lab, process, _answer(process))
        yield plane
        _write(process, "end")
        process.wait(END_S)
    finally:
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                _open(pipe).close()
        if process.poll() is None:
            process.kill()
            process.wait()


def _open(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise RuntimeError("the process was started without pipes")
    return pipe


def _write(process: subprocess.Popen[str], line: str) -> None:
    pipe = _open(process.stdin)
    pipe.write(line + "\n")
    pipe.flush()


def _answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    line = _open(process.stdout).readline()
    if not line:
        raise RuntimeError("the control plane process ended; its last words are on stderr")
    answer: dict[str, Any] = json.loads(line)
    return answer
