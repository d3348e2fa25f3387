"""The dialplan from the call-path graph: every node through its template, edges as Goto and Hangup.

The size depends on the graph, the regions and the number of organisations (one hint context each), not on
the number of extensions: what differs between extensions is in AstDB rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from control_plane.callpath.graph import CONTEXTS, MAX_GROUPS, MAX_HOPS, NODES, Node, Target
from control_plane.domain.features import FEATURE_CODES, FeatureCode, log_in_codes
from control_plane.domain.model import Model
from control_plane.domain.pins import LOCKED, PIN_FAILURES_MAX, PIN_TRIES
from control_plane.domain.regions import REGIONS
from control_plane.render.templates import ENVIRONMENT, render

_LEAVE = "; leaves here"
"""Stands in a node's text where the usual call goes on to the next node."""


@dataclass
class _Edges:
    """The edges of one node while its template renders.

    `hot` is the way of the usual call, at most one in a node: the node it leads to is put right behind, and
    lines of the same node that follow go to the end of the context, like those of `cold`. So the usual call
    runs straight down: each priority it does not need is one channel snapshot less that Asterisk publishes.
    """

    node: Node
    usual: Target | None = None
    cold_lines: list[str] = field(default_factory=list)

    def hot(self, outcome: str) -> str:
        self.usual = self.node.outcomes[outcome]
        return f" same => n,{self._mark(outcome)}\n{_LEAVE}"

    def cold(self, outcome: str) -> str:
        """Register the outcome's lines; returns the label to jump to."""
        label = f"{self.node.label}-{outcome}"
        self.cold_lines.append(f" same => n({label}),{self._mark(outcome)}")
        self.cold_lines.append(f" same => n,{self.leave(self.node.outcomes[outcome])}")
        return label

    def _mark(self, outcome: str) -> str:
        return f"Set(WC_TRACE=${{WC_TRACE}} {self.node.id}:{outcome})"

    def leave(self, target: Target) -> str:
        if not isinstance(target, str):
            return f"Hangup({target.cause})"
        context, label = target.split(".")
        return f"Goto({label})" if context == self.node.context else f"Goto(wc-{context},s,{label})"


@dataclass(frozen=True)
class _Rendered:
    """A node's lines: those of the usual call, where it goes then, and all others."""

    node: Node
    usual_lines: list[str]
    usual: Target | None
    leave: str
    cold_lines: list[str]


def _rendered(node: Node) -> _Rendered:
    edges = _Edges(node)
    template = ENVIRONMENT.get_template(f"dialplan/nodes/{node.template}.j2")
    text = template.render(
        node=node,
        p=node.params,
        hot=edges.hot,
        cold=edges.cold,
        max_hops=MAX_HOPS,
        max_groups=MAX_GROUPS,
        pin_tries=PIN_TRIES,
        locked=LOCKED,
        label=node.label,
    )
    usual, _, rest = text.partition(_LEAVE)
    leave = "" if edges.usual is None else f" same => n,{edges.leave(edges.usual)}"
    return _Rendered(node, _lines(usual), edges.usual, leave, _lines(rest) + edges.cold_lines)


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def _straight(nodes: Iterable[_Rendered]) -> Iterator[_Rendered]:
    """Every node, each followed by where its usual call goes, as far as that is still to come."""
    left = {rendered.node.id: rendered for rendered in nodes}
    following: Target | None = None
    while left:
        key = following if isinstance(following, str) and following in left else next(iter(left))
        rendered = left.pop(key)
        following = rendered.usual
        yield rendered


def _graph_context(context: str) -> list[str]:
    nodes = [*_straight(_rendered(node) for node in NODES if node.context == context)]
    lines = [f"[wc-{context}]"]
    for rendered, following in zip(nodes, [*nodes[1:], None], strict=True):
        node = rendered.node
        lines.append(f" ; {node.id}: {node.title} ({node.row})")
        lines.extend(rendered.usual_lines)
        if rendered.leave and (following is None or rendered.usual != following.node.id):
            lines.append(rendered.leave)
    first = next(i for i, line in enumerate(lines) if line.startswith(" same => n("))
    lines[first] = lines[first].replace(" same => n(", "exten => s,1(", 1)
    return lines + [line for rendered in nodes for line in rendered.cold_lines]


def node_dialplan(model: Model) -> str:
    """The dialplan of a node of this model."""
    return dialplan_text(sorted(model.organisations), model.feature_codes, model.pin_failures_max)


def dialplan_text(
    organisations: Iterable[str],
    feature_codes: Iterable[FeatureCode] = FEATURE_CODES,
    pin_failures_max: int = PIN_FAILURES_MAX,
) -> str:
    """The whole include-free dialplan of a node; byte-stable for the same input."""
    parts = [
        render("dialplan/entries.conf.j2", {}),
        *("\n".join(_graph_context(context)) + "\n" for context in CONTEXTS),
        render("dialplan/numbering.conf.j2", {"regions": [REGIONS[code] for code in sorted(REGIONS)]}),
        render("dialplan/features.conf.j2", _feature_values(tuple(feature_codes))),
        render("dialplan/pin.conf.j2", {"failures_max": pin_failures_max, "locked": LOCKED}),
        render("dialplan/trace.conf.j2", {}),
        render("dialplan/hints.conf.j2", {"organisations": list(organisations)}),
    ]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _feature_values(codes: tuple[FeatureCode, ...]) -> dict[str, object]:
    return {
        "codes": {code.feature.value: code.code for code in codes},
        "also": {code.feature.value: code.also for code in codes},
        "log_in_codes": log_in_codes(codes),
    }


def canonical(text: str) -> str:
    """`text` as Asterisk's configuration reader sees it: no comments, no indentation, no empty lines."""
    lines = (line.strip() for line in text.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith(";"))
