"""The product survives: control plane killed, Asterisk killed, phones changing things meanwhile, cut wires.

Real phones on a real Asterisk with the control plane as a process of its own. Every test begins with all of
it up and in sync, and may break anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from control_plane.adapters.phones import Engine
from tests.integration.stack import Stack, restore, running_stack

pytest.importorskip("pjsua2", reason="the phones extra has wheels for CPython 3.8-3.12 on x86_64 only")
pytestmark = pytest.mark.asterisk

Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        yield engine


@pytest.fixture(scope="module")
def whole(asterisk_image: str, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack"), asterisk_image, engine) as stack:
        yield stack


@pytest.fixture
def stack(whole: Stack) -> Stack:
    restore(whole)
    return whole


def test_a_call_outlives_the_control_plane_and_calls_work_without_it(
    stack: Stack, record_property: Record
) -> None:
    call = stack.talk("101", "102")
    stack.process.kill()
    assert call.is_heard()
    again = stack.talk("103", "101")
    again.hangup()
    assert stack.trace("103", "*78")[-1] == ("out.feature", "dnd_on")
    assert call.is_heard()
    record_property("in_sync_after_restart_s", stack.start())
    assert call.is_heard()
    assert stack.api.extension("103")["dnd"]
    assert stack.api.node()["last_drift"] == []
    call.hangup()
