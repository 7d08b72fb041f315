"""Mistakes that span layers, one function each; and the whole check of a cfg.

A rule's diagnostics have its name, in kebab-case, as their code, and its docstring is what `cspdet explain` says of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from cspdet.build import build
from cspdet.cfg.diagnostic import Diagnostic, Label, Severity, in_order
from cspdet.cfg.dialect import ALEXEYAB, Dialect
from cspdet.cfg.source import Edit, Source
from cspdet.errors import CfgError, UsageError
from cspdet.graph import LARGEST_STRIDE, Graph, Node
from cspdet.layers.block import width_by_height
from cspdet.layers.convolutional import Convolutional
from cspdet.layers.gru import Gru
from cspdet.layers.head import Head
from cspdet.layers.lstm import Lstm
from cspdet.layers.reorg import Reorg
from cspdet.layers.route import Route
from cspdet.layers.yolo import Yolo
from cspdet.text import counted

Rule = Callable[[Graph], Iterator[Diagnostic]]


def head_filters(graph: Graph) -> Iterator[Diagnostic]:
    """The layer before a detection head must put out exactly what the head reads.

    A [yolo] head reads (classes + 5) numbers for each anchor in its `mask`, [Gaussian_yolo] classes + 9, [region] classes +
    5 for each of `num`. Whoever changes `classes` must change `filters` before every head. Darknet stops at such a cfg.
    """
    nodes = {node.index: node for node in graph.nodes}
    for node in graph.nodes:
        head = node.layer
        if not isinstance(head, Head):
            continue
        x = node.inputs[0]
        needed = head.needed()
        numbers = not head.reads_images
        there = x.size if numbers else x.channels
        if there == needed:
            continue
        before = nodes.get(node.sources[0])
        classes = counted(head.classes, "class", "classes") + ("" if "classes" in head.given else " (as none are given)")
        unmasked = isinstance(head, Yolo) and not head.mask
        anchors = counted(head.anchor_count, "anchor", "anchors") + (" (all, without `mask`)" if unmasked else "")
        what = f"{classes} and {anchors}"
        message = f"a head with {what} reads {needed} {'numbers' if numbers else 'channels'}, not {there}"
        others = tuple(
            node.labels(
                ("mask", counted(head.anchor_count, "anchor", "anchors")),
                ("classes", counted(head.classes, "class", "classes")),
            )
        )
        place, cure = Label(node.section.name_span, "Darknet stops here"), f"it must read {needed}: {head.formula()}"
        edits: tuple[Edit, ...] = ()
        # A layer before that says how much it puts out, in units of the pixels of its map.
        option = before and next((name for name in ("filters", "output") if name in before.layer.options), None)
        pixels = x.height * x.width if numbers else 1
        if before and option and needed % pixels == 0:
            divided = f" / ({x.width} × {x.height})" if pixels > 1 else ""
            cure = f"set `{option}={needed // pixels}`: {head.formula()}{divided}"
            place = next(before.labels((option, f"layer {before.index} makes {there // pixels}")), place)
            edits = (before.setting(option, str(needed // pixels)),) if _classes_are_meant(graph) else ()
        yield Diagnostic("error", "head-filters", message, place, others, cure, edits)


def _classes_are_meant(graph: Graph) -> bool:
    """Whether all heads say and agree how many classes there are, and have no option that might be another's misspelling."""
    heads = [(node, node.layer) for node in graph.nodes if isinstance(node.layer, Head)]
    alike = len({head.classes for _, head in heads}) == 1 and all("classes" in head.given for _, head in heads)
    return alike and all(entry.key in head.options for node, head in heads for entry in node.section.entries)


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


def head_classes(graph: Graph) -> Iterator[Diagnostic]:
    """All heads of a network detect the same classes. A head that was forgotten when `classes` changed finds other things."""
    heads = [node for node in graph.nodes if isinstance(node.layer, Head)]
    for node in heads[1:]:
        first, head = heads[0].layer, node.layer
        assert isinstance(first, Head)
        assert isinstance(head, Head)
        if head.classes != first.classes:
            others = tuple(heads[0].labels(("classes", f"{first.classes} here")))
            message = f"this head has {head.classes} classes, the first {first.classes}"
            span = node.place("classes")
            consequence = "class numbers then mean other things from head to head"
            yield Diagnostic(
                "warning",
                "head-classes",
                message,
                Label(span, consequence),
                others,
                "give every head the same `classes`",
            )


