"""The figures of a network as text."""

from __future__ import annotations

from collections.abc import Iterator

from cspdet.analysis.cost import Cost, LayerCost
from cspdet.layers.base import Shape

_HEAD = ("BFLOPs", "params", "MAC", "/least", "CIO", "live MiB", "field", "stride", "path")
_WIDTHS = (8, 9, 8, 6, 8, 9, 11, 6, 8)


def cost_table(cost: Cost) -> str:
    """One line for each layer, and the totals."""
    rows = [_row(f"   layer             {'output':>18}", _HEAD)]
    rows += [_layer(each) for each in cost.layers]
    return "\n".join([*rows, *_totals(cost)])


def _layer(each: LayerCost) -> str:
    node = each.node
    cells = (
        f"{node.operations / 1e9:.3f}" if node.operations else "",
        short(node.parameters) if node.parameters else "",
        short(each.access.cost) if each.access.cost else "",
        f"{each.access.excess:.2f}" if each.access.cost else "",
        short(each.traffic) if each.traffic else "",
        "" if each.alive is None else f"{each.alive / 2**20:.2f}",
        f"{each.field.size[1]} x {each.field.size[0]}" if each.field else "",
        _stride(each),
        f"{each.path.shortest} - {each.path.longest}" if each.path else "",
    )
    return _row(f"{node.index:4} {node.name:15} {_size(node.output):>18}", cells)


def _row(start: str, cells: tuple[str, ...]) -> str:
    return " ".join([start, *(f"{cell:>{width}}" for cell, width in zip(cells, _WIDTHS, strict=True))]).rstrip()


def _stride(each: LayerCost) -> str:
    if not each.field or not each.field.horizontal.step:
        return ""
    horizontal, vertical = (f"{float(axis.stride):g}" for axis in (each.field.horizontal, each.field.vertical))
    return horizontal if horizontal == vertical else f"{horizontal}x{vertical}"


def _totals(cost: Cost) -> Iterator[str]:
    graph, memory, worst = cost.graph, cost.activations, cost.bottleneck.node
    share = 100 * worst.operations / graph.operations if graph.operations else 0
    most = f"the most in layer {worst.index} ({worst.name}): {worst.operations / 1e9:.4f}, {share:.1f} %"
    yield f"Total BFLOPS {graph.operations / 1e9:.3f}, {most}"
    yield f"Total parameters {graph.parameters:,}"
    if cost.access.cost:
        yield f"Memory access cost (MAC) {cost.access.cost:,}, {cost.access.excess:.3f} times the least for as much computation"
    yield f"Convolutional input and output (CIO) {cost.traffic:,}, of convolutions alone {cost.convolutions_traffic:,}"
    images = f"{cost.batch} image{'s' if cost.batch > 1 else ''}"
    yield f"Activations of {images}: {memory.peak / 2**20:.2f} MiB, in training at least {memory.kept / 2**20:.2f} MiB"
    if cost.field and cost.field.field:
        height, width = cost.field.field.size
        yield f"Receptive field {width} x {height} pixels, of layer {cost.field.node.index}"
    yield f"Gradient paths: longest {cost.longest_path}, longest of the shortest {cost.longest_shortest_path}"


def short(number: float) -> str:
    """A count in a few characters: 862, 86.2k, 3.68M, 1.22G."""
    for suffix in ("", "k", "M", "G"):
        if number < 999.5 or suffix == "G":
            break
        number /= 1000
    return f"{number:.0f}" if not suffix else f"{number:.3g}{suffix}" if number < 99.95 else f"{number:.0f}{suffix}"


def _size(shape: Shape) -> str:
    return f"{shape.width:4} x{shape.height:4} x{shape.channels:4}" if shape.image else f"{shape.channels}"
