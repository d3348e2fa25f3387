"""An AMI peer on loopback that does exactly what a test tells it, byte for byte."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Self

Action = dict[str, str]
Script = Callable[["Connection", Action], Awaitable[None]]

GREETING = b"Asterisk Call Manager/11.0.0\r\n"
SECRET = "s3cret-of-the-test"


class Connection:
    """One accepted connection, as the peer sees it."""

    def __init__(self, number: int, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self._writer = writer
        self.actions: list[Action] = []
        self.ended = False
        self.bytes_left: int | None = None
        """When set: this many bytes are sent yet, then the connection ends."""

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        if self.bytes_left is not None:
            data = data[: self.bytes_left]
            self.bytes_left -= len(data)
        self._writer.write(data)
        await self._writer.drain()
        if self.bytes_left == 0:
            self.close()
            raise ConnectionResetError("the test's byte budget is used up")

    async def send_apart(self, *pieces: bytes) -> None:
        """Send each piece in a TCP segment of its own."""
        for piece in pieces:
            await self.send(piece)
            await asyncio.sleep(0.005)  # lets the kernel deliver the piece before the next one

    async def answer(self, action: Action, ok: bool = True, **headers: str) -> None:
        """Answer an action the way Asterisk words it."""
        await self.send(response(action, ok, **headers))

    def cut(self) -> None:
        """Break the connection with a reset."""
        self._writer.transport.abort()

    def close(self) -> None:
        """End the connection after what was sent."""
        self._writer.close()


def response(action: Action, ok: bool = True, **headers: str) -> bytes:
    """The bytes of a response."""
    return message(Response="Success" if ok else "Error", ActionID=action["ActionID"], **headers)


def message(**headers: str) -> bytes:
    """The bytes of one AMI message."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n"


FULLY_BOOTED = message(Event="FullyBooted", Privilege="system,all", Status="Fully Booted")


class ScriptedPeer:
    """Greets, accepts the login, reports FullyBooted and answers Ping, unless scripted otherwise."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.greeting = GREETING
        self.connections: list[Connection] = []
        self.scripts: dict[str, Script] = {"Login": accept, "Ping": pong}
        self.on_connection: Callable[[Connection], Awaitable[None]] | None = None
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def listen(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and break all connections."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in self.connections:
            connection.cut()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def actions(self) -> list[Action]:
        """Every action received, over all connections."""
        return [action for connection in self.connections for action in connection.actions]

    def named(self, name: str) -> list[Action]:
        """The received actions of this name."""
        return [action for action in self.actions if action.get("Action") == name]

    async def until(self, condition: Callable[[], bool], deadline_s: float = 5.0) -> None:
        """Wait until the condition holds; it is looked at after every action and connection."""
        async with asyncio.timeout(deadline_s), self._changed:
            await self._changed.wait_for(condition)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(len(self.connections) + 1, writer)
        self.connections.append(connection)
        task = asyncio.create_task(self._talk(connection, reader))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _talk(self, connection: Connection, reader: asyncio.StreamReader) -> None:
        try:
            await self._note()
            if self.on_connection is not None:
                await self.on_connection(connection)
            await connection.send(self.greeting)
            while True:
                raw = await reader.readuntil(b"\r\n\r\n")
                action = dict(line.split(": ", 1) for line in raw.decode()[:-4].split("\r\n"))
                connection.actions.append(action)
                await self._note()
                script = self.scripts.get(action["Action"])
                if script is not None:
                    await script(connection, action)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            connection.cut()
            connection.ended = True
            await self._note()

    async def _note(self) -> None:
        async with self._changed:
            self._changed.notify_all()


async def accept(connection: Connection, action: Action) -> None:
    """Accept the right secret, as Asterisk does: the answer first, FullyBooted after it."""
    if action["Secret"] == SECRET:
        await connection.answer(action, Message="Authentication accepted")
        await connection.send(FULLY_BOOTED)
    else:
        await connection.answer(action, ok=False, Message="Authentication failed")
        connection.close()


async def pong(connection: Connection, action: Action) -> None:
    """Answer a ping."""
    await connection.answer(action, Ping="Pong", Timestamp="0.0")


async def succeed(connection: Connection, action: Action) -> None:
    """Answer anything with success."""
    await connection.answer(action, Message="Done")


async def silent(_connection: Connection, _action: Action) -> None:
    """Never answer."""


async def cut(connection: Connection, _action: Action) -> None:
    """Break the connection instead of answering."""
    connection.cut()


class Table:
    """AstDB behind a scripted peer, answering in Asterisk's words."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}

    def scripts(self) -> dict[str, Script]:
        """Scripts for the four database actions."""
        return {"DBPut": self.put, "DBDel": self.delete, "DBGet": self.get, "DBGetTree": self.tree}

    async def put(self, connection: Connection, action: Action) -> None:
        self.rows[f"{action['Family']}/{action['Key']}"] = action["Val"]
        await connection.answer(action, Message="Updated database successfully")

    async def delete(self, connection: Connection, action: Action) -> None:
        if self.rows.pop(f"{action['Family']}/{action['Key']}", None) is None:
            await connection.answer(action, ok=False, Message="Database entry could not be deleted")
        else:
            await connection.answer(action, Message="Key deleted successfully")

    async def get(self, connection: Connection, action: Action) -> None:
        value = self.rows.get(f"{action['Family']}/{action['Key']}")
        if value is None:
            await connection.answer(action, ok=False, Message="Database entry not found")
            return
        await connection.send(
            response(action, EventList="start", Message="Result will follow")
            + message(
                Event="DBGetResponse",
                Family=action["Family"],
                Key=action["Key"],
                Val=value,
                ActionID=action["ActionID"],
            )
            + complete(action, "DBGetComplete", 1)
        )

    async def tree(self, connection: Connection, action: Action) -> None:
        await connection.send(self.tree_bytes(action))

    def tree_bytes(self, action: Action) -> bytes:
        """The whole answer to a DBGetTree."""
        prefix = action["Family"] + "/"
        rows = [(key, value) for key, value in sorted(self.rows.items()) if f"{key}/".startswith(prefix)]
        return (
            response(action, EventList="start", Message="Result will follow")
            + b"".join(
                message(Event="DBGetTreeResponse", Key=f"/{key}", Val=value, ActionID=action["ActionID"])
                for key, value in rows
            )
            + complete(action, "DBGetTreeComplete", len(rows))
        )


def complete(action: Action, event: str, count: int) -> bytes:
    """The event that ends a list."""
    return message(Event=event, ActionID=action["ActionID"], EventList="Complete", ListItems=str(count))
