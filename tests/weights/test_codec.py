"""The `.weights` stream: its header, the order of its arrays, and that reading copies nothing.

The orders below are written down from Darknet's `load_weights_upto` and `load_…_weights`, layer type by layer type.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import cspdet
from cspdet.cfg.dialect import ALEXEYAB, DIALECTS, PJREDDIE, Dialect
from cspdet.cfg.source import Source
from cspdet.detector import Detector
from cspdet.errors import WeightsError
from cspdet.graph import Graph
from cspdet.network import Network
from cspdet.rules import load as load_graph
from cspdet.weights.codec import Floats, Header, Slot, layout, open_weights, read, write
from cspdet.weights.reader import read_any
from tests.conftest import REFERENCE, reference_files

NET = "[net]\nwidth=4\nheight=4\nchannels=3\n"
INPUTS = 4 * 4 * 3
HEADER = struct.pack("<iiiQ", 0, 2, 5, 1234)

# -- the header -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("major", "minor", "dialect", "wide", "transposed"),
    [
        (0, 0, "alexeyab", False, False),
        (0, 1, "alexeyab", False, False),
        (0, 2, "alexeyab", True, False),
        (0, 1, "pjreddie", False, False),
        (0, 2, "pjreddie", True, False),
        (0, 3, "hank-ai", True, False),
        (1, 0, "pytorch", True, False),
        (0, 999, "pjreddie", True, False),
        (0, 1000, "alexeyab", True, False),
        (0, 1000, "pjreddie", False, False),
        (1000, 0, "pjreddie", False, False),
        (0, 1001, "alexeyab", True, True),
        (0, 1001, "pjreddie", False, True),
        (1001, 0, "alexeyab", True, True),
        (1001, 1001, "pjreddie", False, True),
    ],
)
def test_the_version_says_how_long_the_header_is(major: int, minor: int, dialect: str, wide: bool, transposed: bool) -> None:
    seen = 2**40 + 3 if wide else 2**32 - 1
    data = struct.pack("<iii", major, minor, 7) + seen.to_bytes(8 if wide else 4, "little")
    header = Header.unpack(data + b"\1" * 40, DIALECTS[dialect])
    assert header == (major, minor, 7, seen, wide)
    assert header.size == len(data) == (20 if wide else 16)
    assert header.transposed is transposed
    assert header.pack() == data


@settings(deadline=None, max_examples=200)
@given(
    st.integers(0, 9999),
    st.integers(0, 9999),
    st.integers(0, 2**31 - 1),
    st.integers(0, 2**64 - 1),
    st.sampled_from(sorted(DIALECTS)),
)
def test_any_header_survives(major: int, minor: int, revision: int, seen: int, dialect: str) -> None:
    wide = major * 10 + minor >= 2 and not (dialect == "pjreddie" and max(major, minor) >= 1000)
    seen = seen if wide else seen % 2**32
    data = struct.pack("<iii", major, minor, revision) + seen.to_bytes(8 if wide else 4, "little")
    header = Header.unpack(data, DIALECTS[dialect])
    assert (header.major, header.minor, header.revision, header.seen) == (major, minor, revision, seen)
    assert header.pack() == data


@pytest.mark.parametrize(
    ("data", "fact"),
    [
        (b"", "only 0 bytes"),
        (b"\0" * 15, "only 15 bytes"),
        (struct.pack("<iii", 0, 2, 5) + b"\0" * 7, "only 19 bytes"),
        (struct.pack("<iiiQ", -1, 2, 5, 0), "version -1.2.5"),
        (struct.pack("<iiiQ", 0, 2, -5, 0), "version 0.2.-5"),
        (struct.pack("<iiiQ", 0, 10_000, 5, 0), "version 0.10000.5"),
        (struct.pack("<iiiQ", 2**31 - 1, 0, 0, 0), "version 2147483647.0.0"),
    ],
)
def test_what_is_no_header(data: bytes, fact: str) -> None:
    with pytest.raises(WeightsError) as caught:
        Header.unpack(data)
    assert fact in caught.value.message


@settings(deadline=None, max_examples=100)
@given(st.sampled_from([(0, 1), (0, 2), (0, 3), (0, 1001)]), st.integers(0, 2**31 - 1), st.binary(max_size=64))
def test_no_weights_file_is_taken_for_something_else(version: tuple[int, int], revision: int, rest: bytes) -> None:
    """Whatever stands behind a version that Darknet writes, it is weights."""
    from cspdet.weights.foreign import recognise

    data = struct.pack("<iii", *version, revision) + bytes(8) + rest
    assert recognise(data, len(data)) is None
    assert Header.unpack(data)[:3] == (*version, revision)


# -- the order of the arrays ------------------------------------------------------------------------------------------


class Stored(NamedTuple):
    """One array: its key without `layers.`, its shape in the network, and whether the file holds the matrix transposed."""

    key: str
    shape: tuple[int, ...]
    turned: bool = False


class Case(NamedTuple):
    """A network, and what a file for it holds, in order."""

    sections: str
    arrays: tuple[Stored, ...]
    dialect: Dialect = ALEXEYAB
    version: tuple[int, int] = (0, 2)


def statistics(prefix: str, count: int) -> tuple[Stored, ...]:
    """What stands behind the biases of a normalised layer."""
    return tuple(Stored(f"{prefix}norm.{name}", (count,)) for name in ("weight", "running_mean", "running_var"))


def convolution(prefix: str, shape: tuple[int, ...], *, normalized: bool = False, turned: bool = False) -> tuple[Stored, ...]:
    """biases, [scales, means, variances,] weights."""
    weights = Stored(f"{prefix}conv.weight", shape, turned)
    if not normalized:
        return Stored(f"{prefix}conv.bias", shape[:1]), weights
    return Stored(f"{prefix}norm.bias", shape[:1]), *statistics(prefix, shape[0]), weights


def matrix(prefix: str, outputs: int, inputs: int, *, normalized: bool = False, turned: bool = False) -> tuple[Stored, ...]:
    """biases, weights[, scales, means, variances]."""
    weights = Stored(f"{prefix}linear.weight", (outputs, inputs), turned)
    if not normalized:
        return Stored(f"{prefix}linear.bias", (outputs,)), weights
    return Stored(f"{prefix}norm.bias", (outputs,)), weights, *statistics(prefix, outputs)


def matrices(names: str, output: int, inputs: dict[str, int], *, normalized: bool = False) -> tuple[Stored, ...]:
    """Those of a recurrent layer, in the order of the names; the name's first part says what a matrix reads."""
    return tuple(
        each
        for name in names.split()
        for each in matrix(f"0.{name}.", output, inputs[name.rstrip("zrhifgo").rstrip("_")], normalized=normalized)
    )


