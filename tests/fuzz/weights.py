"""Weights files, against the right cfg and others."""

from __future__ import annotations

import json
import struct
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

import cspdet
from cspdet.cfg.dialect import DIALECTS
from cspdet.cfg.source import Source
from cspdet.errors import CspdetError
from cspdet.graph import Graph
from cspdet.rules import examine
from cspdet.weights.codec import Header, layout, open_weights, read
from cspdet.weights.fit import fit
from cspdet.weights.reader import read_any
from cspdet.weights.tensors import write_safetensors
from tests.conftest import HAS_REFERENCE, REFERENCE
from tests.fuzz.cfgs import MADE, TREE, written
from tests.fuzz.common import Case, Kind, Random, Watch, check_error, expect, run_command
from tests.fuzz.text import mutate_bytes

WEIGHTS_CFGS = (
    """
    net width=8 height=8 channels=3
    convolutional filters=4 size=3 pad=1 batch_normalize=1 activation=leaky
    convolutional filters=14 size=1 activation=linear
    yolo classes=2 num=2 anchors=1,2,3,4
    """,
    """
    net width=8 height=8 channels=3
    convolutional filters=4 size=3 pad=1 batch_normalize=1 flipped=1 activation=leaky
    convolutional filters=4 size=1 batch_normalize=1 dontload=1
    connected output=8 batch_normalize=1 activation=leaky dontloadscales=1
    connected output=4
    """,
    """
    net width=8 height=8 channels=3
    convolutional filters=4 size=3 pad=1 batch_normalize=1 activation=leaky
    implicit_mul filters=4
    route layers=0
    control_channels from=-2
    convolutional filters=16 size=1 activation=linear
    region classes=3 num=2 anchors=1,2,3,4
    """,
    "net inputs=6\nlstm output=4\ngru output=3 batch_normalize=1\nrnn output=4 hidden=3\nsoftmax",
    "net width=8 height=8 channels=3\nmaxpool size=2 stride=2\navgpool",
    MADE,
)
FOREIGN_STARTS = (
    *b"version https://git-lfs|PK\x03\x04|\x80\x02|\x1f\x8b|\x89HDF|\xff\xd8\xff|\x89PNG|RIFF|\xef\xbb\xbf|\x1b[31mred".split(
        b"|"
    ),
    *b'<!DOCTYPE html>|[net]\nwidth=3|{}|[[[[|{"error": 1}|{\'|Not Found'.split(b"|"),
    *(b" " * 60 + b"text", b"\n" * 600, struct.pack("<Q", 8) + b'{"a":{}}', struct.pack("<iiiQ", 0, 2, 5, 2**63)),
    *(struct.pack("<iii", *each) for each in ((0, 1, 0), (0, 2, -1), (-1, 0, 0), (1001, 0, 0), (9999, 9999, 0), (0, 10**6, 0))),
)
# What may stand in the header of a `.safetensors` file, and in its metadata.
ODD_JSON = (0, -1, 2**64, 1.5, None, True, "", "x", [], {}, [1], [0, 4], [0, 0], "F16", "BF16", "I64", "F8_E4M3", "BOOL", "F64")
ODD_METADATA = (
    *"read;all;convolutions;none;;[];{};null;[0,2,5,0,true];[1e400,0,0,0,1];[NaN,0,0,0,1];[Infinity,0,0,0,1]".split(";"),  # noqa: SIM905
    *('"01234"', "[0,2,5,-1,true]", "[0,2,5,1e99,0]", "[[],0,0,0,0]", "[" * 5000, "0" * 5000),
)


def quiet_graph(path: Path, dialect: str) -> Graph | None:
    return examine(Source.read(path), DIALECTS[dialect])[0]


