"""The generated parts of the documents, between `<!-- generated: NAME -->` and `<!-- end -->`.

`python -m tests.documents` writes them anew; a test fails when one is not current.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from control_plane.api.rights import RULES, Rule
from control_plane.cli.app import whole
from control_plane.domain import lifecycle
from control_plane.domain.accounts import Scope
from control_plane.domain.features import FEATURE_CODES
from control_plane.render.handsets.families import CATALOGUE
from control_plane.render.handsets.family import FEATURES, Family
from control_plane.render.picture import graph_mermaid
from control_plane.service.rights import SCOPES, Position

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    "docs/architecture.md",
    "docs/commands.md",
    "docs/handsets.md",
    "docs/operator-guide.md",
    "docs/security.md",
    "docs/decisions/numbers.md",
)
_PART = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def call_path() -> str:
    """The call-path graph as a picture."""
    return f"```mermaid\n{graph_mermaid()}```\n"


def packages() -> str:
    """Who may import whom, from the import contract that is checked."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    lines = ["```mermaid", "flowchart TD"]
    for number, layer in enumerate(layers):
        lines.append(f'  layer{number}["{layer.replace(" | ", " · ")}"]')
    lines.extend(f"  layer{number} --> layer{number + 1}" for number in range(len(layers) - 1))
    return "\n".join([*lines, "```"]) + "\n"


def feature_codes() -> str:
    """The codes people dial."""
    rows = "".join(f"| `{code.code}` | {code.says} |\n" for code in FEATURE_CODES)
    return f"| code | does |\n|---|---|\n{rows}"


def commands() -> str:
    """Every command with its arguments and options."""
    return "\n".join(_described(whole(), "wirechief"))


def _described(command: Any, path: str) -> Iterator[str]:
    if hasattr(command, "commands"):
        for name, nested in sorted(command.commands.items()):
            yield from _described(nested, f"{path} {name}")
        return
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    yield f"### `{' '.join([path, *map(_argument, arguments)])}`\n"
    yield f"{command.help}\n"
    for option in options:
        shown = f"{', '.join([*option.opts, *option.secondary_opts])}{_value(option)}"
        yield f"- `{shown}` {option.help or ''}".rstrip()
    if options:
        yield ""


def _argument(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required else f"[{name}]"


def _value(option: Any) -> str:
    if option.is_flag:
        return ""
    kind = option.bare_type
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f" {'|'.join(str(choice.value) for choice in kind)}"
    return f" {option.metavar or option.name.strip('_').upper()}"


def rights() -> str:
    """Who may call which operation of the API."""
    head = " | ".join(position.value for position in Position)
    rows = "".join(
        f"| `{name}` | {', '.join(sorted(rule.scopes))} | {_marks(rule)} |\n" for name, rule in RULES.items()
    )
    return f"| operation | scopes | {head} |\n|---|---|{'---|' * len(Position)}\n{rows}"


def _marks(rule: Rule) -> str:
    return " | ".join(_mark(rule, position) for position in Position)


def _mark(rule: Rule, position: Position) -> str:
    if position not in rule.who:
        return ""
    if position in rule.own:
        return "own account"
    return "some fields" if position in rule.fields else "yes"


def scopes() -> str:
    """What a token of each position may have at most."""
    rows = "".join(
        f"| {position.value} | {', '.join(scope.value for scope in Scope if scope in SCOPES[position])} |\n"
        for position in Position
    )
    return f"| who | scopes a token may have |\n|---|---|\n{rows}"


def number_life() -> str:
    """The life of a number, as a picture and as a table."""
    rows = "".join(f"| {' | '.join(row)} |\n" for row in lifecycle.rows())
    heading = "| event | from and to | by | needs |\n|---|---|---|---|\n"
    return f"```mermaid\n{lifecycle.diagram()}```\n\n{heading}{rows}"


def handset_models() -> str:
    """The families and their models."""
    rows = "".join(
        f"| {family.title} | {', '.join(model.name for model in CATALOGUE.models_of(family))} |\n"
        for family in CATALOGUE.families
    )
    return f"| family | models |\n|---|---|\n{rows}"


def handset_features() -> str:
    """What each family's files express."""
    rows = "".join(
        f"| {family.title} | {' | '.join('told' if f in family.supports else '.' for f in FEATURES)} |\n"
        for family in CATALOGUE.families
    )
    return f"| family | {' | '.join(FEATURES)} |\n|---|{'---|' * len(FEATURES)}\n{rows}"


def handset_boot() -> str:
    """What each family asks for, how it logs in and how it is told to ask again."""
    rows = "".join(
        f"| {family.title} | {_steps(family)} | {family.login} | `{family.resync}` | `{family.reboot}` |\n"
        for family in CATALOGUE.families
    )
    heading = "| family | asks for | HTTP login | NOTIFY: fetch | NOTIFY: restart |"
    return f"{heading}\n|---|---|---|---|---|\n{rows}"


def _steps(family: Family) -> str:
    return ", ".join(f"`{step.name}`{' (stop)' if step.stop_if_found else ''}" for step in family.boot)


PARTS: dict[str, Callable[[], str]] = {
    "call-path": call_path,
    "packages": packages,
    "feature-codes": feature_codes,
    "handset-models": handset_models,
    "handset-features": handset_features,
    "handset-boot": handset_boot,
    "commands": commands,
    "number-life": number_life,
    "rights": rights,
    "scopes": scopes,
}


def current(text: str) -> str:
    """`text` with every generated part as it should be."""
    return _PART.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}{found[3]}", text)


def main() -> int:
    """Write what is not current."""
    for name in DOCUMENTS:
        path = ROOT / name
        text = path.read_text()
        if current(text) != text:
            path.write_text(current(text))
            sys.stdout.write(f"wrote {name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
