"""The dialplan from the call-path graph: every node through its template, edges as Goto and Hangup.

The size depends on the graph, the regions and the number of organisations (one hint context each), not on
the number of extensions: what differs between extensions is in AstDB rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from control_plane.callpath.graph import CONTEXTS, MAX_HOPS, NODES, Node, Target
from control_plane.domain.features import FEATURE_CODES, FeatureCode
from control_plane.domain.regions import REGIONS
from control_plane.render.templates import ENVIRONMENT, render


@dataclass
class _Edges:
    """The edges of one node while its template renders.

    `hot` is written in place and falls through where it can; `cold` goes behind the context's last node, so
    that the usual call runs straight down.
    """

    node: Node
    following: str | None
    cold_lines: list[str] = field(default_factory=list)

    def hot(self, outcome: str) -> str:
        lines = [f" same => n,{self._mark(outcome)}"]
        target = self.node.outcomes[outcome]
        if target != self.following:
            lines.append(f" same => n,{self._leave(target)}")
        return "\n".join(lines)

    def go(self, outcome: str) -> str:
        """Like `hot`, where lines of the same node follow, so that nothing may fall through."""
        return f" same => n,{self._mark(outcome)}\n same => n,{self._leave(self.node.outcomes[outcome])}"

    def cold(self, outcome: str) -> str:
        """Register the outcome's lines; returns the label to jump to."""
        label = f"{self.node.label}-{outcome}"
        self.cold_lines.append(f" same => n({label}),{self._mark(outcome)}")
        self.cold_lines.append(f" same => n,{self._leave(self.node.outcomes[outcome])}")
        return label

    def _mark(self, outcome: str) -> str:
        return f"Set(WC_TRACE=${{WC_TRACE}} {self.node.id}:{outcome})"

    def _leave(self, target: Target) -> str:
        if not isinstance(target, str):
            return f"Hangup({target.cause})"
        context, label = target.split(".")
        return f"Goto({label})" if context == self.node.context else f"Goto(wc-{context},s,{label})"


def _graph_context(context: str) -> list[str]:
    nodes = [node for node in NODES if node.context == context]
    lines = [f"[wc-{context}]"]
    cold: list[str] = []
    for node, following in zip(nodes, [*nodes[1:], None], strict=True):
        edges = _Edges(node, following.id if following else None)
        template = ENVIRONMENT.get_template(f"dialplan/nodes/{node.template}.j2")
        text = template.render(
            node=node,
            p=node.params,
            hot=edges.hot,
            go=edges.go,
            cold=edges.cold,
            max_hops=MAX_HOPS,
            label=node.label,
        )
        lines.append(f" ; {node.id}: {node.title} ({node.row})")
        lines.extend(line for line in text.splitlines() if line.strip())
        cold.extend(edges.cold_lines)
    first = next(i for i, line in enumerate(lines) if line.startswith(" same => n("))
    lines[first] = lines[first].replace(" same => n(", "exten => s,1(", 1)
    return lines + cold


def dialplan_text(organisations: Iterable[str], feature_codes: Iterable[FeatureCode] = FEATURE_CODES) -> str:
    """The whole include-free dialplan of a node; byte-stable for the same input."""
    parts = [
        render("dialplan/entries.conf.j2", {}),
        *("\n".join(_graph_context(context)) + "\n" for context in CONTEXTS),
        render("dialplan/numbering.conf.j2", {"regions": [REGIONS[code] for code in sorted(REGIONS)]}),
        render("dialplan/features.conf.j2", {"codes": {c.feature.value: c.code for c in feature_codes}}),
        render("dialplan/trace.conf.j2", {}),
        render("dialplan/hints.conf.j2", {"organisations": list(organisations)}),
    ]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def canonical(text: str) -> str:
    """`text` as Asterisk's configuration reader sees it: no comments, no indentation, no empty lines."""
    lines = (line.strip() for line in text.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith(";"))