CONV = "[convolutional]\nfilters=2\nsize=3\npad=1\nactivation=linear\n"
CONV3 = CONV.replace("filters=2", "filters=3")
NORMAL = "batch_normalize=1\n"
WEIGHTED = "[shortcut]\nfrom={}\nactivation=linear\nweights_type={}\nweights_normalization=softmax\n"
LSTM_READS = {"w": 2, "u": INPUTS}
GRU_READS = {"state": 2, "input": INPUTS}

CASES: dict[str, Case] = {
    "convolution": Case(CONV, convolution("0.", (2, 3, 3, 3))),
    "convolution, normalised": Case(CONV + NORMAL, convolution("0.", (2, 3, 3, 3), normalized=True)),
    "convolution, cbn": Case(CONV + "cbn=1\n", convolution("0.", (2, 3, 3, 3), normalized=True)),
    "convolution, groups": Case(CONV.replace("filters=2", "filters=6") + "groups=3\n", convolution("0.", (6, 1, 3, 3))),
    "convolution, xnor ignores groups": Case(
        CONV3 + "groups=3\nxnor=1\n",
        convolution("0.", (3, 3, 3, 3)),
    ),
    "convolution, blurred": Case(CONV + "stride=2\nantialiasing=1\n", convolution("0.", (2, 3, 3, 3))),
    "convolution, flipped": Case(CONV + "flipped=1\n", convolution("0.", (2, 3, 3, 3), turned=True)),
    "convolution, flipped and normalised": Case(
        CONV + NORMAL + "flipped=1\n", convolution("0.", (2, 3, 3, 3), normalized=True, turned=True)
    ),
    "convolution, transposed header": Case(CONV, convolution("0.", (2, 3, 3, 3)), version=(0, 1001)),
    "convolution, flipped in a transposed file": Case(
        CONV + "flipped=1\n", convolution("0.", (2, 3, 3, 3), turned=True), version=(0, 1001)
    ),
    "convolution, two sides": Case(CONV + "size_x=1\n", convolution("0.", (2, 3, 3, 1))),
    "convolution, two sides, flipped": Case(
        CONV.replace("size=3", "size=1") + NORMAL + "size_x=4\nflipped=1\n",
        convolution("0.", (2, 3, 1, 4), normalized=True, turned=True),
    ),
    "dontload": Case(CONV + "dontload=1\n" + CONV3, convolution("1.", (3, 2, 3, 3))),
    "dontload last": Case(CONV + CONV3 + "dontload=1\n", convolution("0.", (2, 3, 3, 3))),
    "dontloadscales, convolution": Case(
        CONV + NORMAL + "dontloadscales=1\n" + CONV3,
        (Stored("0.norm.bias", (2,)), Stored("0.conv.weight", (2, 3, 3, 3)), *convolution("1.", (3, 2, 3, 3))),
    ),
    "dontloadscales, connected": Case(
        "[connected]\noutput=2\nbatch_normalize=1\nactivation=linear\ndontloadscales=1\n",
        (Stored("0.norm.bias", (2,)), Stored("0.linear.weight", (2, INPUTS))),
    ),
    "dontloadscales means no batchnorm layer": Case(
        "[batchnorm]\ndontloadscales=1\n", (Stored("0.norm.bias", (3,)), *statistics("0.", 3))
    ),
    "share_index": Case(
        CONV3 + NORMAL + CONV3 + NORMAL + "share_index=0\n" + CONV,
        (*convolution("0.", (3, 3, 3, 3), normalized=True), *convolution("2.", (2, 3, 3, 3))),
    ),
    "connected": Case("[connected]\noutput=2\nactivation=linear\n", matrix("0.", 2, INPUTS)),
    "connected, normalised": Case(
        "[connected]\noutput=2\nbatch_normalize=1\nactivation=linear\n", matrix("0.", 2, INPUTS, normalized=True)
    ),
    "connected, transposed by minor": Case(
        "[connected]\noutput=2\nactivation=linear\n", matrix("0.", 2, INPUTS, turned=True), version=(0, 1001)
    ),
    "connected, transposed by major": Case(
        "[connected]\noutput=2\nbatch_normalize=1\nactivation=linear\n",
        matrix("0.", 2, INPUTS, normalized=True, turned=True),
        version=(1001, 0),
    ),
    "connected, transposed, pjreddie": Case(
        "[connected]\noutput=2\nactivation=linear\n", matrix("0.", 2, INPUTS, turned=True), PJREDDIE, (0, 1001)
    ),
    "connected, version 1000": Case("[connected]\noutput=2\nactivation=linear\n", matrix("0.", 2, INPUTS), version=(0, 1000)),
    "batchnorm": Case("[batchnorm]\n", (Stored("0.norm.bias", (3,)), *statistics("0.", 3))),
    "local": Case(
        "[local]\nfilters=2\nsize=3\nstride=1\npad=0\nactivation=linear\n",
        (Stored("0.bias", (2, 2, 2)), Stored("0.weight", (4, 2, 3, 3, 3))),
    ),
    "shortcut, unweighted": Case(
        CONV3 + CONV3 + "[shortcut]\nfrom=-2\nactivation=linear\n" + CONV,
        (*convolution("0.", (3, 3, 3, 3)), *convolution("1.", (3, 3, 3, 3)), *convolution("3.", (2, 3, 3, 3))),
    ),
    "shortcut, per feature": Case(
        CONV3 + CONV3 + WEIGHTED.format("-2", "per_feature"),
        (*convolution("0.", (3, 3, 3, 3)), *convolution("1.", (3, 3, 3, 3)), Stored("2.weight", (2,))),
    ),
    "shortcut, per layer, of three": Case(
        3 * "[activation]\nactivation=relu\n" + WEIGHTED.format("-2,-3", "per_layer"), (Stored("3.weight", (3,)),)
    ),
    "shortcut, per channel": Case(
        2 * "[activation]\nactivation=relu\n" + WEIGHTED.format("-2", "per_channel"), (Stored("2.weight", (2, 3)),)
    ),
    "implicit": Case("[implicit]\nfilters=5\natoms=2\n", (Stored("0.weight", (5, 2, 1)),)),
    "rnn": Case(
        "[rnn]\nhidden=5\noutput=2\nactivation=linear\n",
        (*matrix("0.input.", 5, INPUTS), *matrix("0.self.", 5, 5), *matrix("0.output.", 2, 5)),
    ),
    "rnn, normalised, transposed": Case(
        "[rnn]\nhidden=5\noutput=2\nactivation=linear\nbatch_normalize=1\n",
        (
            *matrix("0.input.", 5, INPUTS, normalized=True, turned=True),
            *matrix("0.self.", 5, 5, normalized=True, turned=True),
            *matrix("0.output.", 2, 5, normalized=True, turned=True),
        ),
        version=(0, 1001),
    ),
    "crnn": Case(
        "[crnn]\nhidden=5\noutput=2\nsize=3\npad=1\nactivation=linear\nbatch_normalize=1\n",
        (
            *convolution("0.input.", (5, 3, 3, 3), normalized=True),
            *convolution("0.self.", (5, 5, 3, 3), normalized=True),
            *convolution("0.output.", (2, 5, 3, 3), normalized=True),
        ),
    ),
    "gru": Case("[gru]\noutput=2\n", matrices("input_z input_r input_h state_z state_r state_h", 2, GRU_READS)),
    "gru, pjreddie": Case(
        "[gru]\noutput=2\nbatch_normalize=1\n",
        matrices("state_z state_r state_h input_z input_r input_h", 2, GRU_READS, normalized=True),
        PJREDDIE,
    ),
    "lstm": Case("[lstm]\noutput=2\n", matrices("wf wi wg wo uf ui ug uo", 2, LSTM_READS)),
    "lstm, pjreddie": Case("[lstm]\noutput=2\n", matrices("wi wf wo wg ui uf uo ug", 2, LSTM_READS), PJREDDIE),
    "lstm, normalised": Case(
        "[lstm]\noutput=2\nbatch_normalize=1\n", matrices("wf wi wg wo uf ui ug uo", 2, LSTM_READS, normalized=True)
    ),
    "conv_lstm": Case(
        "[conv_lstm]\noutput=2\nsize=3\npad=1\nbatch_normalize=1\n",
        tuple(
            each
            for gates, channels in (("wf wi wg wo", 2), ("uf ui ug uo", 3))
            for gate in gates.split()
            for each in convolution(f"0.{gate}.", (2, channels, 3, 3), normalized=True)
        ),
    ),
    "conv_lstm, peephole": Case(
        "[conv_lstm]\noutput=2\nsize=3\npad=1\nbatch_normalize=1\npeephole=1\n",
        tuple(
            each
            for gates, channels, normalized in (("vf vi vo", 2, False), ("wf wi wg wo", 2, True), ("uf ui ug uo", 3, True))
            for gate in gates.split()
            for each in convolution(f"0.{gate}.", (2, channels, 3, 3), normalized=normalized)
        ),
    ),
    "deconvolutional": Case(
        "[deconvolutional]\nfilters=2\nsize=2\nstride=2\nactivation=linear\nbatch_normalize=1\n",
        (Stored("0.norm.bias", (2,)), *statistics("0.", 2), Stored("0.conv.weight", (3, 2, 2, 2))),
        PJREDDIE,
    ),
    "deconvolutional, groups": Case(
        "[deconvolutional]\nfilters=6\nsize=2\nstride=2\nactivation=linear\ngroups=3\noutput_padding=1\n",
        (Stored("0.conv.bias", (6,)), Stored("0.conv.weight", (3, 2, 2, 2))),
    ),
    "own layers without numbers between": Case(
        CONV + "[maxpool]\nsize=2\nstride=2\n[maxunpool]\nfrom=1\n[shuffle]\ngroups=2\n[upsample]\nmode=nails\n" + CONV3,
        (*convolution("0.", (2, 3, 3, 3)), *convolution("5.", (3, 2, 3, 3))),
    ),
    "layers without numbers between": Case(
        CONV
        + "[maxpool]\nsize=2\nstride=2\n[upsample]\nstride=2\n[route]\nlayers=-1,0\n"
        + "[dropout]\nprobability=.5\n[activation]\nactivation=relu\n"
        + CONV3,
        (*convolution("0.", (2, 3, 3, 3)), *convolution("6.", (3, 4, 3, 3))),
    ),
}


