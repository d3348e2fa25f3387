"""Headless SIP phones for `wirechief call` and the call tests.

A phone registers, calls, answers, refuses, plays and hears tones, sends and receives DTMF, holds and
transfers, over UDP, TCP or TLS with or without SRTP. The SIP stack is pjsua2 (the optional dependency
`phones`); importing this package does not need it, starting an `Engine` does.

Each phone is a process of its own, forked from one that has the stack loaded. The published wheel is
compiled for at most 8 accounts and 4 simultaneous calls in a process (a ninth account aborts the process, a
fifth call gets a 486 nobody asked for), and its C++ objects abort the interpreter when they die in the wrong
order. With a process per phone there is no limit on phones, a phone has the four lines of a usual handset, a
phone goes on answering while its owner waits for something else, and nothing of it can take the owner down.
"""

from control_plane.adapters.phones.call import CallState, PhoneCall, RtpReport
from control_plane.adapters.phones.engine import Engine
from control_plane.adapters.phones.phone import Phone
from control_plane.adapters.phones.sip import SipMessage
from control_plane.adapters.phones.tones import tone_share
from control_plane.adapters.phones.values import (
    Answer,
    Behaviour,
    PhoneError,
    PhoneTimeout,
    Refuse,
    Ring,
    SipAccount,
)

__all__ = [
    "Answer",
    "Behaviour",
    "CallState",
    "Engine",
    "Phone",
    "PhoneCall",
    "PhoneError",
    "PhoneTimeout",
    "Refuse",
    "Ring",
    "RtpReport",
    "SipAccount",
    "SipMessage",
    "tone_share",
]
