"""Compound scaling: a network with more or fewer layers in its blocks, and wider or narrower ones everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from cspdet.cfg.source import Source
from cspdet.errors import CspdetError, UsageError
from cspdet.graph import Graph
from cspdet.plain import plain_text
from cspdet.rules import examine, load
from cspdet.scaling.stages import Stage, stages
from cspdet.scaling.widths import pairs, widened
from cspdet.scaling.writing import repeated, with_options
from cspdet.text import printable

# Factors beyond are slips of the finger.
LEAST, MOST = 1 / 16, 16


class Scaled(NamedTuple):
    """A scaled network: its text and graph, by what it was scaled, and the stages of the original with their new counts."""

    text: str
    graph: Graph
    depth: Fraction
    width: Fraction
    stages: Mapping[Stage, int]


def scaled(graph: Graph, depth: Fraction | None, width: Fraction | None) -> Scaled:
    """The network with the units of its stages multiplied by `depth`, and its channels by `width`.

    This is YOLOv7's scaling for models that concatenate (2207.02696, section 4.2): a longer chain makes the output of its block
    wider, and the rest of the network is widened by the same factor, while the convolutions of the chain stay as they are.
    Without `width`, it is that factor. A `width` beyond it widens the convolutions of the chain by what is missing; one that
    lies between 1 and that factor, such as 1, leaves them as they are (the "depth only" of table 3). Without `depth`, the
    network keeps its layers, and all of them are widened alike.

    Raises:
        CspdetError: there is nothing to deepen, or what comes out does not fit together.
        UsageError: the blocks grow by different factors, so `width` is needed.
    """
    plain = graph if graph.names is None else load(Source(graph.source.path, plain_text(graph)), graph.dialect)[0]
    found = stages(plain) if depth is not None else ()
    depth = Fraction(1) if depth is None else depth
    if not found and depth != 1:
        message = f"nothing in `{graph.source.path}` can be deepened: no `[route]` joins the convolutions of a chain"
        raise CspdetError(f"{message}, and no equal blocks end in a `[shortcut]`", "scale its width alone: `--width`")
    counts = {stage: stage.units(depth) for stage in found}
    growth = {stage: stage.growth(plain, depth) for stage in found}
    width = _following(plain, growth) if width is None else width
    text, before = repeated(plain, {stage: count for stage, count in counts.items() if count != stage.count})
    deep = _again(plain, text)
    inside = {layer: _remaining(width, growth[stage]) for stage in found for layer in stage.inner}
    values = widened(deep, {place: inside.get(index, width) for place, index in enumerate(before)})
    origin = printable(Path(graph.source.path).name)
    remark = f"# {origin}, scaled by cspdet: depth {_decimal(depth)}, width {_decimal(width)} (YOLOv7, section 4.2)"
    encoding = plain.source.encoding
    end = "\r\n" if "\r\n" in plain.source.text else "\n"
    result = remark.encode(encoding, "replace").decode(encoding) + end + with_options(deep, values)
    wide = _again(plain, result)
    _compare(deep, wide)
    return Scaled(result, wide, depth, width, counts)


def _following(graph: Graph, growth: Mapping[Stage, Fraction]) -> Fraction:
    """By what the rest is widened: by what the outputs of the blocks grow."""
    factors = {growth[stage] for stage in growth if stage.joins} or {Fraction(1)}
    if len(factors) > 1:
        low, high = (float(each(factors)) for each in (min, max))
        message = f"the outputs of the blocks of `{graph.source.path}` grow by {low:.3f} to {high:.3f}, not all by one factor"
        raise UsageError(message, "say by what the rest is to be widened: `--width`")
    return factors.pop()


def _remaining(width: Fraction, growth: Fraction) -> Fraction:
    """By what the convolutions of a chain are widened, whose joined output grows by its length alone."""
    return width / min(max(width, min(growth, Fraction(1))), max(growth, Fraction(1)))


def _again(graph: Graph, text: str) -> Graph:
    """The graph of a new text."""
    found, diagnostics = examine(graph.source.rewritten(text), graph.dialect)
    if found is None:
        first = next(each for each in diagnostics if each.severity == "error")
        message = f"`{graph.source.path}` cannot be scaled so: {first.message}, in line {first.label.span.line} of the result"
        raise CspdetError(message, "try other factors")
    return found


def _compare(before: Graph, after: Graph) -> None:
    """See that layers that met channel by channel still do."""
    for one, two in pairs(before):
        shapes = [after.nodes[index].output if index >= 0 else after.input for index in (one, two)]
        if shapes[0].channels != shapes[1].channels:
            message = (
                f"`{before.source.path}` cannot be scaled so: layers {one} and {two} meet channel by channel, and would have"
            )
            raise CspdetError(f"{message} {shapes[0].channels} and {shapes[1].channels}", "try other factors")


def _decimal(factor: Fraction) -> str:
    return f"{float(factor):.6g}"
