"""Rules about detection heads: what they read, and what they must have in common."""

from __future__ import annotations

from collections.abc import Iterator

from cspdet.cfg.diagnostic import Diagnostic, Label
from cspdet.cfg.source import Edit
from cspdet.graph import Graph, Node
from cspdet.layers.head import Head
from cspdet.layers.yolo import Yolo
from cspdet.text import counted


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