class Weights(Kind):
    """`.weights` and `.safetensors` files, against the right cfg and others."""

    name = "weights"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "fuzz.tree").write_text(TREE)
        self.cfgs: list[Path] = []
        # (number of the cfg, suffix, bytes)
        self.files: list[tuple[int, str, bytes]] = []
        numbers = np.random.default_rng(0)
        for number, text in enumerate(WEIGHTS_CFGS):
            path = folder / f"{number}.cfg"
            path.write_text("\n".join(written(line) for line in text.strip().splitlines()))
            self.cfgs.append(path)
            graph = quiet_graph(path, "alexeyab")
            assert graph is not None
            slots = layout(graph)
            total = slots[-1].end if slots else 0
            values = numbers.random(total, np.float32)
            self.files.append((number, ".weights", Header().pack() + values.tobytes()))
            self.files.append((number, ".weights", Header(0, 1, 0, 7, False).pack() + values.tobytes()))
            target = folder / "base.safetensors"
            everything = layout(graph, "all")
            write_safetensors(target, Header(), "all", ((slot, np.ones(slot.array.shape, np.float32)) for slot in everything))
            self.files.append((number, ".safetensors", target.read_bytes()))
        for path in sorted(REFERENCE.glob("weights/*/*.weights")) if HAS_REFERENCE else ():
            self.cfgs.append(path.with_suffix(".cfg"))
            self.files.append((len(self.cfgs) - 1, ".weights", path.read_bytes()))
        for path in sorted(REFERENCE.glob("weights/*.conv.*")) if HAS_REFERENCE else ():
            self.files.append((chosen_backbone(self.cfgs), ".weights", path.read_bytes()))
        self.graph = cache(quiet_graph)

    def make(self, chance: Random) -> Case:
        own, suffix, good = chance.choice(self.files)
        data = good
        cfg = own if chance.random() < 0.7 else chance.randrange(len(self.cfgs))
        for _ in range(chance.choice((0, 1, 1, 1, 2))):
            data = self.mutate_safetensors(chance, data) if suffix == ".safetensors" else self.mutate(chance, data)
        dialect = chance.choice(("alexeyab", *DIALECTS))
        is_good = data == good and cfg == own and dialect == "alexeyab"
        if not is_good and chance.random() < 0.02:
            suffix = ".weights" if suffix == ".safetensors" else ".safetensors"
        options = {"cfg": cfg, "suffix": suffix, "dialect": dialect, "load": chance.random() < 0.1, "good": is_good}
        return Case(data, options)

    def mutate(self, chance: Random, data: bytes) -> bytes:
        way = chance.randrange(10)
        if way == 0:
            return data[: chance.choice((0, 1, 3, 12, 15, 16, 17, 19, 20, 21, 24, chance.randrange(len(data) + 1)))]
        if way == 1:
            return data[: len(data) - chance.choice((1, 2, 4, 8, 64, 400))]
        if way == 2:
            return data + chance.randbytes(chance.choice((1, 2, 3, 4, 8, 64, 1000)))
        if way == 3:
            return chance.choice(FOREIGN_STARTS) + data[chance.choice((0, 0, 20)) :]
        if way == 4:
            return chance.choice(FOREIGN_STARTS) + b"\n" * chance.choice((0, 1, 600))
        if way == 5:
            header = [chance.choice((0, 1, 2, 5, 999, 1000, 1001, 9999, 10**4, -1, 2**31 - 1)) for _ in range(3)]
            return struct.pack("<iii", *header) + data[12:]
        if way == 6 and len(data) > 24:
            value = chance.choice((float("nan"), float("inf"), -1.0, 0.0, 1e38))
            count = chance.choice((1, 8, 64))
            place = 20 + 4 * chance.randrange((len(data) - 20) // 4)
            return data[:place] + struct.pack("<f", value) * count + data[place + 4 * count :]
        if way == 7:
            return data[:20] + mutate_bytes(chance, data[20:])
        if way == 8:
            return mutate_bytes(chance, data[:20]) + data[20:]
        return mutate_bytes(chance, data)

    def mutate_safetensors(self, chance: Random, data: bytes) -> bytes:
        """Through the header, which is JSON behind its length."""
        length = int.from_bytes(data[:8], "little")
        if chance.random() < 0.3 or 8 + length > len(data):
            return mutate_bytes(chance, data)
        try:
            header = json.loads(data[8 : 8 + length])
        except ValueError:
            return mutate_bytes(chance, data)
        metadata = header.setdefault("__metadata__", {})
        key = chance.choice([*header])
        way = chance.randrange(6)
        if way == 0 and isinstance(metadata, dict):
            metadata[chance.choice(("extent", "darknet_header", "darknet_header", "format"))] = chance.choice(ODD_METADATA)
        elif way == 1:
            header[key] = chance.choice(ODD_JSON)
        elif way == 2:
            del header[key]
        elif way == 3:
            header[key + chance.choice(("x", "", "\n", "é", "\x1b[31m"))] = header.pop(key)
        elif isinstance(header[key], dict) and header[key]:
            header[key][chance.choice([*header[key]])] = chance.choice(ODD_JSON)
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + data[8 + length :]

    def check(self, case: Case, watch: Watch) -> None:
        path = self.folder / f"case{case.options['suffix']}"
        path.write_bytes(case.data)
        cfg, dialect = self.cfgs[case.options["cfg"]], case.options["dialect"]
        graph = self.graph(cfg, dialect)
        if graph is None:
            graph = self.graph(cfg, "alexeyab")
        assert graph is not None
        try:
            if case.options["suffix"] == ".weights":
                with watch.step("weights"):
                    file = open_weights(path, graph.dialect)
                    found = fit(file, graph)
                    arrays = [*read(file, found.slots)]
                used = sum(slot.array.size for slot in found.slots)
                expect(used == len(file.numbers), "a file fits that is not used up", f"{used} of {len(file.numbers)}")
                expect(len(arrays) == len(found.slots), "not all slots are read")
                for slot, values in arrays:
                    expect(values.shape == slot.array.shape, "shape of an array")
            with watch.step("read_any"):
                loaded = read_any(path, graph)
            for values in loaded.arrays.values():
                expect(values.dtype == np.float32, "type of an array", str(values.dtype))
            watch.counts["files that fit"] += 1
        except CspdetError as error:
            check_error(error)
            expect(not case.options["good"], "a good file is refused", str(error))
        if case.options["load"]:
            with watch.step("load"):
                run_command("weights", "info", path, "--cfg", cfg, "--json", "--dialect", graph.dialect.name)
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore", cspdet.CfgWarning)
                        warnings.simplefilter("ignore", cspdet.WeightsWarning)
                        cspdet.load(cfg, path, dialect=graph.dialect)
                except CspdetError as error:
                    check_error(error)


def chosen_backbone(cfgs: Sequence[Path]) -> int:
    """The cfg that the reference's partial file belongs to."""
    return next(number for number, path in enumerate(cfgs) if "Nano" in path.name)
