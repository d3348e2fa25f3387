"""Organisations, sites, occupancies, people and trunks: what may be made, changed and removed."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

import pytest

from control_plane.errors import Conflict, InvalidField, UnknownEntity
from control_plane.ports import EntityKind
from control_plane.service.demo import DemoPlace, load_demo
from control_plane.service.extensions import patch_extension
from control_plane.service.places import (
    create_organisation,
    create_site,
    create_trunk,
    delete_organisation,
    delete_site,
    delete_trunk,
    patch_organisation,
    patch_site,
    patch_trunk,
)
from control_plane.service.reading import model_with_version, page
from control_plane.service.tenants import (
    clear_authorization_code,
    create_occupancy,
    create_person,
    delete_occupancy,
    delete_person,
    patch_occupancy,
    patch_person,
    set_authorization_code,
)
from control_plane.service.writing import By
from tests.unit.memory_store import MemoryStore

BY = By("test")
HOME = ("acme", "singapore")


@pytest.fixture
async def store() -> MemoryStore:
    store = MemoryStore()
    await load_demo(store, DemoPlace(node="lab", carrier_host="127.0.0.2", carrier_port=5060))
    return store


async def test_there_is_one_operator(store: MemoryStore) -> None:
    with pytest.raises(Conflict, match="hq is the operator already"):
        await create_organisation(store, BY, {"id": "other", "name": "Other", "kind": "operator"})
    with pytest.raises(Conflict, match="hq is the operator already"):
        await patch_organisation(store, BY, "acme", {"kind": "operator"})
    await patch_organisation(store, BY, "hq", {"name": "Head office"})


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        (lambda s: delete_organisation(s, BY, "acme"), "Organisation acme is still used by extension 100"),
        (lambda s: delete_site(s, BY, "singapore"), "Site singapore is still used by"),
        (lambda s: delete_trunk(s, BY, "carrier"), "Trunk carrier is still used by site singapore"),
        (lambda s: delete_occupancy(s, BY, HOME), "Occupancy acme/singapore is still used by"),
    ],
)
async def test_what_is_used_cannot_be_removed(
    store: MemoryStore, remove: Callable[[MemoryStore], Awaitable[None]], message: str
) -> None:
    with pytest.raises(Conflict, match=message):
        await remove(store)


async def test_what_is_not_used_can_be_made_changed_and_removed(store: MemoryStore) -> None:
    await create_organisation(store, BY, {"id": "globex", "name": "Globex"})
    await create_trunk(store, BY, {"id": "spare", "host": "192.0.2.9", "region": "GB"})
    await patch_trunk(store, BY, "spare", {"port": 5080})
    site = {"id": "london", "name": "London", "region": "GB", "time_zone": "Europe/London"}
    await create_site(store, BY, site)
    await patch_site(store, BY, "london", {"trunk": "spare"})
    await create_occupancy(store, BY, {"org": "globex", "site": "london"})
    await patch_occupancy(store, BY, ("globex", "london"), {"reception": ["0"]})
    await create_person(store, BY, {"id": "ada", "org": "globex", "name": "Ada"})
    await patch_person(store, BY, ("globex", "ada"), {"email": "ada@example.com"})
    await delete_person(store, BY, ("globex", "ada"))
    await delete_occupancy(store, BY, ("globex", "london"))
    await delete_site(store, BY, "london")
    await delete_trunk(store, BY, "spare")
    await delete_organisation(store, BY, "globex")
    assert set((await store.snapshot()).model.organisations) == {"hq", "acme"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"region": "FR"}, "region: must be one of 'GB', 'US', 'SG' or 'AU'"),
        ({"time_zone": "Mars/Olympus"}, "time_zone: 'Mars/Olympus' is not an IANA time zone"),
        ({"trunk": "nowhere"}, "trunk: there is no trunk 'nowhere'"),
        ({"id": "Not A Slug"}, "id: must be 1 to 31 lower-case letters"),
        ({"caller_id": "12"}, "caller_id: must be an E.164 number"),
        ({"name": "a\nb"}, "name: must not contain control characters"),
        ({"name": None}, "name: must be text"),
    ],
)
async def test_a_site_is_refused_with_its_reason(
    store: MemoryStore, values: dict[str, object], message: str
) -> None:
    good = {"id": "new", "name": "New", "region": "SG", "time_zone": "Asia/Singapore"}
    with pytest.raises(InvalidField, match=message):
        await create_site(store, BY, good | values)


async def test_a_person_belongs_to_one_organisation(store: MemoryStore) -> None:
    await create_person(store, BY, {"id": "ada", "org": "acme", "name": "Ada"})
    with pytest.raises(UnknownEntity):
        await patch_person(store, BY, ("hq", "ada"), {"name": "Eve"})
    await patch_extension(store, BY, ("acme", "100"), {"person": "ada"})
    with pytest.raises(Conflict, match="Person ada is still used by extension 100"):
        await delete_person(store, BY, ("acme", "ada"))


async def test_an_authorization_code_is_kept_as_a_salted_digest_only(store: MemoryStore) -> None:
    saved, digits = await set_authorization_code(store, BY, HOME, "4711")
    code = saved.entity.authorization_code
    assert digits == "4711"
    assert code is not None
    assert code.digest == hashlib.sha1((code.salt + "4711").encode(), usedforsecurity=False).hexdigest()
    again, _ = await set_authorization_code(store, BY, HOME, "4711")
    assert again.entity.authorization_code != code
    assert (await clear_authorization_code(store, BY, HOME)).entity.authorization_code is None


@pytest.mark.parametrize("digits", ["123", "123456789", "12a4", "", "١٢٣٤"])
async def test_an_authorization_code_has_four_to_eight_digits(store: MemoryStore, digits: str) -> None:
    with pytest.raises(InvalidField, match="code: must be 4 to 8 digits"):
        await set_authorization_code(store, BY, HOME, digits)


async def test_a_random_authorization_code_is_told_once(store: MemoryStore) -> None:
    _, digits = await set_authorization_code(store, BY, HOME)
    assert len(digits) == 6
    assert digits.isdigit()


async def test_a_listing_is_read_page_by_page(store: MemoryStore) -> None:
    model = (await store.snapshot()).model
    rows = [(key, extension) for (_, key), extension in model.extensions.items()]
    first = page(rows, None, 3)
    assert [e.key for e in first.items] == ["100", "101", "102"]
    rest = page(rows, first.following, 3)
    assert [e.key for e in rest.items] == ["103"]
    assert rest.following is None


async def test_an_entity_is_read_with_its_version(store: MemoryStore) -> None:
    saved = await patch_extension(store, BY, ("acme", "100"), {"dnd": True})
    model, version = await model_with_version(store, EntityKind.EXTENSION, ("acme", "100"))
    assert version == saved.version
    assert model.extensions["acme", "100"].dnd
    with pytest.raises(UnknownEntity):
        await model_with_version(store, EntityKind.EXTENSION, ("acme", "999"))


async def test_a_person_nobody_gave_an_id_gets_one(store: MemoryStore) -> None:
    made = [(await create_person(store, BY, {"org": "acme", "name": "Ada"})).entity for _ in range(3)]
    assert len({person.id for person in made}) == 3
    people = (await store.snapshot()).model.people
    assert all(people[person.id] == person for person in made)
    given = {"id": made[0].id, "org": "acme", "name": "Ada"}
    with pytest.raises(Conflict, match=f"person {made[0].id} exists already"):
        await create_person(store, BY, given)
