"""Look into weights files, convert them, cut them.

cspdet weights info FILE [--cfg CFG]       what the file is, and whether it fits a cfg
cspdet weights convert CFG IN OUT          .weights to .safetensors and back
cspdet weights cut CFG IN OUT LAYERS       the first layers only, to train another network from (Darknet's `partial`)
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import numpy as np

from cspdet.cfg.included import files_of
from cspdet.commands.common import add_dialect, dialect_of, graph_or_diagnostics, read_cfg
from cspdet.commands.loading import positive
from cspdet.errors import UsageError, WeightsError
from cspdet.files import check_unread, check_writable
from cspdet.graph import Graph
from cspdet.weights.codec import Extent, Header, layout, open_weights, read, write
from cspdet.weights.fit import doubt, fit
from cspdet.weights.reader import read_any
from cspdet.weights.tensors import write_safetensors


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="info|convert|cut")
    info = verbs.add_parser("info", help="what a file is, and whether it fits a cfg")
    info.add_argument("file", metavar="FILE", help="weights file")
    info.add_argument("--cfg", metavar="CFG", help="cfg file or model name")
    info.add_argument("--json", action="store_true", help="print JSON")
    add_dialect(info)
    convert = verbs.add_parser("convert", help=".weights to .safetensors and back")
    convert.add_argument("cfg", metavar="CFG", help="cfg file or model name")
    convert.add_argument("source", metavar="IN", help="file to read")
    convert.add_argument("target", metavar="OUT", help="file to write; its ending says which form")
    add_dialect(convert)
    cut = verbs.add_parser("cut", help="the weights of the first layers only")
    cut.add_argument("cfg", metavar="CFG", help="cfg file or model name")
    cut.add_argument("source", metavar="IN", help="file to read")
    cut.add_argument("target", metavar="OUT", help="file to write, such as X.conv.45")
    cut.add_argument("layers", metavar="LAYERS", type=positive, help="how many layers, from the first of the cfg on")
    add_dialect(cut)


def run(arguments: Namespace) -> int:
    """Do what the verb says."""
    return {"convert": _convert, "cut": _cut, "info": _info}[arguments.verb](arguments)


def _convert(arguments: Namespace) -> int:
    graph = graph_or_diagnostics(read_cfg(arguments.cfg, arguments), dialect_of(arguments))
    if graph is None:
        return 1
    ending = Path(arguments.target).suffix
    if ending not in (".weights", ".safetensors"):
        raise UsageError(f"cannot tell the form of `{arguments.target}`", "end its name in `.weights` or `.safetensors`")
    _check_target(arguments, graph)
    loaded = read_any(arguments.source, graph)
    if loaded.doubt:
        print(f"warning: {loaded.doubt}", file=sys.stderr)
    # A `.weights` file with the layers that `dontload=1` skips could not be read again with the same cfg.
    extent: Extent = "read" if ending == ".weights" and loaded.extent == "all" else loaded.extent
    slots = [slot for slot in layout(graph, extent) if slot.key in loaded.arrays]
    arrays = ((slot, loaded.arrays[slot.key]) for slot in slots)
    if ending == ".safetensors":
        if loaded.ends_before is not None:
            raise UsageError(
                f"`{arguments.source}` ends before layer {loaded.ends_before}",
                "only files with the weights of all layers are converted",
            )
        write_safetensors(arguments.target, loaded.header, loaded.extent, arrays, cfg=Path(graph.source.path).name)
    else:
        write(arguments.target, loaded.header, arrays)
    print(f"{arguments.target}: {len(slots)} arrays, {sum(slot.array.size for slot in slots):,} numbers")
    return 0


def _cut(arguments: Namespace) -> int:
    """Write the first layers' weights; they have seen no images, as in `darknet.c:partial`."""
    graph = graph_or_diagnostics(read_cfg(arguments.cfg, arguments), dialect_of(arguments))
    if graph is None:
        return 1
    if arguments.layers > len(graph.nodes):
        message = f"`{arguments.cfg}` has {len(graph.nodes)} layers, not {arguments.layers}"
        raise UsageError(message, f"`cspdet summary {arguments.cfg}` numbers them")
    _check_target(arguments, graph)
    loaded = read_any(arguments.source, graph)
    if loaded.ends_before is not None and loaded.ends_before < arguments.layers:
        message = f"`{arguments.source}` ends before layer {loaded.ends_before}"
        raise UsageError(message, "ask for no more layers than it has")
    if loaded.doubt:
        print(f"warning: {loaded.doubt}", file=sys.stderr)
    slots = [slot for slot in layout(graph, "read") if slot.layer < arguments.layers]
    if not slots:
        which = "first layer" if arguments.layers == 1 else f"first {arguments.layers} layers"
        raise UsageError(
            f"the {which} of `{arguments.cfg}` {'has' if arguments.layers == 1 else 'have'} no weights", "ask for more"
        )
    write(arguments.target, loaded.header._replace(seen=0), ((slot, loaded.arrays[slot.key]) for slot in slots))
    print(f"{arguments.target}: {len(slots)} arrays, {sum(slot.array.size for slot in slots):,} numbers")
    return 0


