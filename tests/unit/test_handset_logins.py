"""What handsets write into Authorization, taken apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning_server.login import BasicLogin, DigestLogin, parse

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


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("username", "nonce", "uri", "response", "qop", "nc", "NC", "x", "a-b", "")),
            st.text('ab=,"\\ \t\n', max_size=4),
            st.booleans(),
        ),
        max_size=8,
    ),
    st.sampled_from((", ", ",", " ", ";")),
)
def test_what_is_written_as_usual_is_read_as_what_is_not(
    parameters: list[tuple[str, str, bool]], comma: str
) -> None:
    """An unusual parameter at the end makes the thorough reading read all of them."""
    written = [f'{name}="{value}"' if marked else f"{name}={value}" for name, value, marked in parameters]
    for more in ([], [f"{name}=v" for name in NEEDED]):
        usual, thorough = [*written, *more, "z=1"], [*written, *more, "Z=1"]
        assert parse(f"Digest {comma.join(usual)}") == parse(f"Digest {comma.join(thorough)}")
