"""What is found in a whole model before anybody calls."""

from __future__ import annotations

from control_plane.callpath.findings import Severity, findings
from control_plane.domain.extension import Forwarding, NoAnswer, NoAnswerAction
from control_plane.domain.model import Model
from tests.unit.test_callpath import extension, model, r95


def rules(found: Model) -> set[str]:
    return {finding.rule for finding in findings(found)}


def test_a_sound_model_has_no_finding() -> None:
    assert findings(r95()) == ()


def test_a_site_without_a_trunk_cannot_reach_emergency() -> None:
    sound = model(extension("100"))
    site = sound.sites["sg"].model_copy(update={"trunk": None})
    found = findings(
        Model.of(
            sites=[site],
            extensions=sound.extensions.values(),
            devices=sound.devices["acme", "100"],
            organisations=sound.organisations.values(),
        )
    )
    assert [(f.severity, f.rule) for f in found] == [(Severity.ERROR, "emergency-reachable")]


def test_a_loop_made_by_phones_is_found() -> None:
    first = extension("100", forwarding=Forwarding(enabled=True, extensions=("101",)))
    second = extension("101", forwarding=Forwarding(enabled=True, extensions=("100",)))
    assert rules(model(first, second)) == {"forwarding-loop"}


def test_a_restricted_extension_without_a_code_is_named() -> None:
    assert rules(model(extension("100", restricted=True))) == {"authorization-code-missing"}


def test_a_way_out_through_somebody_elses_forwarding_is_named() -> None:
    out = extension("101", no_answer=NoAnswer(action=NoAnswerAction.FORWARD, number="+6588880001"))
    found = findings(model(extension("100", restricted=True), out))
    assert "restricted-reaches-outside" in {f.rule for f in found}
    assert any("+6588880001" in f.text for f in found)


def test_an_extension_that_nothing_answers_for_is_named() -> None:
    bare = model(extension("100"))
    empty = Model.of(
        sites=bare.sites.values(),
        trunks=bare.trunks.values(),
        organisations=bare.organisations.values(),
        extensions=bare.extensions.values(),
    )
    assert rules(empty) == {"nothing-rings"}


def test_a_forward_target_that_is_gone_is_named() -> None:
    assert rules(model(extension("100", forwarding=Forwarding(enabled=True, extensions=("199",))))) == {
        "forward-target-unreachable"
    }