def _check_target(arguments: Namespace, graph: Graph) -> None:
    """See that the file asked for can be written, and is none of those that it is made from."""
    check_writable(arguments.target)
    check_unread(arguments.target, [arguments.source, *files_of(graph.source, dialect_of(arguments))])


def _info(arguments: Namespace) -> int:
    dialect = dialect_of(arguments)
    graph = graph_or_diagnostics(read_cfg(arguments.cfg, arguments), dialect) if arguments.cfg is not None else None
    if arguments.cfg is not None and graph is None:
        return 1
    facts = _facts_of_tensors(arguments, graph) if Path(arguments.file).suffix == ".safetensors" else _facts(arguments, graph)
    _print(facts, arguments.json)
    good = facts.get("fits", True) and not facts["not_finite"] and not {"left_over_bytes", "doubt"} & {*facts}
    return 0 if good else 1


def _facts(arguments: Namespace, graph: Graph | None) -> dict[str, Any]:
    """What there is to say about a `.weights` file."""
    file = open_weights(arguments.file, dialect_of(arguments))
    facts: dict[str, Any] = {
        "file": str(file.path),
        "bytes": file.header.size + 4 * len(file.numbers) + file.rest,
        **_header_facts(file.header),
        "header_bytes": file.header.size,
        "numbers": len(file.numbers),
        "not_finite": _not_finite(file.numbers),
    }
    if file.rest:
        facts["left_over_bytes"] = file.rest
    if graph is None:
        return facts
    facts |= {"cfg": graph.source.path, "expected_numbers": _total(graph)}
    try:
        found = fit(file, graph)
    except WeightsError as error:
        return facts | {"fits": False, "reason": str(error)}
    facts["fits"] = True
    if found.ends_before is not None:
        node = graph.nodes[found.ends_before]
        last = found.slots[-1].layer
        facts["partial"] = f"up to layer {last} of {len(graph.nodes)}, as a `.conv.{last + 1}` file"
        facts["first_layer_without"] = f"{node.index} [{node.name}], line {node.section.name_span.line}"
    if found.extent == "convolutions":
        facts["note"] = "convolutions only, as the PyTorch forks write them; learnt constants keep their initial values"
    if odd := doubt(file.path, graph, read(file, found.slots)):
        facts["doubt"] = odd
    return facts


def _facts_of_tensors(arguments: Namespace, graph: Graph | None) -> dict[str, Any]:
    """What there is to say about a `.safetensors` file."""
    if graph is None:
        raise UsageError("to look into a `.safetensors` file, its cfg is needed", "add `--cfg CFG`")
    facts = {"file": arguments.file, "cfg": graph.source.path, "expected_numbers": _total(graph)}
    try:
        loaded = read_any(arguments.file, graph)
    except WeightsError as error:
        return facts | {"not_finite": 0, "fits": False, "reason": str(error)}
    facts |= {
        "bytes": Path(arguments.file).stat().st_size,
        **_header_facts(loaded.header),
        "numbers": sum(array.size for array in loaded.arrays.values()),
        "not_finite": sum(_not_finite(array.reshape(-1)) for array in loaded.arrays.values()),
        "fits": True,
    }
    return facts | ({"doubt": loaded.doubt} if loaded.doubt else {})


def _header_facts(header: Header) -> dict[str, Any]:
    return {"version": f"{header.major}.{header.minor}.{header.revision}", "images_seen": header.seen}


def _total(graph: Graph) -> int:
    slots = layout(graph)
    return slots[-1].end if slots else 0


def _not_finite(numbers: Any) -> int:
    step = 2**22
    return sum(int(np.count_nonzero(~np.isfinite(numbers[at : at + step]))) for at in range(0, len(numbers), step))


def _print(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        json.dump(facts, sys.stdout, indent=2, ensure_ascii=False)
        print()
        return
    for name, value in facts.items():
        shown = ("no", "yes")[value] if isinstance(value, bool) else f"{value:,}" if isinstance(value, int) else value
        print(f"{name.replace('_', ' '):28} {shown}")
