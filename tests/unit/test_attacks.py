"""The fold that decides which addresses are refused: no Asterisk, no clock."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.observe.attacks import (
    MAX_NETWORKS,
    NETWORKS_PER_ROW,
    REFUSED_PREFIX,
    REFUSING_ENDPOINT,
    ROW_BYTES,
    Block,
    BlockReason,
    Failure,
    Policy,
    Window,
    add_failure,
    block,
    contact_source,
    judge,
    observe_failure,
    parse_record,
    record_row,
    refusal_rows,
    source_of,
)

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
POLICY = Policy()
ATTACKER = source_of("192.0.2.7")
HEADERS = {"Service": "PJSIP", "AccountID": "1000", "RemoteAddress": "IPV4/UDP/192.0.2.7/5060"}


def window_of(*failures: tuple[str, bool], every_s: float = 0.1) -> Window:
    window: Window = ()
    for number, (account, known) in enumerate(failures):
        at = START + timedelta(seconds=number * every_s)
        window = add_failure(window, Failure(ATTACKER, account, known), at, POLICY)
    return window


def denied(rows: dict[str, str]) -> list[str]:
    held = [json.loads(value) for key, value in rows.items() if key.startswith(REFUSED_PREFIX)]
    assert all(row["endpoint"] == REFUSING_ENDPOINT for row in held)
    return [network for row in held for network in row["match"].split(",")]


def blocks_of(addresses: list[str]) -> list[Block]:
    return [
        Block(
            source_of(a),
            START + timedelta(seconds=n),
            START + timedelta(hours=1, seconds=n),
            1,
            BlockReason.FAILURES,
        )
        for n, a in enumerate(addresses)
    ]


def test_an_unknown_account_is_a_failure_of_its_address() -> None:
    assert observe_failure("InvalidAccountID", HEADERS) == Failure(ATTACKER, "1000", known=False)


def test_a_wrong_password_is_a_failure_of_a_known_account() -> None:
    assert observe_failure("ChallengeResponseFailed", HEADERS) == Failure(ATTACKER, "1000", known=True)


def test_a_failed_login_to_the_manager_interface_is_no_sip_failure() -> None:
    assert observe_failure("InvalidPassword", HEADERS | {"Service": "AMI"}) is None


def test_the_second_event_of_one_wrong_answer_for_an_unknown_account_does_not_count_again() -> None:
    assert observe_failure("ChallengeResponseFailed", HEADERS | {"AccountID": "<unknown>"}) is None


@pytest.mark.parametrize("name", ["SuccessfulAuth", "ChallengeSent", "FailedACL", "FullyBooted"])
def test_other_events_are_no_failures(name: str) -> None:
    assert observe_failure(name, HEADERS) is None


@pytest.mark.parametrize("address", ["", "IPV4", "IPV4/UDP/300.1.1.1/5060", "IPV4/UDP//5060", "a/b/c/d"])
def test_an_event_without_a_readable_address_is_ignored(address: str) -> None:
    assert observe_failure("InvalidAccountID", HEADERS | {"RemoteAddress": address}) is None


def test_an_ipv6_attacker_is_its_whole_64() -> None:
    seen = observe_failure("InvalidAccountID", HEADERS | {"RemoteAddress": "IPV6/TLS/2001:db8::66/5061"})
    assert seen is not None
    assert seen.source == ip_network("2001:db8::/64")


def test_an_ipv4_address_in_ipv6_clothes_is_the_ipv4_address() -> None:
    assert source_of("::ffff:192.0.2.7") == ATTACKER


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("sip:dev1@192.0.2.9:5070;transport=udp", "192.0.2.9"),
        ("sip:dev1@192.0.2.9", "192.0.2.9"),
        ("sips:192.0.2.9:5061", "192.0.2.9"),
        ("sip:dev1@192.0.2.9:5070;x-ast-orig-host=10.0.0.4:5060", "192.0.2.9"),
    ],
)
def test_the_address_of_a_contact_is_where_it_was_seen(uri: str, address: str) -> None:
    assert contact_source(uri) == source_of(address)


@pytest.mark.parametrize("uri", ["", "sip:dev1@phone.example:5060", "tel:+15550100", "sip:x@999.1.1.1"])
def test_a_contact_without_an_address_has_none(uri: str) -> None:
    assert contact_source(uri) is None


def test_the_fifth_failure_within_the_window_blocks_and_the_fourth_does_not() -> None:
    assert judge(window_of(*[("1000", True)] * 4), (), POLICY) is None
    assert judge(window_of(*[("1000", True)] * 5), (), POLICY) is BlockReason.FAILURES


def test_failures_further_apart_than_the_window_never_add_up() -> None:
    assert judge(window_of(*[("1000", True)] * 50, every_s=16), (), POLICY) is None
    assert judge(window_of(*[("1000", True)] * 50, every_s=14), (), POLICY) is BlockReason.FAILURES


def test_a_mistyped_password_in_an_office_with_phones_of_ours_does_not_cut_it_off() -> None:
    window = window_of(*[("dev-a", True)] * 19)
    assert judge(window, {"dev-b"}, POLICY) is None
    assert judge(window_of(*[("dev-a", True)] * 20), {"dev-b"}, POLICY) is BlockReason.ACCOUNT


def test_thirty_phones_whose_accounts_were_removed_do_not_cut_off_their_office() -> None:
    phones = [f"dev{n}" for n in range(30)]
    window = window_of(*[(phone, False) for phone in phones for _ in range(2)], every_s=0.5)
    assert judge(window, frozenset(phones), POLICY) is None


def test_a_scan_from_an_office_with_phones_of_ours_is_stopped_sooner_by_unknown_names() -> None:
    unknown = [(str(n), False) for n in range(100, 150)]
    known = [(str(n), True) for n in range(100, 150)]
    assert judge(window_of(*unknown[:16]), {"dev-b"}, POLICY) is None
    assert judge(window_of(*unknown[:17]), {"dev-b"}, POLICY) is BlockReason.SCAN
    assert judge(window_of(*known[:49]), {"dev-b"}, POLICY) is None
    assert judge(window_of(*known[:50]), {"dev-b"}, POLICY) is BlockReason.SCAN


def test_a_window_remembers_no_more_than_the_highest_limit_needs() -> None:
    assert len(window_of(*[(str(n), False) for n in range(500)], every_s=0.001)) == 50


def test_each_block_is_twice_as_long_up_to_a_day() -> None:
    at, last, lengths = START, None, []
    for _ in range(9):
        last = block(ATTACKER, BlockReason.FAILURES, last, at, POLICY)
        lengths.append((last.until - last.since).total_seconds())
        at = last.until + timedelta(minutes=1)
    assert lengths == [900, 1800, 3600, 7200, 14400, 28800, 57600, 86400, 86400]


def test_a_day_of_quiet_makes_the_next_block_short_again() -> None:
    first = block(ATTACKER, BlockReason.FAILURES, None, START, POLICY)
    second = block(ATTACKER, BlockReason.SCAN, first, first.until + timedelta(hours=24), POLICY)
    assert (second.times, second.until - second.since) == (1, timedelta(seconds=900))


def test_a_block_survives_as_a_row() -> None:
    made = block(source_of("2001:db8::66"), BlockReason.SCAN, None, START, POLICY)
    key, value = record_row(made)
    assert key == "guard/2001:db8::"
    assert parse_record(key, value) == made


@pytest.mark.parametrize(
    "value", ["", "1", "a,b,c,d", "1,1,1,nonsense", "9" * 40 + ",1,1,scan", "1,1,1,scan,x"]
)
def test_a_row_nobody_of_us_wrote_is_no_block(value: str) -> None:
    assert parse_record("guard/192.0.2.7", value) is None


def test_few_blocks_are_one_row_and_a_new_one_is_at_its_end() -> None:
    rows = refusal_rows(reversed(blocks_of(["192.0.2.7", "192.0.2.3"])))
    assert rows == {
        "pbx/endpoint/~blocked": '{"context":"nowhere","deny":"0.0.0.0/0,::/0"}',
        "pbx/identify/~blocked-00": '{"endpoint":"~blocked","match":"192.0.2.7/32,192.0.2.3/32"}',
    }
    assert list(rows) == sorted(rows)


def test_no_block_is_no_row() -> None:
    assert refusal_rows([]) == {}


def test_a_crowded_neighbourhood_is_refused_whole_when_there_are_too_many_to_list() -> None:
    crowd = [f"198.51.100.{n}" for n in range(10)]
    others = [f"10.{n // 200}.{n % 200}.1" for n in range(MAX_NETWORKS)]
    listed = denied(refusal_rows(blocks_of(crowd + others[:-10])))
    assert len(listed) == MAX_NETWORKS
    merged = denied(refusal_rows(blocks_of(others[:-5] + crowd)))
    assert "198.51.100.0/24" in merged
    assert len(merged) == MAX_NETWORKS - 4


def test_no_merged_network_touches_a_protected_address() -> None:
    crowd = [f"198.51.100.{n}" for n in range(10)]
    others = [f"10.{n // 200}.{n % 200}.1" for n in range(MAX_NETWORKS)]
    rows = refusal_rows(blocks_of(others + crowd), [ip_network("198.51.100.200/32")])
    assert "198.51.100.0/24" not in denied(rows)
    assert "198.51.100.3/32" in denied(rows)


@given(st.lists(st.ip_addresses(v=4) | st.ip_addresses(v=6), max_size=600, unique=True))
def test_rows_are_few_and_short_and_hold_the_newest_blocks(addresses: list[object]) -> None:
    blocks = blocks_of([str(a) for a in addresses])
    rows = refusal_rows(blocks)
    listed = denied(rows)
    assert len(listed) <= MAX_NETWORKS
    assert all(len(value) <= ROW_BYTES for value in rows.values())
    assert all(value.count("/") <= NETWORKS_PER_ROW for key, value in rows.items() if "identify" in key)
    networks = [ip_network(text) for text in listed]
    for newest in blocks[-50:]:
        assert any(newest.source.version == n.version and newest.source.overlaps(n) for n in networks)
