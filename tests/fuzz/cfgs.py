"""Cfg text → graph → network → shapes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from cspdet.cfg.diagnostic import render
from cspdet.cfg.dialect import DIALECTS
from cspdet.cfg.source import Source
from cspdet.cfg.syntax import parse
from cspdet.commands.summary import table
from cspdet.describe import layer_table
from cspdet.detector import Detector
from cspdet.errors import CspdetError, UsageError
from cspdet.graph import Graph, Node
from cspdet.layers import BY_NAME, LAYERS
from cspdet.layers.base import REQUIRED, Layer, Option
from cspdet.layers.head import Head
from cspdet.layers.maxunpool import Maxunpool
from cspdet.network import Network
from cspdet.rules import examine
from cspdet.weights.codec import layout
from tests.conftest import HAS_REFERENCE, REFERENCE, SHIPPED
from tests.fuzz.common import Case, Kind, Random, Watch, check_error, expect, is_printable
from tests.fuzz.text import LINE_MUTATIONS, _is_header, _lines_of, change_digit, encode_oddly, mutate_bytes, odd_value

# Every section type, with options; one section in a line.
MADE = """
net width=16 height=16 channels=3 batch=4 subdivisions=2 policy=steps steps=10,20 scales=.1,.1 max_batches=30 letter_box=1
convolutional filters=8 size=3 stride=1 pad=1 batch_normalize=1 activation=mish
convolutional filters=8 size=3 stride=1 pad=1 batch_normalize=1 activation=leaky
convolutional filters=8 size=3 stride=1 pad=1 batch_normalize=1 activation=swish share_index=1
convolutional filters=8 size=3 stride=2 pad=1 groups=2 antialiasing=1 activation=relu6
convolutional filters=8 size=3 stride=1 pad=1 dilation=2 xnor=1 bin_output=1 cbn=1 flipped=1 activation=hard_mish
convolutional filters=6 size=2 stride=2 stride_x=1 stride_y=2 padding=1 activation=normalize_channels
deconvolutional filters=4 size=2 stride=2 batch_normalize=1 activation=leaky
route layers=4
local filters=2 size=3 stride=2 pad=1 activation=tanh
connected output=64 batch_normalize=1 activation=loggy
dropout probability=.5 dropblock=1
route layers=0,-11
maxpool size=2 stride=2
maxpool size=3 stride=1 padding=2 antialiasing=2
maxpool maxpool_depth=1 out_channels=3
local_avgpool size=3 stride=1 stride_x=2
upsample stride=2 scale=.5
upsample stride=-2
route layers=4 groups=2 group_id=1
reorg stride=2
reorg stride=2 reverse=1
reorg3d stride=2
crop crop_width=3 crop_height=3 noadjust=1
route_lhalf layers=4,-5
partial_split from=4 ratio=.25 part=1
convolutional filters=8 size=1 activation=linear
shortcut from=4,-3 weights_type=per_channel weights_normalization=softmax activation=leaky
shortcut from=0 activation=linear
avgpool
convolutional filters=8 size=1 activation=logistic
scale_channels from=-3 activation=relu
sam from=4 activation=elu
implicit filters=8 atoms=1 mean=0 std=.02
route layers=4
shift_channels from=-2
implicit_add filters=8
route layers=4
control_channels from=-2
implicit_mul filters=8
route layers=4
alternate_channels from=-2
implicit_cat filters=8
route layers=4
select_channels from=-2
route layers=4
convolutional filters=6 size=3 size_x=5 size_y=1 pad=1 activation=linear
shuffle groups=3
maxpool size=3 stride=2
deconvolutional filters=6 size=3 stride=2 groups=3 pad=1 output_padding=1 activation=leaky
upsample stride=2 mode=bilinear
upsample stride=2 mode=nails
route layers=-4
maxunpool from=-5
activation activation=selu
batchnorm
normalization size=5 alpha=.001 beta=.5 kappa=2
l2norm
empty
blank
history history_size=2
crnn output=4 hidden=6 size=3 pad=1 batch_normalize=1 shortcut=1 activation=leaky
conv_lstm output=4 size=3 pad=1 batch_normalize=1 peephole=1 state_constrain=4 groups=2
rnn output=5 hidden=6 logistic=1 activation=leaky batch_normalize=1
gru output=5 batch_normalize=1
lstm output=5
connected output=1470 activation=linear
detection classes=20 coords=4 num=2 side=7 softmax=1 sqrt=1
softmax groups=2 temperature=2
logistic
route layers=4
convolutional filters=112 size=1 activation=linear
iseg classes=80 ids=32
route layers=4
convolutional filters=21 size=1 activation=linear
yolo classes=2 num=6 mask=0,1,2 anchors=1,2,3,4,5,6,7,8,9,10,11,12 scale_x_y=1.05 nms_kind=greedynms beta_nms=.6
route layers=4
convolutional filters=14 size=1 activation=logistic
yolo classes=2 num=6 mask=3,4 anchors=1,2,3,4,5,6,7,8,9,10,11,12 new_coords=1 nms_kind=diounms counters_per_class=3,4
route layers=4
convolutional filters=22 size=1 activation=linear
Gaussian_yolo classes=2 num=2 anchors=1,2,3,4 yolo_point=left_top nms_kind=diounms
route layers=4
convolutional filters=16 size=1 activation=linear
region classes=3 num=2 anchors=1,2,3,4 softmax=1 tree=fuzz.tree
route layers=4
contrastive classes=2 yolo_layer=-7
cost type=sse
"""
# The class tree that the cases' cfgs may name.
TREE = "animal -1\nthing -1\ncat 0\n"
VECTOR_NET = "net inputs=12"
HEADS = tuple(layer for layer in LAYERS if issubclass(layer, Head))
# Beyond these, a network is not run: it would take long for good reason.
LARGEST_PARAMETERS = 2_000_000
LARGEST_ACTIVATIONS = 12_000_000
LARGEST_OPERATIONS = 300_000_000
LARGEST_CFG = 2**18


def written(line: str) -> str:
    """`name key=value …` as a section."""
    name, *entries = line.split()
    return "\n".join([f"[{name}]", *entries, ""])


def made_cfg() -> str:
    """A cfg with every section type."""
    return "\n".join(map(written, MADE.strip().splitlines()))


def shrunk(text: str) -> str:
    """A cfg with the same structure, but a small input and a sixteenth of the channels, so that it is run."""
    sections = re.split(r"(?m)^(?=[ \t]*\[)", text)
    for number, section in enumerate(sections):
        following = sections[number + 1] if number + 1 < len(sections) else ""
        if re.match(r"\s*\[net", section):
            section = re.sub(r"(?m)^(width|height)\s*=.*", r"\1=64", section)
        elif not re.match(r"\s*\[(yolo|region|Gaussian_yolo|detection)", following):
            divided = r"(?m)^(filters|output|hidden|groups)\s*=\s*(\d{2,})"
            section = re.sub(divided, lambda found: f"{found[1]}={max(1, int(found[2]) // 16)}", section)
        sections[number] = section
    return "".join(sections)


def some_value(chance: Random, option: Option, index: int) -> str:
    """A value that an option may well have."""
    if option.choices:
        return chance.choice([*option.choices])
    if option.kind == "bool":
        return chance.choice("01")
    if option.kind == "int":
        if chance.random() < 0.04 and None not in (option.at_least, option.at_most):
            return f"{chance.choice((option.at_least, option.at_most)):.0f}"
        return str(chance.choice((1, 1, 2, 2, 3, 4, 5, 6, 8, 16, 0, -1, chance.randrange(100))))
    if option.kind == "float":
        return chance.choice(("0", "1", ".5", "2", "-1", ".01", "1.5", "100"))
    if option.kind == "str":
        return chance.choice(("fuzz.tree", "fuzz.tree", "none.txt", ""))
    count = chance.choice((1, 1, 1, 2, 3, 4))
    if option.kind == "Sources":
        places = (-1, -2, -3, -chance.randint(1, max(1, index)), chance.randrange(max(1, index)))
        return ",".join(str(chance.choice(places)) for _ in range(count))
    return ",".join(str(chance.choice((0, 1, 2, 3, 4, 5, 10))) for _ in range(2 * count))


def some_section(chance: Random, kind: type[Layer], index: int) -> str:
    """A section of that type as layer `index`, with some of its options."""
    share = chance.choice((0.2, 0.5, 0.8))
    lines = [f"[{chance.choice(kind.names)}]"]
    for name, option in kind.options.items():
        wanted = 0.02 if option.training else 0.01 if name in Layer.options else share
        if option.default is REQUIRED or chance.random() < wanted:
            lines.append(f"{name}={some_value(chance, option, index)}")
    return "\n".join(lines) + "\n"


def some_net(chance: Random) -> str:
    """A small input."""
    if chance.random() < 0.15:
        return written(f"net inputs={chance.randint(1, 64)}")
    sides = (1, 2, 3, 4, 5, 7, 8, 13, 16, 24, 32, 33)
    return written(
        f"net width={chance.choice(sides)} height={chance.choice(sides)} channels={chance.choice((1, 2, 3, 4, 6, 8))}"
    )


def grown(chance: Random, dialect: str, path: str) -> str:
    """A cfg of random sections, each of which mostly fits to what was before."""
    text = some_net(chance)
    index = 0
    for _ in range(chance.choice((1, 2, 4, 8, 12))):
        for _ in range(4):
            kind = chance.choice(LAYERS[1:])
            more = some_section(chance, kind, index)
            try:
                graph, diagnostics = examine(Source(path, text + more), DIALECTS[dialect])
            except Exception:
                return text + more  # the check of the case will say what is wrong
            needed = [re.search(r"reads (\d+) (channels|numbers)", each.message) for each in diagnostics]
            wanted = next((found for found in needed if found), None)
            if wanted and int(wanted[1]) <= 4096 and chance.random() < 0.9:
                before = "connected activation=linear output" if wanted[2] == "numbers" else "convolutional filters"
                more = written(f"{before}={wanted[1]}") + some_section(chance, kind, index + 1)
                graph, _ = examine(Source(path, text + more), DIALECTS[dialect])
            if graph is not None:
                text += more
                index = len(graph.nodes)
                break
        else:
            if chance.random() < 0.2:
                return text + more
    return text


def copy_section(chance: Random, lines: list[str]) -> None:
    """Thousands of copies of a section."""
    starts = [number for number, line in enumerate(lines) if _is_header(line)]
    if starts:
        at = chance.randrange(len(starts))
        end = starts[at + 1] if at + 1 < len(starts) else len(lines)
        section = lines[starts[at] : end]
        lines[end:end] = section * chance.choice((1000, 2000, 3000))


def odd_reference(chance: Random, lines: list[str]) -> None:
    number = _lines_of(lines, chance, lambda line: re.match(r"\s*(layers|from|share_index|yolo_layer)\s*=", line) is not None)
    if number is not None:
        key, _ = lines[number].split("=", 1)
        pool = (0, 1, 2, 3, -1, -2, -3, -4, chance.randrange(-300, 300), 2**31 - 1, -(2**31))
        lines[number] = f"{key}={','.join(str(chance.choice(pool)) for _ in range(chance.choice((1, 1, 2, 3, 5))))}"


def insert_option(chance: Random, lines: list[str]) -> None:
    """An option that the section has, with a value that it may have."""
    number = _lines_of(lines, chance, _is_header)
    if number is not None:
        kind = BY_NAME.get(lines[number].strip(" []\t\r"))
        if kind is not None:
            option = chance.choice([*kind.options.values()])
            lines.insert(number + 1, f"{option.name}={some_value(chance, option, 3)}")


def insert_section(chance: Random, lines: list[str]) -> None:
    number = _lines_of(lines, chance, _is_header)
    if number is not None:
        lines[number:number] = some_section(chance, chance.choice(LAYERS), chance.randrange(1, 9)).splitlines()


class Cfgs(Kind):
    """Cfg text → graph → network → shapes."""

    name = "cfgs"
    mutations: ClassVar[tuple[Any, ...]] = (
        *LINE_MUTATIONS,
        change_digit,
        odd_value,
        odd_reference,
        insert_option,
        insert_option,
        insert_section,
    )

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = str(folder / "fuzz.cfg")
        (folder / "fuzz.tree").write_text(TREE)
        paths = [*SHIPPED, *(sorted(REFERENCE.glob("corpus/*.cfg")) if HAS_REFERENCE else ())]
        self.bases = [path.read_text("utf-8", "replace") for path in paths]
        self.small = [made_cfg(), *map(shrunk, self.bases)]

    def make(self, chance: Random) -> Case:
        dialect = chance.choice([*DIALECTS])
        way = chance.random()
        if way < 0.6:
            text = grown(chance, dialect, self.path)
            count = chance.choice((0, 0, 0, 1, 2))
        else:
            text = self.small[0] if way < 0.7 else chance.choice(self.small if way < 0.85 else self.bases)
            count = chance.choice((0, 1, 1, 1, 2, 3, 6))
        lines = text.split("\n")
        for _ in range(count):
            chance.choice(self.mutations)(chance, lines)
        if chance.random() < 0.005:
            copy_section(chance, lines)
        if chance.random() < 0.02:
            lines += chance.choice(self.small).split("\n")
        text = "\n".join(lines)
        if chance.random() < 0.03:
            text = text[: chance.randrange(len(text) + 1)]
        data = encode_oddly(chance, text)
        if chance.random() < 0.04:
            data = mutate_bytes(chance, data)
        size = {"width": chance.choice((1, 32, 64, 0, 10**6))} if chance.random() < 0.02 else {}
        options = {"dialect": dialect, "size": size, "batch": chance.choice((1, 1, 2)), "seed": chance.randrange(2**31)}
        return Case(data[:LARGEST_CFG], options)

    def check(self, case: Case, watch: Watch) -> None:
        source = Source.decode(self.path, case.data)
        try:
            with watch.step("examine"):
                graph, diagnostics = examine(source, DIALECTS[case.options["dialect"]], **case.options["size"])
        except UsageError as error:  # of a size that the call asks for, not the cfg
            expect(bool(case.options["size"]), "the call is blamed for the cfg", str(error))
            return
        errors = [each for each in diagnostics if each.severity == "error"]
        expect((graph is None) == bool(errors), "neither a graph nor an error, or both")
        with watch.step("render"):
            for each in diagnostics[:200]:
                render(each, color=True)
                text = render(each)
                expect(is_printable(text), f"control characters in the rendering of {each.code}", repr(text))
            json.dumps([each.to_json() for each in diagnostics], ensure_ascii=False).encode("utf-8")
        if case.options["seed"] % 4 == 0:
            expect(parse(source)[0].text == source.text, "the lines are not the text")
        expect(source.encode(source.text) == case.data, "the encoded text is not the file")
        watch.counts["cfgs in error"] += graph is None
        if graph is None:
            return
        for node in graph.nodes:
            expect(min(node.output.dimensions) > 0, f"empty output of [{node.layer.names[0]}]", str(node.output))
        with watch.step("layer table"):
            layer_table(graph)
        with watch.step("layer table in JSON"):
            json.dumps(table(graph), allow_nan=False)
        with watch.step("layout of the weights"):
            layout(graph)
        if is_small(graph):
            check_network(graph, case, watch)


def is_small(graph: Graph) -> bool:
    """Whether a network can be run in a moment."""
    numbers = graph.input.size + sum(max(node.output.size, node.listed.size) for node in graph.nodes)
    return (
        graph.parameters <= LARGEST_PARAMETERS
        and numbers <= LARGEST_ACTIVATIONS
        and graph.operations <= LARGEST_OPERATIONS
        and len(graph.nodes) <= 500
    )


def check_network(graph: Graph, case: Case, watch: Watch) -> None:
    """Run it: every layer's output must have the shape that the graph promises, and keep its values while others run."""
    numbers = torch.Generator().manual_seed(case.options["seed"])
    x = torch.rand(case.options["batch"], *graph.input.dimensions, generator=numbers)
    kept: list[torch.Tensor] = []
    with torch.inference_mode():
        with watch.step("network"):
            network = Network(graph, seed=case.options["seed"])
        hooks = [
            module.register_forward_hook(shape_check(node, len(x), kept))
            for node, module in zip(graph.nodes, network.layers, strict=True)
        ]
        with watch.step("trace"):
            outputs = network.trace(x)
        for hook in hooks:
            hook.remove()
        for node, output, copy in zip(graph.nodes, outputs, kept, strict=True):
            same = (output == copy) | (output.isnan() & copy.isnan())
            expect(bool(same.all()), f"a later layer overwrites [{node.layer.names[0]}]")
            watch.counts[f"[{node.layer.names[0]}]"] += 1
        state = network.state_dict()
        for node in graph.nodes:
            wanted = {f"layers.{node.index}.{name}": array.shape for name, array in node.arrays.items()}
            there = {key: tuple(state[key].shape) for key in wanted if key in state}
            expect(there == wanted, f"arrays of [{node.layer.names[0]}]", f"{there}, not {wanted}")
        network.reset()
        with watch.step("forward"):
            found = network(x)
        for index, output in zip(graph.outputs, found, strict=True):
            before = outputs[index] if index >= 0 else x
            expect(output.shape == before.shape, "shape of the network's output")
            expect(not is_smooth(graph) or is_close(output, before), "the network's output differs from the trace")
    watch.counts["networks run"] += 1
    # A network that has learnt nothing finds something everywhere, and suppressing that takes long.
    if graph.heads and sum(node.inputs[0].size for node in graph.heads) <= 20_000:
        picture = np.random.default_rng(case.options["seed"]).integers(0, 256, (9, 11, 3), np.uint8)
        with watch.step("detect"):
            try:
                found_boxes = Detector(network).detect([picture], threshold=0.1)
                watch.counts["pictures looked at"] += 1
                expect(len(found_boxes) == 1, "one picture, other results")
            except CspdetError as error:
                check_error(error)


