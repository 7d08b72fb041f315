"""Rules about weights: layers that share them, and files that look alike and are not."""

from __future__ import annotations

from collections.abc import Iterator

from cspdet.cfg.diagnostic import Diagnostic, Label, Severity
from cspdet.graph import Graph
from cspdet.layers.block import width_by_height
from cspdet.layers.convolutional import Convolutional
from cspdet.layers.gru import Gru
from cspdet.layers.lstm import Lstm
from cspdet.layers.reorg import Reorg


def shared_weights(graph: Graph) -> Iterator[Diagnostic]:
    """A layer with `share_index` uses the weights of another [convolutional], so size, channels and filters must agree.

    Darknet stops at such a cfg (`make_convolutional_layer`: "Layer size, nweights, channels or filters don't match").
    """
    nodes = {node.index: node for node in graph.nodes}
    for node in graph.nodes:
        owner = nodes.get(node.shares) if node.shares is not None else None
        if owner is None:
            continue
        span = node.place("share_index")
        if not isinstance(owner.layer, Convolutional) or not isinstance(node.layer, Convolutional):
            message = f"layer {owner.index} is `[{owner.name}]`, whose weights a convolution cannot use"
            yield Diagnostic(
                "error",
                "shared-weights",
                message,
                Label(span),
                (Label(owner.section.name_span),),
                "name a `[convolutional]`",
            )
            continue
        if owner.shares is not None:
            message = f"layer {owner.index} has no weights of its own: it uses those of layer {owner.shares}"
            cure = f"write `share_index={owner.shares}`"
            edits = (node.setting("share_index", str(owner.shares)),)
            yield Diagnostic("error", "shared-weights", message, Label(span), (), cure, edits)
            continue
        form = next((name for name in ("rep", "implicit") if getattr(owner.layer, name)), None)
        if form:
            message = f"layer {owner.index} is trained with `{form}=1`: meanwhile, it has no weights that others could use"
            yield Diagnostic(
                "error",
                "shared-weights",
                message,
                Label(span),
                tuple(owner.labels((form, ""))),
                f"remove `{form}` or `share_index`",
            )
            continue
        own, other = node.layer.block(node.inputs[0]), owner.layer.block(owner.inputs[0])
        pairs = {
            "size": (width_by_height(own.size), width_by_height(other.size)),
            "filters": (own.filters, other.filters),
            "groups": (own.groups, other.groups),
            "input channels": (own.channels, other.channels),
        }
        for name, (mine, theirs) in pairs.items():
            if mine != theirs:
                message = f"the weights of layer {owner.index} do not fit: {name} {theirs} there, {mine} here"
                place = Label(owner.section.name_span, f"{name}: {theirs}")
                yield Diagnostic(
                    "error",
                    "shared-weights",
                    message,
                    Label(span, "Darknet stops here"),
                    (place,),
                    "share only between equal layers",
                )
        if own.normalized != other.normalized:
            has = "has" if other.normalized else "has no"
            yield Diagnostic(
                "warning",
                "shared-weights",
                f"layer {owner.index}, whose weights are shared, {has} batch normalisation; this layer says otherwise",
                Label(span, f"`detector test` takes this layer as if it {has} batch normalisation too; training does not"),
                (),
                "give both layers `batch_normalize=1`, or neither",
            )


def gate_order(graph: Graph) -> Iterator[Diagnostic]:
    """AlexeyAB and pjreddie store the gates of [gru] and [lstm] in different orders, so their weights files are not the same.

    Nothing in a file tells which it is. Read in the wrong order, the network runs and computes nonsense.
    """
    if graph.dialect.pjreddie_gates:
        return
    for node in graph.nodes:
        if isinstance(node.layer, Gru | Lstm):
            message = f"the weights of `[{node.name}]` are read in AlexeyAB's order"
            label = "a file that pjreddie's Darknet wrote gives wrong numbers"
            cure = "say `--dialect pjreddie` for such a file"
            yield Diagnostic("note", "gate-order", message, Label(node.section.name_span, label), (), cure)
            return


def batch_norm_epsilon(graph: Graph) -> Iterator[Diagnostic]:
    """Batch normalisation divides by √(variance + 0.00001) at AlexeyAB and hank-ai, by √variance + 0.000001 at pjreddie.

    The PyTorch forks train with √(variance + 0.0001). Where a variance is small, outputs differ by more than rounding.
    """
    if graph.dialect.epsilon_outside_root or graph.dialect.name == "pytorch":
        return
    for node in graph.nodes:
        if any(array.role == "rolling_variance" for array in node.arrays.values()):
            message = "batch normalisation adds 0.00001 to the variance, as AlexeyAB's Darknet does"
            label = "weights from pjreddie's Darknet or the PyTorch forks were made with another epsilon"
            cure = "say `--dialect pjreddie` or `--dialect pytorch` for their exact numbers"
            span = node.place("batch_normalize")
            yield Diagnostic("note", "batch-norm-epsilon", message, Label(span, label), (), cure)
            return


def reorg_order(graph: Graph) -> Iterator[Diagnostic]:
    """[reorg] keeps YOLOv2's historic order at AlexeyAB and pjreddie.

    The PyTorch forks give the name to plain space-to-depth, which is [reorg3d] here.
    """
    for node in graph.nodes:
        if isinstance(node.layer, Reorg) and node.layer.stride > 1 and graph.dialect.name != "pjreddie":
            message = "`[reorg]` reorders pixels as AlexeyAB's and pjreddie's Darknet do"
            label = "weights trained with the PyTorch forks expect `[reorg3d]`'s order"
            severity: Severity = "warning" if graph.dialect.name == "pytorch" else "note"
            yield Diagnostic(
                severity,
                "reorg-order",
                message,
                Label(node.section.name_span, label),
                (),
                "write `[reorg3d]` for such weights",
            )
            return
