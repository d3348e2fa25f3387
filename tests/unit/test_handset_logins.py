"""What handsets write into Authorization, taken apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning_server.login import _USUAL_PARAMETERS, BasicLogin, DigestLogin, parse

RFC_7616 = (
    'Digest username="Mufasa",\r\n realm="http-auth@example.org",\r\n uri="/dir/index.html",\r\n'
    ' algorithm=MD5,\r\n nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",\r\n nc=00000001,\r\n'
    ' cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",\r\n qop=auth,\r\n'
    ' response="8ca523f5e9506fed4657c9700eebdbec",\r\n'
    ' opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
"""The example of RFC 7616 3.9.1, with its line breaks."""
VALUES = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=40)
SPACES = st.sampled_from(("", " ", "\t"))
NEEDED = {"username": "u", "nonce": "n", "uri": "/", "response": "r"}


def quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def test_the_example_of_the_standard_is_understood() -> None:
    assert parse(RFC_7616) == DigestLogin(
        "Mufasa",
        "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        "/dir/index.html",
        "8ca523f5e9506fed4657c9700eebdbec",
        "MD5",
        "auth",
        "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        "00000001",
    )


@given(
    user=VALUES, uri=VALUES, cnonce=VALUES, space=SPACES, names=st.permutations(("username", "uri", "CNonce"))
)
def test_any_value_comes_out_as_it_was_written(
    user: str, uri: str, cnonce: str, space: str, names: list[str]
) -> None:
    values = {"username": user, "uri": uri, "CNonce": cnonce}
    parts = [f"{name}{space}={space}{quoted(values[name])}" for name in names]
    login = parse("digest " + f"{space},{space}".join([*parts, "nonce=n", "response=R", "qop=AUTH", 'nc=""']))
    assert login == DigestLogin(user, "n", uri, "r", "MD5", "auth", cnonce, "")


@pytest.mark.parametrize(
    "parameters",
    [
        'username="a", username="b", nonce=n, uri=u, response=r',
        'username="a", nonce=n, uri=u, response=r, USERNAME=b',
        'username="a"b, nonce=n, uri=u, response=r',
        'username="a, nonce=n, uri=u, response=r',
        'username="a\\", nonce=n, uri=u, response=r',
        "username=a b, nonce=n, uri=u, response=r",
        "username=a; nonce=n, uri=u, response=r",
        ", username=a, nonce=n, uri=u, response=r",
        "username=a, nonce=n, uri=u, response=r\n\x00",
        "username=a, nonce=n, uri=u",
        "=a, username=a, nonce=n, uri=u, response=r",
        "",
    ],
)
def test_what_can_be_read_in_two_ways_is_no_login(parameters: str) -> None:
    assert parse(f"Digest {parameters}") is None


@given(st.text(max_size=200) | st.text('="\\, a', max_size=2100))
def test_any_text_is_a_login_or_none(text: str) -> None:
    for scheme in ("Digest", "Basic", ""):
        assert isinstance(parse(f"{scheme} {text}"), DigestLogin | BasicLogin | None)


def test_a_parameter_that_is_there_stays_itself_whatever_stands_beside_it() -> None:
    more = ", ".join(f'x{number}="{"," * 9}"' for number in range(40))
    given_login = ", ".join(f"{name}={value}" for name, value in NEEDED.items())
    assert parse(f"Digest {more}, {given_login}") == DigestLogin("u", "n", "/", "r", "MD5", "", "", "")


PARAMETERS = {
    "username": ("u", "u=", "a, b", "", 'a"b', "a\\\\b"),
    "nonce": ("n", "n=", ""),
    "uri": ("/", "/a,b", "/a b"),
    "response": ("0af9", "", "0AF9", "x"),
    "algorithm": ("MD5", "SHA-256", "md5", "MD5-sess"),
    "qop": ("auth", "auth-int", ""),
    "cnonce": ("c", "", 'c="', "\n"),
    "nc": ("00000001", "0000000A", "1", ""),
    "realm": ("r", ""),
    "opaque": ("o", ""),
}
WRITTEN = {"bare": "{}={}", "quoted": '{}="{}"', "open": '{}="{}', "closed": '{}={}"'}


@st.composite
def digests(draw: st.DrawFn) -> str:
    """Parameters in any order; some missing, twice, in capitals, or with a quotation mark too many."""
    usual = st.sampled_from((*[True] * 9, False))
    names = draw(st.permutations(sorted(PARAMETERS)))[draw(st.sampled_from((0, 0, 0, 1, 3))) :]
    names += [] if draw(usual) else [draw(st.sampled_from(sorted(PARAMETERS)))]
    parts = []
    for name in names:
        value = PARAMETERS[name][0] if draw(usual) else draw(st.sampled_from(PARAMETERS[name]))
        form = (
            ("bare" if name in ("nc", "qop") else "quoted")
            if draw(usual)
            else draw(st.sampled_from(list(WRITTEN)))
        )
        parts.append(WRITTEN[form].format(name, value))
    if not draw(usual):
        parts[-1] = parts[-1].upper()
    return draw(st.sampled_from((", ", ",", ",  "))).join(parts) + ("" if draw(usual) else ",\n")


@given(digests())
def test_what_is_written_as_usual_is_read_as_what_is_not(text: str) -> None:
    """A parameter that nobody knows makes the thorough reading read all of them."""
    assert parse(f"Digest {text}") == parse(f"Digest z=1, {text}")


def test_the_usual_and_the_thorough_reading_are_both_used() -> None:
    usual = 'username="u", realm="r", nonce="n", uri="/", qop=auth, nc=00000001, cnonce="c", response="0a"'
    assert _USUAL_PARAMETERS.fullmatch(usual) is not None
    assert _USUAL_PARAMETERS.fullmatch(f"z=1, {usual}") is None
    assert parse(f"Digest {usual}") == DigestLogin("u", "n", "/", "0a", "MD5", "auth", "c", "00000001")
