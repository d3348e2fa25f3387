"""A phone, as its owner sees it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from control_plane.adapters.phones.call import PhoneCall
from control_plane.adapters.phones.channel import Message
from control_plane.adapters.phones.engine import Engine
from control_plane.adapters.phones.values import Answer, Behaviour, SipAccount


class Phone:
    """A SIP phone that listens from its creation on and answers calls after 0.2 s unless told otherwise.

    A context manager: leaving it hangs up, unregisters and ends the phone, as closing its engine does.
    """

    def __init__(self, engine: Engine, account: SipAccount) -> None:
        """Start the phone; it does not register by itself.

        Raises:
            PhoneError: its address cannot be bound, or a certificate cannot be read.
        """
        self.engine = engine
        self.account = account
        self.name = account.display_name or account.sip_user
        self.calls: list[PhoneCall] = []
        self.message_waiting: tuple[int, int] | None = None
        self.registered = False
        self.registration_code = 0
        self.registration_reason = ""
        self.troubles: list[str] = []
        """What the phone could not do of what it had planned, such as an answer the caller did not await."""
        self._registrations = 0
        self._behaviour: Behaviour = Answer()
        self._by_number: dict[int, PhoneCall] = {}
        self._link = engine.start_phone(self.name)
        self._link.on_event = self._take
        settings = asdict(account)
        for name in ("ca_file", "certificate_file", "key_file"):
            settings[name] = str(settings[name].resolve()) if settings[name] else ""
        self.log_file = engine.log_file(account.sip_user)
        """Where its SIP log is; None: it writes none."""
        self.address = self._link.open(settings, self.log_file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def uri(self) -> str:
        """Where the phone can be called directly, without a server."""
        return f"sip:{self.account.sip_user}@{self.address};transport={self.account.transport}"

    # -- registration

    def register(self, deadline_s: float = 5.0) -> int:
        """Register, or refresh; the registrar's final status (200, 401 wrong password, 503 no connection).

        Raises:
            PhoneTimeout: no final answer came.
        """
        return self._registration("register", deadline_s)

    def unregister(self, deadline_s: float = 5.0) -> int:
        """Remove the registration; the registrar's final status. Raises: PhoneTimeout."""
        return self._registration("unregister", deadline_s)

    def _registration(self, do: str, deadline_s: float) -> int:
        before = self._registrations
        self.ask(do)
        self.engine.poll_until(
            lambda: self._registrations > before, deadline_s, f"the registrar answers {do} of {self.name}"
        )
        return self.registration_code

    # -- calls

    @property
    def behaviour(self) -> Behaviour:
        """What the phone does with an incoming call; set it at any time, it counts for the next call."""
        return self._behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        self.ask("behave", kind=type(behaviour).__name__, **asdict(behaviour))
        self._behaviour = behaviour

    def call(self, target: str, headers: Iterable[tuple[str, str]] = ()) -> PhoneCall:
        """Call a number at the phone's server, or a SIP URI; returns at once.

        Raises:
            PhoneError: all four lines of the phone are in use, or the target is not a SIP URI.
        """
        number = self.ask("dial", target=target, headers=[list(header) for header in headers])
        return self._by_number[number]

    @property
    def incoming(self) -> tuple[PhoneCall, ...]:
        """Calls that came in, oldest first, ended ones too."""
        return tuple(call for call in self.calls if call.direction == "incoming")

    def wait_incoming(self, deadline_s: float = 5.0, *, after: int = 0) -> PhoneCall:
        """The newest incoming call, once there are more than `after`. Raises: PhoneTimeout."""
        self.engine.poll_until(lambda: len(self.incoming) > after, deadline_s, f"{self.name} is called")
        return self.incoming[-1]

    # -- the process

    def ask(self, do: str, **arguments: Any) -> Any:
        """Have the phone do something. Raises: PhoneError when it cannot."""
        return self._link.ask(do, **arguments)

    def close(self) -> None:
        """Hang up, unregister and end the phone. Closing twice is no error."""
        self.engine.close_phone(self._link)
        self.registered = False

    def _take(self, event: Message) -> None:
        match event["event"]:
            case "registration":
                self._registrations += 1
                self.registered = event["active"] and 200 <= event["code"] < 300
                self.registration_code, self.registration_reason = event["code"], event["reason"]
            case "message_waiting":
                self.message_waiting = (event["new"], event["old"])
            case "call":
                call = PhoneCall(self, event)
                self.calls.append(call)
                self._by_number[call.number] = call
            case "trouble":
                self.troubles.append(event["text"])
            case "withdrawn":
                self.calls.remove(self._by_number.pop(event["call"]))
            case _:
                self._by_number[event["call"]].take(event)
