"""Other files, through the command line."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cspdet.weights.codec import Header, layout
from tests.fuzz.cfgs import written
from tests.fuzz.common import Case, Kind, Random, Watch, run_command
from tests.fuzz.images import silence
from tests.fuzz.text import LINE_MUTATIONS, encode_oddly, mutate_bytes
from tests.fuzz.weights import FOREIGN_STARTS, WEIGHTS_CFGS, quiet_graph

# Words in the headers of array files, and others that may take their place and that of the blanks behind.
ODD_HEADERS = {
    b"'<f4'": b"'>f4';'<f2';'<c8';'|O';'<U9';'|V4';'<M8';'|b1';'<i4';nan",
    b"'<f8'": b"'<i8';'<u8';'<m8';'|S8';'<f9'",
    b"'<i8'": b"'<f8';'<u8';'<U2';'|O'",
    b"(1, 3, 8, 8)": b"(-1,3,8,8);(3,8,8);(1,3,8);(0,3,8,8);(1,3,8,'8');(1.5,2);(999999999,);(99999,99999);None",
    b"(1, 3, 8, 8), }              ": b"(9223372036854775807,16), };(99999999999999999999,), };(((((((",
    b"(5,)": b"(9,);(0,);();(-5);None",
    b"(3,)": b"(2,);(0,);[3];(1,)",
    b"False": b"True;None;0",
    b"\x01\x00v": b"\x02\x00v;\x03\x00v;\x09\x00v;\x01\x00\xff",
}


ODD_ARRAYS = (
    *(
        np.array(each)
        for each in (["a"], [-9], [-999], [9, 9, 9], [0, 1, 2], [np.nan, 1], [1e308, -1e308], [True], [1j], [[]], 1.0)
    ),
    *(np.array([2**64 - 1]), np.array(["2020-01-01"], "M8[D]"), np.full((2, 3), np.inf), np.zeros((0, 4)), np.ones(3, "f2")),
)


# A list of very many files takes long for good reason.
LONGEST_TEXT = 2**15


class Files(Kind):
    """`.names`, `.data` and `.txt` files of `cspdet detect`, `.npy` files of `trace`, `.npz` files of `compare`."""

    name = "files"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.cfg, self.weights = folder / "tiny.cfg", folder / "tiny.weights"
        self.cfg.write_text("\n".join(written(line) for line in WEIGHTS_CFGS[0].strip().splitlines()))
        graph = quiet_graph(self.cfg, "alexeyab")
        assert graph is not None
        values = np.random.default_rng(0).random(layout(graph)[-1].end, np.float32)
        self.weights.write_bytes(Header().pack() + values.tobytes())
        cv2.imwrite(str(folder / "a.png"), np.zeros((8, 8, 3), np.uint8))
        (folder / "good.names").write_text("cat\ndog\n")
        array = np.random.default_rng(0).random((1, 3, 8, 8), np.float32)
        self.arrays = [
            saved(np.save, each) for each in (array, array[0], array.astype(np.int8), array.astype("f8"), array[0, 0, 0])
        ]
        traces = {"l0": array, "l1": array[0], "l2": np.arange(5), "s0.l3": array}
        samples = {"l0_idx": np.arange(3), "l0_val": np.arange(3.0), "l1": array}
        self.first, self.second = folder / "first.npz", folder / "second.npz"
        self.first.write_bytes(saved(np.savez, **traces))
        self.archives = [saved(each, **some) for each in (np.savez, np.savez_compressed) for some in (traces, samples)]
        texts = {
            "names": ("cat\ndog\n", "cat\r\ndog\r\n\r\n", "a\nb\nc\n"),
            "data": ("classes=2\nnames = good.names\nbackup=x\n", "names=good.names", "# x\ntrain=a\nnames=./good.names\n"),
            "txt": ("a.png\n", "a.png\na.png\n", "a.png\nmissing.png\n", "\n\na.png"),
        }
        self.texts = [(suffix, text) for suffix, some in texts.items() for text in some]

    def make(self, chance: Random) -> Case:
        way = chance.random()
        if way < 0.5:
            suffix, text = chance.choice(self.texts)
            lines = text.split("\n")
            for _ in range(chance.choice((0, 1, 1, 2))):
                chance.choice(LINE_MUTATIONS)(chance, lines)
            data = encode_oddly(chance, "\n".join(lines))
            if chance.random() < 0.3:
                data = mutate_bytes(chance, data)
            data = data[:LONGEST_TEXT]
        else:
            suffix = "npy" if way < 0.75 else "npz"
            data = chance.choice(self.arrays if suffix == "npy" else self.archives)
            if suffix == "npz" and chance.random() < 0.5:
                data = self.some_archive(chance)
            elif chance.random() < 0.1:
                data = chance.choice(FOREIGN_STARTS) + data
            elif chance.random() < 0.4:
                data = self.mutate_array(chance, data)
            else:
                data = mutate_bytes(chance, data)
        return Case(data, {"suffix": suffix, "json": chance.random() < 0.5})

    def some_archive(self, chance: Random) -> bytes:
        """Odd arrays under the names that are looked for; the checksums are right."""
        target = io.BytesIO()
        names = [name for name in ("l0", "l1", "l2", "s0.l3", "l0_idx", "l0_val", "l1_idx", "x") if chance.random() < 0.5]
        with zipfile.ZipFile(target, "w") as archive:
            for name in names:
                data = saved(np.save, chance.choice(ODD_ARRAYS)) if chance.random() < 0.7 else chance.choice(self.arrays)
                archive.writestr(f"{name}.npy", self.mutate_array(chance, data) if chance.random() < 0.2 else data)
        return target.getvalue()

    def mutate_array(self, chance: Random, data: bytes) -> bytes:
        """Through the headers of the arrays, kept at their length."""
        there = [word for word in ODD_HEADERS if word in data]
        if not there:
            return mutate_bytes(chance, data)
        word = chance.choice(there)
        return data.replace(word, chance.choice(ODD_HEADERS[word].split(b";")).ljust(len(word)))

    def check(self, case: Case, watch: Watch) -> None:
        suffix = case.options["suffix"]
        path = self.folder / f"case.{suffix}"
        path.write_bytes(case.data)
        if suffix == "npz":
            step, words = "compare", ["compare", self.first, path, "--all"]
        elif suffix == "npy":
            step, words = "trace", ["trace", self.cfg, self.weights, "--input", path, "--out", self.folder / "out.npz"]
        else:
            step = f"detect .{suffix}"
            words = ["detect", self.cfg, self.weights, path]
            words += [self.folder / "a.png"] if suffix != "txt" else ["--names", self.folder / "good.names"]
            words += ["--no-save", "--thresh", "0.01"]
            found = self.folder / "found.json"
            words += ["--out", found] if case.options["json"] else []
        with silence(), watch.step(step):
            code, *_ = run_command(*words)
        watch.counts[f"{step}: {code}"] += 1
        if step.startswith("detect") and case.options["json"] and code == 0:
            json.loads(found.read_text("utf-8"))


def saved(save: Callable[..., None], *arrays: Any, **named: Any) -> bytes:
    """The bytes of an array file."""
    target = io.BytesIO()
    save(target, *arrays, **named)
    return target.getvalue()
