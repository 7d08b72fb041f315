"""`.safetensors` files: there and back again, and what is wrong with one."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

import cspdet
from cspdet.cfg.dialect import DIALECTS, Dialect
from cspdet.cfg.source import Source
from cspdet.errors import UsageError, WeightsError
from cspdet.graph import Graph
from cspdet.rules import load as load_graph
from cspdet.weights.codec import Header
from cspdet.weights.reader import read_any
from cspdet.weights.tensors import read_safetensors
from tests.conftest import reference_files

Run = Callable[..., tuple[int, str, str]]
Tensors = dict[str, np.ndarray]

NET = "[net]\nwidth=4\nheight=4\nchannels=3\n"
CONV = "[convolutional]\nfilters=2\nsize=3\npad=1\nbatch_normalize=1\nactivation=linear\n"
CONNECTED = "[connected]\noutput=5\nactivation=linear\n"
# Of the convolution: biases, scales, means, variances and weights; of the matrix of 2 x 4 x 4 inputs: biases and weights.
CONV_NUMBERS, CONNECTED_NUMBERS = 4 * 2 + 2 * 27, 5 + 5 * 32
SHAPES = {
    "layers.0.norm.bias": (2,),
    "layers.0.norm.weight": (2,),
    "layers.0.norm.running_mean": (2,),
    "layers.0.norm.running_var": (2,),
    "layers.0.conv.weight": (2, 3, 3, 3),
    "layers.1.linear.bias": (5,),
    "layers.1.linear.weight": (5, 32),
}


def file_of(count: int, header: bytes = struct.pack("<iiiQ", 0, 2, 5, 77)) -> bytes:
    """A `.weights` file whose numbers count up."""
    return header + np.arange(1, count + 1, dtype="<f4").tobytes()


@pytest.fixture
def graph() -> Graph:
    return load_graph(Source("made.cfg", NET + CONV + CONNECTED))[0]


@pytest.fixture
def tensors() -> Tensors:
    """Arrays that fit the graph."""
    return {key: np.full(shape, number, np.float32) for number, (key, shape) in enumerate(SHAPES.items(), 1)}


def damage(tensors: Tensors, path: Path, graph: Graph, metadata: dict[str, str] | None = None) -> str:
    """The message about a file of these arrays; it names the file and has a cure."""
    save_file(tensors, str(path), metadata)
    with pytest.raises(WeightsError) as caught:
        read_safetensors(path, graph)
    assert caught.value.message.startswith(f"`{path}` ")
    assert caught.value.help
    return caught.value.message.removeprefix(f"`{path}` ")


# -- there and back ---------------------------------------------------------------------------------------------------

ROUND_TRIPS: dict[str, tuple[str, str, bytes]] = {
    "plain": (CONV + CONNECTED, "alexeyab", file_of(CONV_NUMBERS + CONNECTED_NUMBERS)),
    "short header": (
        CONV + CONNECTED,
        "alexeyab",
        file_of(CONV_NUMBERS + CONNECTED_NUMBERS, struct.pack("<iiiI", 0, 1, 9, 2**32 - 1)),
    ),
    "many images": (
        CONV + CONNECTED,
        "alexeyab",
        file_of(CONV_NUMBERS + CONNECTED_NUMBERS, struct.pack("<iiiQ", 0, 2, 0, 2**64 - 1)),
    ),
    "transposed": (
        CONV + CONNECTED,
        "alexeyab",
        file_of(CONV_NUMBERS + CONNECTED_NUMBERS, struct.pack("<iiiQ", 0, 1001, 0, 5)),
    ),
    "transposed, pjreddie": (
        CONV + CONNECTED,
        "pjreddie",
        file_of(CONV_NUMBERS + CONNECTED_NUMBERS, struct.pack("<iiiI", 0, 1001, 0, 5)),
    ),
    "flipped": (CONV + "flipped=1\n" + CONNECTED, "alexeyab", file_of(CONV_NUMBERS + CONNECTED_NUMBERS)),
    "dontload": (CONV + "dontload=1\n" + CONNECTED, "alexeyab", file_of(CONNECTED_NUMBERS)),
    "dontloadscales": (CONV + "dontloadscales=1\n" + CONNECTED, "alexeyab", file_of(CONV_NUMBERS - 6 + CONNECTED_NUMBERS)),
    "convolutions only": (
        CONV + "[implicit_add]\nfilters=2\n[route]\nlayers=0\n[shift_channels]\nfrom=1\n",
        "pytorch",
        file_of(CONV_NUMBERS),
    ),
    "no weights": ("[maxpool]\nsize=2\nstride=2\n", "alexeyab", file_of(0)),
}


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_there_and_back_gives_the_same_bytes(name: str, run: Run, tmp_path: Path) -> None:
    sections, dialect, data = ROUND_TRIPS[name]
    cfg, weights, tensors, again = (tmp_path / each for each in ("a.cfg", "a.weights", "a.safetensors", "b.weights"))
    cfg.write_text(NET + sections)
    weights.write_bytes(data)
    assert run("weights", "convert", cfg, weights, tensors, "--dialect", dialect)[0] == 0
    assert run("weights", "convert", cfg, tensors, again, "--dialect", dialect)[0] == 0
    assert again.read_bytes() == data
    graph = load_graph(Source.read(cfg), DIALECTS[dialect])[0]
    first, second = read_any(weights, graph), read_any(tensors, graph)
    assert first.arrays.keys() == second.arrays.keys()
    assert (first.header, first.extent) == (second.header, second.extent)
    for key, values in first.arrays.items():
        np.testing.assert_array_equal(values, second.arrays[key])


def test_keys_and_shapes_are_those_of_the_network(run: Run, tmp_path: Path) -> None:
    cfg, weights, path = (tmp_path / each for each in ("a.cfg", "a.weights", "a.safetensors"))
    cfg.write_text(NET + CONV + CONNECTED)
    data = file_of(CONV_NUMBERS + CONNECTED_NUMBERS)
    weights.write_bytes(data)
    assert run("weights", "convert", cfg, weights, path)[0] == 0
    with safe_open(str(path), "np") as file:
        found = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no dictionary
        metadata = file.metadata()
    assert {key: values.shape for key, values in found.items()} == SHAPES
    assert np.concatenate([found[key].ravel() for key in SHAPES]).tobytes() == data[20:]
    assert metadata["cfg"] == "a.cfg"
    assert json.loads(metadata["darknet_header"])[:4] == [0, 2, 5, 77]
    # Whoever has torch can use it without us.
    torch.nn.ModuleDict({"layers": cspdet.load(cfg).network.layers}).load_state_dict(
        {key: torch.from_numpy(values) for key, values in found.items()}, strict=False
    )


def test_both_forms_give_the_same_network(run: Run, tmp_path: Path) -> None:
    cfg, weights, path = (tmp_path / each for each in ("a.cfg", "a.weights", "a.safetensors"))
    cfg.write_text(NET + CONV + "flipped=1\n" + CONNECTED)
    weights.write_bytes(file_of(CONV_NUMBERS + CONNECTED_NUMBERS))
    assert run("weights", "convert", cfg, weights, path)[0] == 0
    first, second = (cspdet.load(cfg, each).network for each in (weights, path))
    assert all(torch.equal(value, second.state_dict()[key]) for key, value in first.state_dict().items())
    x = torch.rand(2, 3, 4, 4)
    assert torch.equal(first(x)[0], second(x)[0])


def test_a_file_from_elsewhere_needs_no_metadata(graph: Graph, tensors: Tensors, tmp_path: Path) -> None:
    save_file(tensors, str(tmp_path / "a.safetensors"))
    arrays, header, extent = read_safetensors(tmp_path / "a.safetensors", graph)
    assert {key: values.flat[0] for key, values in arrays.items()} == {key: n for n, key in enumerate(SHAPES, 1)}
    assert header == Header()
    assert extent == "all"


def test_a_network_that_skips_a_layer_can_be_given_it(tmp_path: Path, tensors: Tensors) -> None:
    """Names, unlike an order, leave no doubt: with all arrays there, `dontload` has nothing to skip."""
    cfg = tmp_path / "a.cfg"
    cfg.write_text(NET + CONV + "dontload=1\n" + CONNECTED)
    save_file(tensors, str(tmp_path / "a.safetensors"))
    state = cspdet.load(cfg, tmp_path / "a.safetensors").network.state_dict()
    assert (state["layers.0.conv.weight"] == 5).all()


def test_writing_leaves_nothing_half_done(run: Run, tmp_path: Path) -> None:
    cfg, weights, path = (tmp_path / each for each in ("a.cfg", "a.weights", "a.safetensors"))
    cfg.write_text(NET + CONV + CONNECTED)
    weights.write_bytes(file_of(CONV_NUMBERS))
    path.write_bytes(b"as it was")
    code, _, err = run("weights", "convert", cfg, weights, path)
    assert code == 2
    assert "ends before layer 1" in err
    assert path.read_bytes() == b"as it was"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.cfg", "a.safetensors", "a.weights"]


@pytest.mark.reference
@pytest.mark.parametrize("weights", reference_files("weights/*/*.weights"), ids=lambda path: path.stem)
def test_real_weights_there_and_back(weights: Path, run: Run, tmp_path: Path) -> None:
    cfg = weights.with_suffix(".cfg")
    assert run("weights", "convert", cfg, weights, tmp_path / "a.safetensors")[0] == 0
    assert run("weights", "convert", cfg, tmp_path / "a.safetensors", tmp_path / "b.weights")[0] == 0
    assert (tmp_path / "b.weights").read_bytes() == weights.read_bytes()


# -- what is wrong with a file ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", SHAPES)
def test_a_missing_array(graph: Graph, tensors: Tensors, tmp_path: Path, key: str) -> None:
    del tensors[key]
    message = damage(tensors, tmp_path / "a.safetensors", graph)
    assert message == f"does not fit `made.cfg`: it has no `{key}`"


@pytest.mark.parametrize("key", ["layers.2.conv.weight", "layers.0.conv.bias", "model.0.conv.weight", "x"])
def test_a_foreign_array(graph: Graph, tensors: Tensors, tmp_path: Path, key: str) -> None:
    tensors[key] = np.zeros(2, np.float32)
    message = damage(tensors, tmp_path / "a.safetensors", graph)
    assert message == f"does not fit `made.cfg`: nothing in the cfg is `{key}`"


@pytest.mark.parametrize("shape", [(2, 3, 9), (2, 3, 3), (3, 2, 3, 3), (54,), (0,), ()])
def test_another_shape(graph: Graph, tensors: Tensors, tmp_path: Path, shape: tuple[int, ...]) -> None:
    tensors["layers.0.conv.weight"] = np.zeros(shape, np.float32)
    message = damage(tensors, tmp_path / "a.safetensors", graph)
    assert f"`layers.0.conv.weight` is {shape} of F32, not (2, 3, 3, 3) of F32" in message


@pytest.mark.parametrize(
    ("kind", "size"), [("F64", 8), ("F16", 2), ("BF16", 2), ("F8_E4M3", 1), ("F8_E5M2", 1), ("I32", 4), ("U8", 1), ("BOOL", 1)]
)
def test_another_kind_of_number(graph: Graph, tmp_path: Path, kind: str, size: int) -> None:
    """Also kinds that numpy does not know."""
    arrays: dict[str, Any] = {}
    end = 0
    for key, shape in SHAPES.items():
        own, bytes_each = (kind, size) if key == "layers.0.conv.weight" else ("F32", 4)
        start, end = end, end + bytes_each * prod(shape)
        arrays[key] = {"dtype": own, "shape": shape, "data_offsets": [start, end]}
    head = json.dumps(arrays).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(head)) + head + bytes(end))
    with pytest.raises(WeightsError) as caught:
        read_safetensors(path, graph)
    said = f"`layers.0.conv.weight` is (2, 3, 3, 3) of {kind}, not (2, 3, 3, 3) of F32"
    assert caught.value.message == f"`{path}` does not fit `made.cfg`: {said}"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        "null",
        "5",
        "{}",
        "[]",
        "[0, 2, 5, 0]",
        "[0, 2, 5, 0, true, 1]",
        "[0, 2, 5, -1, true]",
        "[0, 2, 5, NaN, true]",
        "[0, 2, 5, 18446744073709551616, true]",
        "[0, 1, 5, 4294967296, false]",
        "[4294967296, 2, 5, 0, true]",
        "[0, 2, 5, Infinity, true]",
        # A version that no weights file has, or that contradicts the width.
        "[20000, 0, 0, 0, true]",
        "[-1, 2, 5, 0, true]",
        "[0, 2, 5, 0, false]",
        "[0, 1, 5, 0, true]",
        "[" * 100_000,
        '["x", 2, 5, 0, true]',
        "[null, 2, 5, 0, true]",
        f"[{'9' * 5000}, 2, 5, 0, true]",
    ],
)
def test_a_damaged_header(graph: Graph, tensors: Tensors, tmp_path: Path, header: str) -> None:
    message = damage(tensors, tmp_path / "a.safetensors", graph, {"darknet_header": header})
    assert message.startswith(f"has a damaged header: `{header[:40]}")
    assert len(message) < 100


def test_an_unknown_extent(graph: Graph, tensors: Tensors, tmp_path: Path) -> None:
    save_file(tensors, str(tmp_path / "a.safetensors"), {"extent": "some"})
    with pytest.raises(WeightsError, match="has a form that cspdet does not know: `some`"):
        read_safetensors(tmp_path / "a.safetensors", graph)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "3 bytes": lambda data: data[:3],
    "length alone": lambda data: data[:8],
    "head cut": lambda data: data[:60],
    "end cut": lambda data: data[:-1],
    "more": lambda data: data + b"x",
    "endless head": lambda data: b"\xff" * 8 + data[8:],
    "no JSON": lambda data: data[:20] + b"\0" + data[21:],
    "a list": lambda data: struct.pack("<Q", 2) + b"[]" + data[:0],
    "weights": lambda data: file_of(len(data)),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file(graph: Graph, tensors: Tensors, tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.safetensors"
    save_file(tensors, str(path))
    path.write_bytes(DAMAGES[name](path.read_bytes()))
    with pytest.raises(WeightsError) as caught:
        read_any(path, graph)
    assert caught.value.message.startswith(f"`{path}` is not a whole safetensors file: ")
    assert "\n" not in caught.value.message
    assert "fetch or convert it again" in caught.value.help


def test_a_file_that_claims_to_be_larger_than_memory(graph: Graph, tmp_path: Path) -> None:
    head = json.dumps({"layers.0.conv.weight": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(head)) + head + bytes(100))
    with pytest.raises(WeightsError, match="is not a whole safetensors file"):
        read_any(path, graph)


# Content, a word of what it is said to be, and one of the cure.
FOREIGN: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", "is empty", "fetch it again"),
    "web page": (b"<!DOCTYPE html><html>log in</html>", "is not a safetensors file: it is a web page", "browser"),
    "git-lfs": (b"version https://git-lfs.github.com/spec/v1\n", "is not a safetensors file: it is a git-lfs", "git lfs pull"),
    "zip": (b"PK\3\4" + bytes(99), "is not a safetensors file: it is a zip archive", "does not open it"),
    "JSON": (b'{"message": "Not Found"}', "is not a safetensors file: it is JSON", "server"),
    "cfg": ((NET + CONV).encode(), "is not a safetensors file: it is cfg text", "the order is"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_file_is_named(graph: Graph, tmp_path: Path, name: str) -> None:
    content, said, cure = FOREIGN[name]
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        read_any(path, graph)
    assert caught.value.message.startswith(f"`{path}` {said}")
    assert cure in caught.value.help


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_what_is_no_ordinary_file(graph: Graph, tmp_path: Path) -> None:
    """A pipe is not opened: nobody may be writing into it."""
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(UsageError, match="is a directory, not a weights file"):
        read_any(tmp_path / "folder.safetensors", graph)
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(UsageError, match="is no ordinary file"):
        read_any(tmp_path / "pipe.safetensors", graph)


def test_a_missing_file(graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "none.safetensors"
    with pytest.raises(UsageError) as caught:
        read_any(path, graph)
    assert caught.value.message == f"no such file: `{path}`"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("dialect", [DIALECTS["alexeyab"], DIALECTS["pjreddie"]], ids=lambda dialect: dialect.name)
def test_names_leave_no_doubt_about_the_order_of_gates(dialect: Dialect, tmp_path: Path, run: Run) -> None:
    """A file of one dialect, converted, gives the other the same gates."""
    cfg, weights, path = (tmp_path / each for each in ("a.cfg", "a.weights", "a.safetensors"))
    cfg.write_text(NET + "[lstm]\noutput=2\n")
    weights.write_bytes(file_of(4 * (2 + 4) + 4 * (2 + 2 * 48)))
    assert run("weights", "convert", cfg, weights, path, "--dialect", dialect.name)[0] == 0
    own = read_any(weights, load_graph(Source.read(cfg), dialect)[0]).arrays
    other = next(each for each in DIALECTS.values() if each.pjreddie_gates != dialect.pjreddie_gates)
    found = read_any(path, load_graph(Source.read(cfg), other)[0]).arrays
    assert own.keys() == found.keys()
    assert all(np.array_equal(values, found[key]) for key, values in own.items())
