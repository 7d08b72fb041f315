"""Mistakes that span layers, one function each, in a file for each thing they are about; and the whole check of a cfg.

A rule's diagnostics have its name, in kebab-case, as their code, and its docstring is what `cspdet explain` says of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from cspdet.build import build
from cspdet.cfg.diagnostic import Diagnostic, in_order
from cspdet.cfg.dialect import ALEXEYAB, Dialect
from cspdet.cfg.source import Source
from cspdet.errors import CfgError, UsageError
from cspdet.graph import Graph
from cspdet.rules.heads import auxiliary_heads, head_anchors, head_classes, head_filters, joint_heads
from cspdet.rules.net import endless_burn_in, input_multiple, mosaic_letterbox
from cspdet.rules.weights import batch_norm_epsilon, gate_order, reorg_order, shared_weights

Rule = Callable[[Graph], Iterator[Diagnostic]]

RULES: tuple[Rule, ...] = (
    head_filters,
    shared_weights,
    head_classes,
    head_anchors,
    auxiliary_heads,
    joint_heads,
    input_multiple,
    mosaic_letterbox,
    endless_burn_in,
    gate_order,
    batch_norm_epsilon,
    reorg_order,
)


def examine(source: Source, dialect: Dialect = ALEXEYAB, **size: int | None) -> tuple[Graph | None, tuple[Diagnostic, ...]]:
    """Everything there is to say about a cfg, in the order of its text; and its graph, or None where an error prevents it.

    `size` may give `width`, `height` and `channels` in place of those of [net].
    """
    graph, diagnostics = build(source, dialect, **size)
    found = with_rules(graph, diagnostics)
    return (None if any(each.severity == "error" for each in found) else graph), found


def with_rules(graph: Graph | None, diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """What was found in building a graph, whole or not, and what the rules say of it, in the order of the text."""
    return in_order((*diagnostics, *(each for rule in RULES if graph for each in rule(graph))))


def load(source: Source, dialect: Dialect = ALEXEYAB, **size: int | None) -> tuple[Graph, tuple[Diagnostic, ...]]:
    """The graph of a cfg that runs, and the diagnostics that do not stop it.

    Raises:
        CfgError: the cfg cannot be run; it carries all diagnostics.
        UsageError: the size asked for is impossible.
    """
    graph, diagnostics = examine(source, dialect, **size)
    if graph is None:
        odd = next((each for each in diagnostics if each.code == "input-multiple"), None)
        if odd and any(size.values()):
            raise UsageError(odd.message, odd.help)  # it is the call's size, and the errors follow from it
        raise CfgError(diagnostics)
    return graph, diagnostics
