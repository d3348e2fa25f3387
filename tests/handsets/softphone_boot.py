"""Softphones that are set up by a link: who opens it, what the program then asks, and what it believes.

They are given a way to get a whole address and nothing else. Zoiper keeps what a link gave it and asks for
nothing more; MicroSIP fetches no settings: a person opens the link and lays the file beside the program.
"""

from __future__ import annotations

import configparser
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from lxml import etree

from control_plane.domain.extension import Transport
from tests.handsets.boot import Account, Boot, BootFailed, Provisioning
from tests.handsets.xml import parsed

BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari"
)


class Got(NamedTuple):
    """A file, and what the server says it is."""

    content_type: str
    content: bytes


Get = Callable[[str, str], Got | None]
"""(address, User-Agent) to a file; None when the answer is not 200."""


class Softphone(Protocol):
    """One program's behaviour."""

    family: str
    polls: bool
    """Whether it asks again at an address of its own."""

    def set_up(self, link: str, get: Get) -> Boot:
        """Open the link a person was given, parse, believe. Raises: BootFailed."""
        ...

    def ask_again(self, known: Boot, get: Get) -> Boot:
        """Switched on again. Raises: BootFailed."""
        ...


class Opening:
    """What is asked while a softphone is set up."""

    def __init__(self, get: Get) -> None:
        self._get = get
        self.boot = Boot()

    def need(self, address: str, user_agent: str, content_types: tuple[str, ...]) -> bytes:
        """The file. Raises: BootFailed."""
        self.boot.asked.append(address)
        got = self._get(address, user_agent)
        if got is None:
            raise BootFailed(f"{address.rpartition('/')[2][:6]}... is not there")
        if got.content_type.partition(";")[0].strip() not in content_types:
            raise BootFailed(f"is {got.content_type}, not {' or '.join(content_types)}")
        self.boot.files[address] = got.content
        return got.content


def _text(element: etree._Element, name: str) -> str:
    found = element.findall(name)
    if len(found) > 1:
        raise BootFailed(f"{name} stands there {len(found)} times")
    return (found[0].text or "") if found else ""


def _server(text: str, default_port: int = 5060) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    return (host, int(port)) if colon else (text, default_port)


class Groundwire:
    """Acrobits: an account in XML, which says itself where to ask again and how often."""

    family, polls = "acrobits", True
    agent = "Groundwire/6.8.8 (build 2140; Android 14)"

    def set_up(self, link: str, get: Get) -> Boot:
        scheme, mark, rest = link.partition("://")
        if scheme != "provlinkbs" or not mark:
            raise BootFailed("a link that does not open it")
        return self._believe(f"https://{rest}", get)

    def ask_again(self, known: Boot, get: Get) -> Boot:
        assert known.provisioning is not None
        return self._believe(known.provisioning.url, get)

    def _believe(self, address: str, get: Get) -> Boot:
        opening = Opening(get)
        root = parsed(opening.need(address, self.agent, ("application/xml",)))
        if root.tag != "account":
            raise BootFailed(f"<{root.tag}> is no account")
        if not int(_text(root, "extProvInterval") or 0):
            raise BootFailed("would never ask again")
        opening.boot.provisioning = Provisioning(_text(root, "extProvUrl"), "", "")
        if _text(root, "username"):
            opening.boot.accounts = (self._account(root),)
        return opening.boot

    def _account(self, root: etree._Element) -> Account:
        spoken = {"udp": Transport.UDP, "tcp": Transport.TCP, "tls+sip:": Transport.TLS}
        transport = spoken.get(_text(root, "transport"))
        if transport is None:
            raise BootFailed("a transport it does not know")
        media = {_text(root, name) for name in ("sdesIncoming", "sdesOutgoing")}
        if media != ({"enabled"} if transport is Transport.TLS else {"disabled"}):
            raise BootFailed(f"media is {media}")
        host, port = _server(_text(root, "proxy"))
        return Account(
            user=_text(root, "username"),
            auth_user=_text(root, "authUsername"),
            password=_text(root, "password"),
            host=host or _text(root, "host"),
            port=port,
            transport=transport,
            display_name=_text(root, "userDisplayName"),
        )


