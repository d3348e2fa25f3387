"""The commands at the top of `wirechief`: the sentence each is listed with, and the modules that hold it.

The list is what help and completion show, so that neither has to import what every command needs. Nothing
here may import more than the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Listed(NamedTuple):
    """A command: what it says of itself, and the modules under `control_plane.cli` that register it."""

    says: str
    modules: tuple[str, ...]


COMMANDS: Mapping[str, Listed] = {
    "plan": Listed("Show what an apply would do. Exit 0: nothing, 2: changes, 1: error.", ("pushing",)),
    "drift": Listed(
        "Show only what is not the model's doing: edited, lost or foreign. Exit codes as for plan.",
        ("pushing",),
    ),
    "apply": Listed(
        "Push what differs and verify it. Exit 1 when something could not be done.", ("pushing",)
    ),
    "feature-codes": Listed("The codes people dial on their phones.", ("showing",)),
    "call": Listed(
        "Make a real call and show both traces, explained and real. Exit 1 when they differ.", ("calling",)
    ),
    "calls": Listed(
        "List the last calls that ended, with the way each took through the call path.", ("calls",)
    ),
    "check": Listed(
        "Look for loops, ways out of restricted phones, dead ends and unreachable emergency numbers.",
        ("checking",),
    ),
    "explain": Listed("Say what a call will do, node by node, and why.", ("explaining",)),
    "export": Listed(
        "Write a complete /etc/asterisk tree that a plain Asterisk 22 starts with.", ("exporting",)
    ),
    "serve": Listed(
        "Run the control plane in the foreground, for service managers; SIGTERM ends it in order.", ("lab",)
    ),
    "account": Listed("Who may log in, and as what.", ("accounts",)),
    "token": Listed("Named tokens of accounts, for programs.", ("accounts",)),
    "show": Listed("Show what the model holds.", ("showing", "grouping")),
    "set": Listed("Change settings.", ("changing", "grouping")),
    "extension": Listed("Add and remove extensions.", ("changing",)),
    "device": Listed("Add and remove devices, and give them new passwords.", ("changing",)),
    "audit": Listed("Who changed what, when; and undoing it.", ("auditing",)),
    "organisation": Listed("Organisations: the operator and the occupiers.", ("organisations",)),
    "decommission": Listed("Take everything back from an occupier that leaves.", ("decommissioning",)),
    "handset": Listed(
        "Handsets: what they are told, fetch and follow.",
        ("handsets", "handset_lists", "handset_published", "handset_uploads", "dhcp"),
    ),
    "group": Listed("Add and remove call groups.", ("grouping",)),
    "main-number": Listed("Set up main numbers, and take that away.", ("grouping",)),
    "lab": Listed("The lab: a PBX node, a carrier and the control plane.", ("lab",)),
    "carrier": Listed("The world outside: calls in, and how numbers behave.", ("lab",)),
    "mail": Listed("Mails about missed calls and voicemail that are not sent.", ("mails",)),
    "number": Listed(
        "Phone numbers: the pool of a site, and their life.",
        ("numbers", "number_life", "number_listing", "number_pool"),
    ),
    "occupancy": Listed("Occupancies: what an organisation has at a site.", ("occupancies",)),
    "person": Listed("People: whom numbers and extensions are assigned to.", ("people",)),
    "security": Listed("Addresses refused after failed SIP logins.", ("security",)),
    "service": Listed("Voice services: how many numbers may be active.", ("services",)),
    "site": Listed("Sites: region, time zone, trunk, and what handsets get.", ("sites",)),
    "task": Listed("Changes on their way to Asterisk and to handsets.", ("tasks",)),
    "trunk": Listed("Trunks: connections to carriers.", ("trunks",)),
}
