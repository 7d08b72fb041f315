"""Rules about [net]: its options against each other and against the layers."""

from __future__ import annotations

from collections.abc import Iterator

from cspdet.cfg.diagnostic import Diagnostic, Label
from cspdet.graph import LARGEST_STRIDE, Graph
from cspdet.layers.route import Route
from cspdet.layers.yolo import Yolo


def input_multiple(graph: Graph) -> Iterator[Diagnostic]:
    """The input's sides should be multiples of the network's stride; otherwise the last cells see less than the others."""
    # Maps that do not meet again at a route tell of it, too; the heads behind may not have been reached.
    apart = any(isinstance(node.layer, Route) and node.inputs[0].image and not node.output.image for node in graph.nodes)
    if not graph.input.image or not (apart or (graph.heads and isinstance(graph.heads[0].layer, Yolo))):
        return
    vertical, horizontal = graph.stride
    if apart:
        reached = [node.stride for node in graph.nodes if node.output.image]
        vertical, horizontal = (round(min(max(1, *sides), LARGEST_STRIDE)) for sides in zip(*reached, strict=True))
    for name, side, stride in (("width", graph.input.width, horizontal), ("height", graph.input.height, vertical)):
        if side % stride:
            nearest = max(stride, round(side / stride) * stride)
            span = graph.place(name)
            message = f"the {name} of {side} is no multiple of the network's stride {stride}"
            consequence = "the last row and column of cells reach beyond the image"
            yield Diagnostic("warning", "input-multiple", message, Label(span, consequence), (), f"use {nearest}")


def mosaic_letterbox(graph: Graph) -> Iterator[Diagnostic]:
    """AlexeyAB's training refuses `letter_box=1` together with mosaic; detection does not mind."""
    net = graph.net
    if net.letter_box and net.mosaic:
        span = graph.place("letter_box")
        others = (Label(graph.place("mosaic")),)
        yield Diagnostic(
            "note",
            "mosaic-letterbox",
            "`letter_box=1` with `mosaic=1`",
            Label(span, "AlexeyAB's Darknet refuses to train with both"),
            others,
            "train with one of them; detection uses `letter_box` only",
        )


def endless_burn_in(graph: Graph) -> Iterator[Diagnostic]:
    """The learning rate rises to `learning_rate` over the first `burn_in` steps; a training that ends before never gets there.

    Source: `network.c:get_current_rate`. Detection does not mind.
    """
    net = graph.net
    if net.burn_in and 0 < net.max_batches <= net.burn_in:
        yield Diagnostic(
            "warning",
            "endless-burn-in",
            f"`max_batches={net.max_batches}` ends before `burn_in={net.burn_in}`",
            Label(graph.place("max_batches"), "training ends while the learning rate still rises"),
            (Label(graph.place("burn_in")),) if "burn_in" in net.given else (),
            "train longer, or set `burn_in` to a tenth of `max_batches` or less",
        )