def graph_of(sections: str, dialect: Dialect = ALEXEYAB) -> Graph:
    return load_graph(Source("made.cfg", NET + sections), dialect)[0]


def state_of(network: Network) -> dict[str, torch.Tensor]:
    """Parameters and statistics, without torch's own counter."""
    return {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}


def header_of(case: Case) -> bytes:
    wide = case.dialect is not PJREDDIE or max(case.version) < 1000
    return struct.pack("<iiiQ" if wide else "<iiiI", *case.version, 0, 321)


def made(case: Case) -> tuple[bytes, dict[str, Floats]]:
    """A file whose numbers count up, and what the arrays must then be."""
    stream = np.arange(1, 1 + sum(prod(each.shape) for each in case.arrays), dtype="<f4")
    expected, start = {}, 0
    for key, shape, turned in case.arrays:
        numbers = stream[start : start + prod(shape)]
        start += numbers.size
        # Darknet's file then has a row for every input, and a column for every output.
        values = numbers.reshape(prod(shape[1:]), shape[0]).T if turned else numbers
        expected[f"layers.{key}"] = values.reshape(shape)
    return header_of(case) + stream.tobytes(), expected


@pytest.mark.parametrize("name", CASES)
def test_arrays_are_read_in_darknets_order(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    data, expected = made(case)
    path = tmp_path / "made.weights"
    path.write_bytes(data)
    loaded = read_any(path, graph_of(case.sections, case.dialect))
    assert list(loaded.arrays) == list(expected)
    for key, values in expected.items():
        np.testing.assert_array_equal(loaded.arrays[key], values, key)
    assert loaded.ends_before is None


@pytest.mark.parametrize("name", CASES)
def test_writing_gives_the_bytes_that_were_read(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    data, _ = made(case)
    path = tmp_path / "made.weights"
    path.write_bytes(data)
    graph = graph_of(case.sections, case.dialect)
    loaded = read_any(path, graph)
    again = tmp_path / "again.weights"
    count = write(again, loaded.header, ((slot, loaded.arrays[slot.key]) for slot in layout(graph, loaded.extent)))
    assert again.read_bytes() == data
    assert count == sum(prod(each.shape) for each in case.arrays)
    network = Network(graph)
    network.load_arrays(loaded.arrays)
    Detector(network, (), loaded.header, loaded.extent).save_weights(tmp_path / "saved.weights")
    assert (tmp_path / "saved.weights").read_bytes() == data


@pytest.mark.parametrize("name", CASES)
def test_the_network_has_these_arrays_and_no_others(name: str) -> None:
    """Keys and shapes are those of the module; only what is not loaded may be missing."""
    case = CASES[name]
    state = state_of(Network(graph_of(case.sections, case.dialect)))
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    stored = {f"layers.{each.key}": each.shape for each in case.arrays}
    assert stored.items() <= shapes.items()
    if "dontload" not in name:
        assert stored == shapes


def test_initial_weights_are_written_with_darknets_header(tmp_path: Path) -> None:
    (tmp_path / "made.cfg").write_text(NET + CONV + NORMAL)
    detector = cspdet.load(tmp_path / "made.cfg")
    detector.save_weights(tmp_path / "made.weights")
    data = (tmp_path / "made.weights").read_bytes()
    assert data[:20] == struct.pack("<iiiQ", 0, 2, 5, 0)
    numbers = np.frombuffer(data, "<f4", offset=20)
    # biases, scales, means, variances
    assert numbers[:8].tolist() == [0, 0, 1, 1, 0, 0, 1, 1]
    assert numbers.size == 8 + 2 * 27
    assert 0 < np.abs(numbers[8:]).max() <= (2 / 27) ** 0.5


# -- writing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cutoff", "numbers"), [(0, 0), (1, 2 + 54), (2, 56), (3, 56 + 3 + 54), (99, 113), (None, 113)])
def test_cutoff_writes_the_layers_before_it(tmp_path: Path, cutoff: int | None, numbers: int) -> None:
    case = Case(
        CONV + "[maxpool]\nsize=2\nstride=2\n" + CONV3,
        (*convolution("0.", (2, 3, 3, 3)), *convolution("2.", (3, 2, 3, 3))),
    )
    data, _ = made(case)
    (tmp_path / "made.cfg").write_text(NET + case.sections)
    (tmp_path / "made.weights").write_bytes(data)
    detector = cspdet.load(tmp_path / "made.cfg", tmp_path / "made.weights")
    detector.save_weights(tmp_path / "cut.weights", cutoff)
    assert (tmp_path / "cut.weights").read_bytes() == data[: 20 + 4 * numbers]


def test_writing_fails_whole(tmp_path: Path) -> None:
    path = tmp_path / "made.weights"
    path.write_bytes(b"as it was")
    graph = graph_of(CONV)

    def arrays() -> Iterator[tuple[Slot, Floats]]:
        yield layout(graph)[0], np.zeros(2, np.float32)
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        write(path, Header(), arrays())
    assert path.read_bytes() == b"as it was"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("precision", [torch.float64, torch.float16])
def test_weights_of_another_precision_are_written_as_float32(tmp_path: Path, precision: torch.dtype) -> None:
    graph = graph_of(CONV)
    network = Network(graph)
    expected = torch.cat([value.to(precision).float().flatten() for value in state_of(network).values()]).tolist()
    Detector(network.to(precision)).save_weights(tmp_path / "made.weights")
    numbers = np.frombuffer((tmp_path / "made.weights").read_bytes(), "<f4", offset=20)
    # The module lists weights before biases, the file biases before weights.
    assert sorted(numbers.tolist()) == sorted(expected)


# -- the memory map ---------------------------------------------------------------------------------------------------


def test_parameters_are_the_map_itself(tmp_path: Path) -> None:
    sections = CONV + NORMAL + CONV3 + "flipped=1\n" + "[connected]\noutput=2\nactivation=linear\n"
    case = Case(
        sections,
        (
            *convolution("0.", (2, 3, 3, 3), normalized=True),
            *convolution("1.", (3, 2, 3, 3), turned=True),
            *matrix("2.", 2, INPUTS),
        ),
    )
    data, expected = made(case)
    path = tmp_path / "made.weights"
    path.write_bytes(data)
    graph = graph_of(sections)
    file = open_weights(path)
    assert isinstance(file.numbers, np.memmap)
    network = Network(graph)
    network.load_arrays({slot.key: values for slot, values in read(file, layout(graph))})
    state = state_of(network)
    shared = {key: np.shares_memory(file.numbers, value.numpy()) for key, value in state.items()}
    # Only what the file has in another order is copied.
    assert [key for key, is_shared in shared.items() if not is_shared] == ["layers.1.conv.weight"]
    for key, value in state.items():
        np.testing.assert_array_equal(value.numpy(), expected[key])


def test_changing_parameters_does_not_change_the_file(tmp_path: Path) -> None:
    data, _ = made(CASES["convolution, normalised"])
    path = tmp_path / "made.weights"
    path.write_bytes(data)
    (tmp_path / "made.cfg").write_text(NET + CONV + NORMAL)
    detector = cspdet.load(tmp_path / "made.cfg", path)
    with torch.no_grad():
        for parameter in detector.network.parameters():
            parameter.mul_(2)
    assert path.read_bytes() == data
    # Saved over the file it is mapped from, the network keeps its numbers.
    detector.save_weights(path)
    changed = np.frombuffer(path.read_bytes(), "<f4", offset=20).copy()
    before = np.frombuffer(data, "<f4", offset=20)
    doubled = np.r_[before[:4] * 2, before[4:8], before[8:] * 2]
    np.testing.assert_array_equal(changed, doubled)
    detector.save_weights(path)
    np.testing.assert_array_equal(np.frombuffer(path.read_bytes(), "<f4", offset=20), doubled)


def test_a_large_file_is_not_read_to_be_opened(tmp_path: Path) -> None:
    """A sparse file of four gigabytes; reading it would take its time, and the memory."""
    path = tmp_path / "large.weights"
    with path.open("wb") as file:
        file.write(HEADER)
        file.truncate(20 + 4 * 2**30)
    opened = open_weights(path)
    assert len(opened.numbers) == 2**30
    assert opened.rest == 0
    assert opened.header == (0, 2, 5, 1234, True)


@pytest.mark.parametrize("rest", [0, 1, 2, 3])
def test_bytes_behind_the_last_number_are_counted(tmp_path: Path, rest: int) -> None:
    path = tmp_path / "made.weights"
    path.write_bytes(HEADER + np.arange(3, dtype="<f4").tobytes() + b"x" * rest)
    opened = open_weights(path)
    assert opened.numbers.tolist() == [0, 1, 2]
    assert opened.rest == rest


# -- real weights -----------------------------------------------------------------------------------------------------


@pytest.mark.reference
@pytest.mark.parametrize("cfg", reference_files("weights/*/*.cfg"), ids=lambda path: path.stem)
def test_real_weights_survive(cfg: Path, tmp_path: Path) -> None:
    weights = cfg.with_suffix(".weights")
    graph = load_graph(Source.read(cfg))[0]
    loaded = read_any(weights, graph)
    assert loaded.ends_before is None
    write(tmp_path / "again.weights", loaded.header, ((slot, loaded.arrays[slot.key]) for slot in layout(graph)))
    assert (tmp_path / "again.weights").read_bytes() == weights.read_bytes()
    for key, values in loaded.arrays.items():
        assert np.isfinite(values).all(), key
        if key.endswith("running_var"):
            assert values.min() >= 0


@pytest.mark.reference
def test_a_real_partial_file_is_the_start_of_a_network() -> None:
    weights = REFERENCE / "weights" / "MobileNetV2-Nano.conv.57"
    cfg = REFERENCE / "weights" / "MobileNetV2-YOLOv3-Nano-voc" / "MobileNetV2-YOLOv3-Nano-voc.cfg"
    loaded = read_any(weights, load_graph(Source.read(cfg))[0])
    assert loaded.ends_before is not None
    assert loaded.ends_before >= 57
    numbers = np.frombuffer(weights.read_bytes(), "<f4", offset=loaded.header.size)
    np.testing.assert_array_equal(np.concatenate([values.ravel() for values in loaded.arrays.values()]), numbers)