def is_smooth(graph: Graph) -> bool:
    """Whether rounding stays small: signs and stairs make it large, and so do maxima that are put back elsewhere."""
    return not any(
        isinstance(node.layer, Maxunpool)
        or getattr(node.layer, "xnor", False)
        or getattr(node.layer, "activation", "") == "stair"
        for node in graph.nodes
    )


def is_close(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    """Whether two tensors are the same but for rounding, wherever they are finite."""
    finite = found.isfinite() & wanted.isfinite()
    largest = wanted[finite].abs().max() if finite.any() else torch.tensor(0.0)
    return bool(((found - wanted)[finite].abs() <= 1e-3 * largest + 1e-6).all())


def shape_check(node: Node, batch: int, kept: list[torch.Tensor]) -> Callable[..., None]:
    """A hook that looks at a layer's output as soon as it is there, before another layer trips over it."""
    name, wanted = node.layer.names[0], (batch, *node.output.dimensions)

    def look(_module: Any, _inputs: Any, output: torch.Tensor) -> None:
        expect(tuple(output.shape) == wanted, f"shape of [{name}]", f"{tuple(output.shape)}, not {wanted}")
        expect(output.dtype == torch.float32, f"type of [{name}]", str(output.dtype))
        kept.append(output.clone())

    return look
