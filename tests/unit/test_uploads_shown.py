"""What a person sees of a file that a handset sent."""

from __future__ import annotations

import pytest

from control_plane.service.uploads import shown_upload


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (b"account.1.password = short\nlang = en", "account.1.password =***\nlang = en"),
        (b'<user_pin perm="R">4711</user_pin>\n<lang>en</lang>', "<user_pin perm=***\n<lang>en</lang>"),
        (b'<param name="WebUI.1.Password" value="456"/>', '<param name="WebUI.1.Password" value=***'),
        (b"sip line1 password: 1234\nsip line1 vmail: *97", "sip line1 password:***\nsip line1 vmail: *97"),
        (b"log: user Abcdefgh01234567 came", "log: user *** came"),
        (b"lang = en\xff", "lang = en\ufffd"),
    ],
)
def test_what_could_let_somebody_in_is_masked(sent: bytes, shown: str) -> None:
    assert shown_upload(sent) == shown
