"""Lists of numbers over HTTP: filters, search, pages, warnings and the export (R18, R31, R38-R45)."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.fake_node import FakeNode
from tests.integration.api_client import Api, demo_api

N100 = "+6561000100"
E100 = "/organisations/acme/extensions/100"

Json = dict[str, Any]


@pytest.fixture
async def node() -> FakeNode:
    node = FakeNode()
    await node.connect()
    return node


@pytest.fixture
async def api(tmp_path: Path, node: FakeNode) -> AsyncIterator[Api]:
    """Nothing is in progress: the node holds the demo."""
    async with demo_api(tmp_path, node) as api:
        await api.ok("POST", "/nodes/lab/apply")
        yield api


async def listed(api: Api, query: str) -> Json:
    found: Json = (await api.ok("GET", f"/numbers?{query}")).json()
    return found


async def row(api: Api, e164: str) -> Json:
    """A number in its list, which is what is answered of it alone."""
    (found,) = [item for item in (await listed(api, "org=acme"))["items"] if item["e164"] == e164]
    assert isinstance(found, dict)
    assert (await api.ok("GET", f"/numbers/{e164}")).json() == found
    return found


async def test_statuses_to_choose_from_are_those_of_the_unfiltered_list(api: Api) -> None:
    everything = await listed(api, "org=acme")
    assert {found["status"] for found in everything["statuses"]} == {i["status"] for i in everything["items"]}
    assert sum(found["count"] for found in everything["statuses"]) == everything["count"]
    assert sum(found["count"] for found in everything["sites"]) == everything["count"]
    none = await listed(api, "org=acme&status=cooldown")
    assert (none["items"], none["count"]) == ([], 0)
    assert none["statuses"] == everything["statuses"]


async def test_search_finds_a_part_in_any_notation_and_adds_up_with_filters(api: Api) -> None:
    for text in ("%2B65 6100-0100", "61000100", "(6100) 0100", "0100"):
        assert [i["e164"] for i in (await listed(api, f"search={text}"))["items"]] == [N100]
    assert (await listed(api, "search=0100&status=available"))["items"] == []
    problem = await api.problem("GET", "/numbers?search=front desk", 422)
    assert problem["errors"][0]["field"] == "search"


async def test_pages_hold_every_number_once_in_every_order(api: Api) -> None:
    everything = [item["e164"] for item in (await listed(api, ""))["items"]]
    for order in ("number", "extension", "status", "name", "site"):
        for descending in ("false", "true"):
            found: list[str] = []
            cursor = ""
            while True:
                page = await listed(api, f"limit=2&order={order}&descending={descending}{cursor}")
                found += [item["e164"] for item in page["items"]]
                if page["next"] is None:
                    break
                cursor = f"&cursor={page['next']}"
            assert sorted(found) == sorted(everything)
    await api.problem("GET", f"/numbers?order=name{cursor}", 422)


async def test_a_number_shows_that_an_update_is_in_progress_until_asterisk_has_it(api: Api) -> None:
    assert (await row(api, N100))["warnings"] == []
    await api.ok("PATCH", E100, json={"dnd": True})
    assert (await row(api, N100))["warnings"] == ["update_in_progress"]
    assert (await api.ok("GET", E100)).json()["update_in_progress"] is True
    await api.ok("POST", "/nodes/lab/apply")
    assert (await row(api, N100))["warnings"] == []
    assert (await api.ok("GET", E100)).json()["update_in_progress"] is False


async def test_the_export_is_the_list_with_its_filters_and_the_main_number_first(api: Api) -> None:
    answer = await api.ok("GET", "/numbers/export.csv?org=acme&search=0100")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [found["number"] for found in rows] == [N100]
    assert rows[0]["status"] == "ACTIVE"
    everything = await api.ok("GET", "/numbers/export.csv")
    count = (await listed(api, ""))["count"]
    assert len(list(csv.DictReader(io.StringIO(everything.text, newline="")))) == count
