"""Asterisk as a value: what it holds, and what one step of a plan makes of it. For plan tests only."""

from __future__ import annotations

import json
from collections.abc import Mapping

from hypothesis import strategies as st

from control_plane.plan.steps import Op, Step
from control_plane.render.artefacts import ArtefactKey, Holder

State = dict[ArtefactKey, str]


def row(name: str) -> ArtefactKey:
    return ArtefactKey(Holder.ROW, name)


def after_step(state: Mapping[ArtefactKey, str], step: Step) -> State:
    """The state after one step; a step does what its op says and nothing else."""
    new = dict(state)
    match step.op:
        case Op.RELOAD:
            pass
        case Op.DELETE:
            new.pop(step.key, None)
        case Op.PUT:
            assert step.after is not None
            new[step.key] = step.after
        case Op.WRITE_FILE | Op.EDIT_MAILBOX:
            if step.after is None:
                new.pop(step.key, None)
            else:
                new[step.key] = step.after
    return new


def dangling(state: Mapping[ArtefactKey, str]) -> list[str]:
    """References to something that is not there: what a caller would fall into."""
    names = {key.name for key in state}
    found = []
    for key, value in state.items():
        parts = key.name.split("/")
        if key.holder is Holder.ROW and parts[0] == "ext" and parts[-1] == "devices":
            found += [f"{key.name} dials {d}" for d in value.split("&") if f"pbx/endpoint/{d}" not in names]
        if key.holder is Holder.ROW and parts[0] == "ext" and parts[-1] == "mailbox":
            found += [f"{key.name} uses {value}"] if value not in names else []
        if key.name.startswith("pbx/endpoint/"):
            device = parts[-1]
            found += [
                f"{key.name} without {kind}"
                for kind in ("auth", "aor")
                if f"pbx/{kind}/{device}" not in names
            ]
        if key.name.startswith("did/") and f"ext/{value}/devices" not in names:
            found.append(f"{key.name} leads to {value}")
    return found


def world(extensions: Mapping[str, tuple[frozenset[str], bool, str]]) -> State:
    """A consistent state: extension -> (devices, has a mailbox, password)."""
    state: State = {}
    for extension, (devices, has_mailbox, password) in extensions.items():
        for device in (f"{extension}{d}" for d in devices):
            state[row(f"pbx/auth/{device}")] = json.dumps({"username": device, "password": password})
            state[row(f"pbx/aor/{device}")] = json.dumps({"max_contacts": "1"})
            state[row(f"pbx/endpoint/{device}")] = json.dumps({"auth": device, "aors": device})
        state[row(f"ext/acme/{extension}/devices")] = "&".join(f"{extension}{d}" for d in sorted(devices))
        state[row(f"did/+65{extension}")] = f"acme/{extension}"
        if has_mailbox:
            state[row(f"ext/acme/{extension}/mailbox")] = f"acme/{extension}"
            state[ArtefactKey(Holder.MAILBOX, f"acme/{extension}")] = f"{password},name,,,"
    return state


worlds = st.dictionaries(
    st.sampled_from(["100", "101", "102"]),
    st.tuples(
        st.frozensets(st.sampled_from("abc"), min_size=1), st.booleans(), st.sampled_from(["1111", "2222"])
    ),
).map(world)
