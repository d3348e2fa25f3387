"""The options that say what phones do, shared by `explain` and `call`, and how an explanation is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import typer
from rich.text import Text
from rich.tree import Tree

from control_plane.callpath.explain import Behaviour, Explanation, Step
from control_plane.cli.output import console
from control_plane.cli.references import is_outside, party
from control_plane.domain.model import Model
from control_plane.errors import InvalidField

FromOption = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="X",
        help="An extension, a number outside, 'anonymous', or handset:MAC with nobody logged in.",
    ),
]
ToOption = Annotated[str, typer.Option("--to", metavar="Y", help="What is dialled: digits, or an extension.")]
LogsInOption = Annotated[
    str,
    typer.Option("--as", metavar="X", help="Who logs in at a handset: the extension typed when asked."),
]
OrgOption = Annotated[
    str | None, typer.Option("--org", help="The organisation, where extension numbers alone are not unique.")
]
BusyOption = Annotated[
    list[str] | None, typer.Option("--busy", metavar="Z", help="Z has a call up (a number outside: is busy).")
]
UnregisteredOption = Annotated[
    list[str] | None, typer.Option("--unregistered", metavar="Z", help="No phone of Z is registered.")
]
NoAnswerOption = Annotated[
    list[str] | None, typer.Option("--no-answer", metavar="Z", help="Z rings and nobody answers.")
]
RefuseOption = Annotated[list[str] | None, typer.Option("--refuse", metavar="Z", help="Z refuses the call.")]
BehaviourOption = Annotated[
    list[str] | None,
    typer.Option("--behaviour", metavar="Z=HOW", help=f"What Z does: {', '.join(Behaviour)}. Repeatable."),
]

Named = Sequence[str] | None


def behaviours(
    model: Model, org: str | None, said: Mapping[Behaviour, Named], pairs: Named
) -> dict[str, Behaviour]:
    """What each party named by the options does.

    Raises:
        InvalidField, UnknownEntity, Conflict
    """
    found: dict[str, Behaviour] = {}
    for behaviour, named in said.items():
        found.update({party(model, text, org): behaviour for text in named or ()})
    for pair in pairs or ():
        name, equals, how = pair.partition("=")
        if not equals or how not in set(Behaviour):
            raise InvalidField(
                "--behaviour", f"{pair!r} is not NAME=HOW with HOW one of {', '.join(Behaviour)}"
            )
        found[party(model, name, org)] = Behaviour(how)
    return found


def split_busy(model: Model, org: str | None, busy: Named) -> tuple[list[str], frozenset[str]]:
    """(numbers outside that are busy, "org/key" of extensions with a call up)."""
    outside = [text for text in busy or () if is_outside(model, text)]
    inside = frozenset(party(model, text, org) for text in busy or () if text not in outside)
    return outside, inside


def show_explanation(found: Explanation, title: str) -> None:
    """The way of a call as a tree: a line per node with its outcome and why, forwarded legs below."""
    tree = Tree(Text(title, style="bold"))
    _add_steps(tree, found.trace)
    for leg in found.legs:
        branch = tree.add(Text.assemble("leg ", (leg.path, "bold"), f" ends {leg.outcome}"))
        _add_steps(branch, leg.trace)
    console().print(tree)
    summary = Text.assemble("outcome: ", (found.outcome, "bold green"))
    if found.rings:
        summary.append(f"; rings: {', '.join(found.rings)}")
    if found.answered_by:
        summary.append(f"; answers: {', '.join(found.answered_by)}")
    console().print(summary, soft_wrap=True)


def _add_steps(tree: Tree, steps: Iterable[Step]) -> None:
    for step in steps:
        line = Text.assemble((step.node, "cyan"), ": ", (step.outcome, "bold"), ("  - ", "dim"), step.why)
        tree.add(line)