class Zoiper:
    """Zoiper 5: accounts among its options, taken over once."""

    family, polls = "zoiper", False
    agent = "Zoiper/5.6.5 (Windows)"

    def set_up(self, link: str, get: Get) -> Boot:
        opening = Opening(get)
        root = parsed(opening.need(link, self.agent, ("application/xml", "text/xml")))
        if root.tag != "options":
            raise BootFailed(f"<{root.tag}> has no options")
        accounts = root.findall("accounts/account")
        idents = [_text(account, "ident") for account in accounts]
        if len(set(idents)) != len(idents) or "" in idents:
            raise BootFailed("accounts that cannot be told apart")
        opening.boot.accounts = tuple(
            self._account(account, index) for index, account in enumerate(accounts, 1)
        )
        return opening.boot

    def ask_again(self, known: Boot, get: Get) -> Boot:
        return known

    def _account(self, account: etree._Element, index: int) -> Account:
        kept = [_text(account, name) for name in ("save_username", "save_password", "register_on_startup")]
        if _text(account, "protocol") != "sip" or kept != ["true"] * 3:
            raise BootFailed("an account that would not register")
        user = _text(account, "username")
        named = _text(account, "SIP_use_auth_username") == "true"
        host, port = _server(_text(account, "SIP_domain"))
        return Account(
            user=user,
            auth_user=_text(account, "SIP_auth_username") if named else user,
            password=_text(account, "password"),
            host=host,
            port=port,
            transport=Transport(_text(account, "SIP_transport_type")),
            index=index,
            display_name=_text(account, "SIP_callerId"),
        )


class MicroSip:
    """MicroSIP: an ini file of UTF-16, as a browser saved it; its contacts it fetches itself."""

    family, polls = "microsip", False
    agent = "MicroSIP/3.21.6"

    def __init__(self) -> None:
        self.contacts: tuple[tuple[str, str], ...] = ()

    def set_up(self, link: str, get: Get) -> Boot:
        opening = Opening(get)
        settings = self._ini(opening.need(link, BROWSER, ("text/plain",)))
        general = settings["Settings"]
        if int(general["accountId"]):
            # It shows and registers the one account that is chosen.
            opening.boot.accounts = (self._account(settings[f"Account{general['accountId']}"]),)
        directory = general["usersDirectory"]
        if directory:
            book = parsed(opening.need(directory, self.agent, ("application/xml", "text/xml")))
            self.contacts = tuple((str(c.get("name")), str(c.get("number"))) for c in book.iter("contact"))
            opening.boot.provisioning = Provisioning(directory.rpartition("/")[0] + "/", "", "")
        return opening.boot

    def ask_again(self, known: Boot, get: Get) -> Boot:
        return known

    def _ini(self, content: bytes) -> dict[str, dict[str, str]]:
        """As GetPrivateProfileString reads a file: UTF-16 by its mark, quotation marks taken off."""
        if not content.startswith(b"\xff\xfe"):
            raise BootFailed("names would be read in the code page of the machine")
        ini = configparser.RawConfigParser(
            delimiters=("=",), comment_prefixes=(";",), empty_lines_in_values=False
        )
        ini.optionxform = str  # type: ignore[assignment, method-assign]
        ini.read_string(content.decode("utf-16"))
        return {name: {key: _unquoted(value) for key, value in ini[name].items()} for name in ini.sections()}

    def _account(self, account: Mapping[str, str]) -> Account:
        host, port = _server(account["server"])
        return Account(
            user=account["username"],
            auth_user=account["authID"],
            password=account["password"],
            host=host,
            port=port,
            transport=Transport(account["transport"]),
            display_name=account["displayName"],
        )


def _unquoted(value: str) -> str:
    text = value.strip()
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if quoted else text


SET_UP_BY_LINK: dict[str, Callable[[], Softphone]] = {
    "acrobits": Groundwire,
    "zoiper": Zoiper,
    "microsip": MicroSip,
}
"""Linphone is not here: a real one is set up (tests/integration/test_linphone.py)."""
