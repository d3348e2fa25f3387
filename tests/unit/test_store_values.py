"""The parts of the store that need no database: rows, masks, working copies, rules between entities."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from control_plane.domain.entities import AuthorizationCode, Entity, Occupancy, Organisation, Site, Trunk
from control_plane.domain.extension import Device, DeviceKind, Extension, Forwarding
from control_plane.domain.model import Model
from control_plane.domain.regions import RegionCode
from control_plane.errors import Conflict, InvalidField
from control_plane.ports import EntityKind
from control_plane.store.codec import KINDS, from_json, kind_of, masked, to_json
from control_plane.store.layered import layered
from control_plane.store.rules import REFERENCES, require_consistent
from control_plane.store.schema import ENTITIES
from control_plane.store.state import Draft, State, loaded

ACME = Organisation(id="acme", name="Acme")
LONDON = Site(id="london", name="London", region=RegionCode.GB, time_zone="Europe/London")
E100 = Extension(org="acme", key="100", site="london", voicemail_pin=SecretStr("482913"))
PHONE = Device(
    id="d00000000001",
    org="acme",
    extension="100",
    kind=DeviceKind.IP_PHONE,
    sip_password=SecretStr("Secret0123456789"),
)
CODE = AuthorizationCode(id="abcdefgh", salt="s" * 16, digest="0" * 40)
TRUNK = Trunk(id="carrier", host="127.0.0.2", region=RegionCode.GB, password=SecretStr("trunk-secret"))
OCCUPANCY = Occupancy(org="acme", site="london", authorization_code=CODE, reception=("100",))


def state_of(*entities: Entity) -> State:
    rows: dict[EntityKind, list[tuple[Entity, int]]] = {}
    for entity in entities:
        rows.setdefault(kind_of(entity).kind, []).append((entity, 1))
    return loaded(1, rows, Model())


def test_every_kind_of_entity_has_a_table_and_a_place_in_the_model() -> None:
    assert set(KINDS) == set(EntityKind)
    assert {kind.table for kind in KINDS.values()} == set(Model.__dataclass_fields__) - {
        "feature_codes",
        "pin_failures_max",
    }  # settings


def test_every_reference_of_the_schema_has_a_rule_that_speaks_of_it() -> None:
    tables = {kind.table: kind.kind for kind in KINDS.values()}
    in_schema = {
        (holder, tuple(constraint.column_keys), tables[constraint.referred_table.name])
        for holder, table in ENTITIES.items()
        for constraint in table.foreign_key_constraints
    }
    assert in_schema == {(rule.holder, rule.fields, rule.target) for rule in REFERENCES}


@pytest.mark.parametrize(
    "entity", [ACME, LONDON, E100, PHONE, TRUNK, OCCUPANCY], ids=lambda e: type(e).__name__
)
def test_an_entity_comes_back_from_its_row_as_it_was(entity: Entity) -> None:
    kind = kind_of(entity)
    assert from_json(kind, to_json(kind, entity), {}) == entity


@pytest.mark.parametrize("entity", [E100, PHONE, TRUNK, OCCUPANCY], ids=lambda e: type(e).__name__)
def test_no_secret_is_left_in_the_masked_form(entity: Entity) -> None:
    shown = str(masked(entity))
    assert "***" in shown
    for secret in ("482913", "Secret0123456789", "trunk-secret", CODE.salt, CODE.digest):
        assert secret not in shown


def test_the_masked_form_has_every_field() -> None:
    shown = masked(OCCUPANCY)
    assert shown == {
        "org": "acme",
        "site": "london",
        "authorization_code": {"id": "abcdefgh", "salt": "***", "digest": "***"},
        "reception": ["100"],
    }


def test_equal_nested_values_of_one_load_are_one_object() -> None:
    shape = KINDS[EntityKind.EXTENSION].shape
    shared: dict[Any, Entity] = {}
    first = shape.decode(shape.encode(E100), shared)
    second = shape.decode(shape.encode(E100.model_copy(update={"key": "101"})), shared)
    assert isinstance(first, Extension)
    assert isinstance(second, Extension)
    assert first.forwarding is second.forwarding


def test_a_part_of_an_entity_is_not_stored_by_itself() -> None:
    with pytest.raises(TypeError, match="Forwarding is not stored by itself"):
        kind_of(Forwarding())


def test_a_field_of_two_types_is_refused_when_the_program_starts() -> None:
    class Odd(Entity):
        value: int | str

    assert issubclass(Odd, BaseModel)
    with pytest.raises(TypeError, match="cannot be stored: one type, or that and None"):
        type(KINDS[EntityKind.SITE].shape)(Odd)


def test_a_working_copy_never_changes_what_it_was_made_from_or_handed_out() -> None:
    base = state_of(ACME, LONDON, E100, PHONE)
    draft = Draft(base)
    draft.set(EntityKind.EXTENSION, ("acme", "101"), E100.model_copy(update={"key": "101"}))
    handed_out = draft.model
    draft.set(EntityKind.EXTENSION, ("acme", "100"), None)
    draft.set(EntityKind.DEVICE, (PHONE.id,), None)
    assert set(base.model.extensions) == {("acme", "100")}
    assert set(handed_out.extensions) == {("acme", "100"), ("acme", "101")}
    assert handed_out.devices == {("acme", "100"): (PHONE,)}
    assert set(draft.model.extensions) == {("acme", "101")}
    assert draft.model.devices == {}
    assert base.device_by_id == {PHONE.id: PHONE}


def test_a_device_that_changes_hands_is_found_at_its_new_extension_only() -> None:
    other = E100.model_copy(update={"key": "101"})
    draft = Draft(state_of(ACME, LONDON, E100, other, PHONE))
    moved = PHONE.model_copy(update={"extension": "101"})
    draft.set(EntityKind.DEVICE, (PHONE.id,), moved)
    assert draft.model.devices == {("acme", "101"): (moved,)}
    assert draft.find(EntityKind.DEVICE, (PHONE.id,)) == moved


def test_rules_name_what_is_still_used_and_the_remedy() -> None:
    after = state_of(ACME, E100)
    with pytest.raises(Conflict, match="site london still has 1 extension; remove them first"):
        require_consistent(after, [], [(EntityKind.SITE, ("london",))])


def test_rules_name_what_does_not_exist() -> None:
    with pytest.raises(InvalidField, match="refers to organisation acme, which does not exist") as caught:
        require_consistent(state_of(LONDON, E100), [(EntityKind.EXTENSION, E100)], [])
    assert caught.value.field == "org"


def test_a_layered_mapping_is_a_dictionary_in_all_but_cost() -> None:
    chance = random.Random(5)
    for size in (0, 1, 40, 1_000):
        expected: dict[int, str] = dict.fromkeys(range(size), "old")
        mapping: Mapping[int, str] = dict(expected)
        for turn in range(300):
            key, value = chance.randrange(size + 5), chance.choice((None, f"turn {turn}"))
            older, older_expected = mapping, dict(expected)
            mapping = layered(mapping, {key: value})
            expected.pop(key, None) if value is None else expected.update({key: value})
            assert (older.get(key), len(older)) == (older_expected.get(key), len(older_expected))
            assert mapping.get(key, "default") == expected.get(key, "default")
            assert (key in mapping) == (key in expected)
        assert mapping == expected
        assert len(mapping) == len(expected)
        assert sorted(mapping) == sorted(expected)
        assert sorted(mapping.items()) == sorted(expected.items())
        assert sorted(mapping.values()) == sorted(expected.values())
        for key in range(size + 5):
            if key not in expected:
                with pytest.raises(KeyError):
                    mapping[key]


def test_an_entry_that_is_replaced_keeps_its_place() -> None:
    mapping = layered(dict.fromkeys(range(100), "old"), {3: "new", 100: "added", 5: None})
    assert list(mapping)[:6] == [0, 1, 2, 3, 4, 6]
    assert list(mapping)[-1] == 100
    assert mapping[3] == "new"


@pytest.mark.parametrize("entity", [ACME, LONDON, E100, PHONE, TRUNK, OCCUPANCY])
def test_what_is_read_from_a_row_is_as_what_was_validated(entity: Entity) -> None:
    """Rows are read without pydantic's own constructor, so all that hangs on it must still be there."""
    shape = kind_of(entity).shape
    read, other = shape.decode(shape.encode(entity), {}), shape.decode(shape.encode(entity), {})
    assert read == entity and repr(read) == repr(entity) and read.model_dump() == entity.model_dump()
    field = next(iter(type(entity).model_fields))
    assert read.model_copy(update={field: "other"}) != other == entity
    assert type(entity).model_validate(read.model_dump()) == entity
    with pytest.raises(ValueError, match="frozen"):
        setattr(read, field, "other")