def head_anchors(graph: Graph) -> Iterator[Diagnostic]:
    """Every anchor belongs to one head: one that no `mask` names is never used."""
    heads = [(node, node.layer) for node in graph.nodes if isinstance(node.layer, Yolo)]
    if not heads or len({(head.anchors, head.num) for _, head in heads}) > 1:
        return
    last, first = heads[-1][0], heads[0][1]
    used = {number for _, head in heads for number in head.used}
    unused = [number for number in range(min(first.num, len(first.anchors) // 2)) if number not in used]
    if unused:
        named = ", ".join(map(str, unused[:9]))
        message = f"no head uses {'anchor' if len(unused) == 1 else 'anchors'} {named}"
        yield Diagnostic("note", "head-anchors", message, Label(last.place("mask")), (), "name every anchor in one `mask`")


def auxiliary_heads(graph: Graph) -> Iterator[Diagnostic]:
    """An auxiliary head learns from the truths that its lead head is given, box for box, so the two must be alike.

    Only `assigner=simota` knows auxiliary heads. Darknet knows none: it ignores `aux` and takes the boxes of such a head as
    well, so write its sections last, and give Darknet a cfg without them.
    """
    nodes = {node.index: node for node in graph.nodes}
    led: dict[int, int] = {}
    for node in graph.auxiliary_heads:
        head = node.layer
        assert isinstance(head, Yolo)
        if not head.lead:
            message, cure = "an auxiliary head without a lead", "name its lead head: `lead=…`"
            yield Diagnostic("error", "auxiliary-heads", message, Label(node.place("aux")), (), cure)
            continue
        lead = nodes.get(head.lead.resolve(node.index)[0])
        if lead is None:
            continue  # it is in error itself
        first = lead.layer
        others = (Label(lead.section.name_span, "here it is"),)
        place = Label(node.place("lead"))
        if not isinstance(first, Yolo) or first.aux:
            what = "an auxiliary head itself" if isinstance(first, Yolo) else f"`[{lead.name}]`"
            message = f"layer {lead.index}, the lead of this head, is {what}"
            yield Diagnostic("error", "auxiliary-heads", message, place, others, "name a `[yolo]` head that detects")
            continue
        for each, whose in ((node, "an auxiliary head"), (lead, "the lead of an auxiliary head")):
            if isinstance(each.layer, Yolo) and each.layer.assigner != "simota":
                message, cure = f"{whose} with `assigner={each.layer.assigner}`", "write `assigner=simota`"
                span = each.place("assigner")
                yield Diagnostic("error", "auxiliary-heads", message, Label(span), (), cure)
        for name, what, theirs, own in (
            ("classes", "classes", str(first.classes), str(head.classes)),
            ("mask" if "mask" in head.given else "anchors", "anchors", _anchors(first), _anchors(head)),
            ("lead", "pixels", _pixels(lead), _pixels(node)),
        ):
            if theirs != own:
                message = f"the {what} of an auxiliary head are not its lead's: {own} here, {theirs} there"
                span = node.place(name)
                yield Diagnostic("error", "auxiliary-heads", message, Label(span), others, "make both alike")
        if lead.index in led:
            message = f"layer {lead.index} is the lead of layer {led[lead.index]} already"
            yield Diagnostic("error", "auxiliary-heads", message, place, others, "give each lead one auxiliary head")
        led[lead.index] = node.index


def joint_heads(graph: Graph) -> Iterator[Diagnostic]:
    """`assigner=simota` shares out the truths among all heads at once, so the heads must agree on how.

    A head with another assigner is trained beside them as if it were alone; `topk` counts for all heads together.
    """
    heads = [(node, node.layer) for node in graph.heads if isinstance(node.layer, Yolo)]
    groups = (heads, [(node, node.layer) for node in graph.auxiliary_heads if isinstance(node.layer, Yolo)])
    for group, name in ((groups[0], "assigner"), (groups[0], "topk"), (groups[1], "topk")):
        for node, head in group[1:]:
            first_node, first = group[0]
            if getattr(head, name) == getattr(first, name) or (name == "topk" and "darknet" in (head.assigner, first.assigner)):
                continue
            consequence = "the first head's counts" if name == "topk" else "each kind is trained as if it were alone"
            others = tuple(first_node.labels((name, "here")))
            message, label = f"the heads have different `{name}`", Label(node.place(name), consequence)
            yield Diagnostic("warning", "joint-heads", message, label, others, f"give every head the same `{name}`")


def _pixels(node: Node) -> str:
    return f"{node.inputs[0].width}x{node.inputs[0].height}"


def _anchors(head: Yolo) -> str:
    return ", ".join("{:g}x{:g}".format(*head.anchor(number)) for number in head.used)


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
