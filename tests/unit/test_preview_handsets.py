"""What a change would publish for handsets: the steps that a plan shows once it is made, and few of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from control_plane.apply.handset_files import HandsetFiles
from control_plane.apply.publisher import Publisher
from control_plane.domain.entities import Entity, Person
from control_plane.plan.plan import step_as_dict
from control_plane.render.handsets.publication import settings_in
from control_plane.render.handsets.publishing import render_publication
from control_plane.service import preview
from control_plane.service.extensions import patch_extension
from control_plane.service.handset_preview import RENDERED, HandsetSource, HandsetsPreview
from control_plane.service.places import patch_organisation, patch_site
from control_plane.service.tenants import patch_person
from control_plane.service.writing import By
from tests.contract.fake_published import FakePublished
from tests.unit.handset_models import MAC, OTHER, PLACE, handset, handset_model
from tests.unit.memory_store import MemoryStore
from tests.unit.pushing import device, extension

BY = By("test")
FANVIL = "0c383e000001"
ATTIC = "805ec0000001"
ADA = ("acme", "100")

Case = tuple[Callable[..., Awaitable[Any]], Callable[..., Awaitable[Any]], Any]
EXTENSION: Case = (preview.preview_extension, patch_extension, ADA)
SITE: Case = (preview.preview_site, patch_site, "hq")
ORGANISATION: Case = (preview.preview_organisation, patch_organisation, "acme")
PERSON: Case = (preview.preview_person, patch_person, ("acme", "grace"))


class Office:
    """A model, what is published of it, and the publisher that a plan asks."""

    def __init__(self) -> None:
        self.store: Any = MemoryStore()
        self.published = FakePublished()
        self.publisher = Publisher(self.published, self.store, HandsetFiles(lambda: PLACE))
        self.source = HandsetSource(self.published, lambda: PLACE)

    async def fill(self, *entities: Entity) -> Office:
        async with self.store.transaction("test") as tx:
            for entity in entities:
                tx.put(entity)
        await self.publisher.apply()
        return self

    async def look(self, case: Case, changes: Mapping[str, object]) -> HandsetsPreview:
        found = (await case[0](self.store, BY, case[2], changes, self.source)).handsets
        assert isinstance(found, HandsetsPreview)
        return found


def more_entities() -> list[Entity]:
    """A person with an unnamed extension at a Fanvil phone, and a phone nobody is logged in at."""
    return [
        *handset_model(),
        Person(id="grace", org="acme", name="Grace"),
        extension("102", person="grace"),
        device("102"),
        handset(FANVIL, "102", model="X4U", token="ef" * 20),
        handset(ATTIC, None, token="09" * 20),
    ]


@pytest.fixture
async def office() -> Office:
    return await Office().fill(*more_entities())


@pytest.mark.parametrize(
    ("case", "changes", "shown", "told", "directories"),
    [
        (EXTENSION, {"label": "Front"}, {MAC}, {MAC}, 2),
        (EXTENSION, {"label": "Ada"}, set(), set(), 0),
        (EXTENSION, {"restricted": True}, set(), set(), 0),
        (SITE, {"time_zone": "Asia/Tokyo"}, {MAC, OTHER, FANVIL, ATTIC}, {MAC, OTHER, FANVIL, ATTIC}, 0),
        # That of a Fanvil has its number in its settings, whatever it is for.
        (SITE, {"provisioning": {"plain": True}}, {MAC, OTHER, FANVIL, ATTIC}, {FANVIL}, 0),
        (SITE, {"name": "Headquarters"}, set(), set(), 0),
        # A Yealink's settings name the directory, a Fanvil's have the number of the publication.
        (ORGANISATION, {"name": "Apex"}, {MAC, OTHER, FANVIL}, {MAC, OTHER, FANVIL}, 0),
        (PERSON, {"name": "Grace Hopper"}, set(), set(), 3),
    ],
)
async def test_a_preview_shows_what_the_plan_shows_once_the_change_is_made(
    office: Office,
    case: Case,
    changes: Mapping[str, object],
    shown: set[str],
    told: set[str],
    directories: int,
) -> None:
    before = dict(office.published.texts)
    entities = dict(office.store.entities)
    found = await office.look(case, changes)
    assert (office.store.entities, office.published.texts) == (entities, before)
    await case[1](office.store, BY, case[2], changes)
    planned = {step.key.name: step for step in (await office.publisher.plan()).steps}
    assert [step_as_dict(step) for step in found.plan.steps] == [
        step_as_dict(step) for name, step in planned.items() if name in shown
    ]
    assert {step.key.name for step in found.plan.steps} == shown
    assert set(found.told) == told
    assert (found.directories, found.more, found.problems) == (directories, 0, ())
    assert planned.keys() >= shown
    assert len(planned.keys() - shown) <= directories
    settings = {
        name for name in shown if settings_in(before[name])[0] != settings_in(str(planned[name].after))[0]
    }
    assert settings == told


async def test_a_later_publication_of_a_fanvil_phone_has_the_number_that_follows(office: Office) -> None:
    for label in ("One", "Two"):
        await patch_extension(office.store, BY, ("acme", "102"), {"label": label})
        await office.publisher.apply()
    case = (preview.preview_extension, patch_extension, ("acme", "102"))
    (step,) = (await office.look(case, {"label": "Three"})).plan.steps
    diff = step_as_dict(step)["diff"]
    assert isinstance(diff, list) and "sequence: 3 -> 4" in diff


async def test_no_secret_is_shown(office: Office) -> None:
    await office.fill(handset(MAC, "100", model="VVX411"))
    found = await preview.preview_extension(office.store, BY, ADA, {"label": "Front"}, office.source)
    text = str(found.as_dict())
    assert "***" in text, "this model's password stands beside the label"
    assert device("100").sip_password.get_secret_value() not in text


async def test_one_label_among_many_handsets_renders_the_handsets_of_that_extension(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.fill(*(handset(f"805ec1{number:06d}", "101") for number in range(100)))
    rendered: list[str] = []

    def counted(model: Any, unit: Any, *rest: Any) -> Any:
        rendered.append(unit.key[0])
        return render_publication(model, unit, *rest)

    monkeypatch.setattr("control_plane.service.handset_preview.render_publication", counted)
    found = await office.look(EXTENSION, {"label": "Front"})
    assert set(rendered) == {MAC}
    assert (len(found.plan.steps), found.directories, found.more) == (1, 102, 0)


async def test_a_change_for_all_handsets_of_a_site_shows_some_of_each_model_and_counts_the_rest(
    office: Office,
) -> None:
    await office.fill(*(handset(f"001565{number:06d}", "101") for number in range(100)))
    found = await office.look(SITE, {"time_zone": "Asia/Tokyo"})
    names = {step.key.name for step in found.plan.steps}
    assert len(names) == RENDERED
    assert {FANVIL, ATTIC} <= names, "sorted by MAC alone, neither would be among the first"
    assert found.more == 104 - RENDERED


async def test_a_published_store_that_cannot_be_read_is_named_and_nothing_else_is_missing(
    office: Office,
) -> None:
    office.published.broken = "The published store cannot be used (disk full)."
    found = await preview.preview_extension(office.store, BY, ADA, {"label": "Front"}, office.source)
    assert found.plan.as_dict()["counts"] is not None and found.handsets is not None
    assert [step.key.name for step in found.handsets.plan.steps] == [MAC]
    assert found.handsets.problems == ("The published store cannot be used (disk full).",)


async def test_a_handset_that_cannot_be_rendered_is_named(office: Office) -> None:
    await office.fill(handset(MAC, "100", model="T99Z"))
    found = await office.look(EXTENSION, {"label": "Front"})
    assert found.plan.is_empty
    (problem,) = found.problems
    assert problem.startswith(f"handset {MAC} cannot be rendered: ") and "T99Z" in problem
