"""Every engine computes what the modules compute, layer by layer and in whole networks."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import cspdet
from cspdet.cfg.dialect import ALEXEYAB, PJREDDIE
from cspdet.cfg.source import Source
from cspdet.engines import COMPILED, ENGINES, NAMES, by_speed, check_engine, make_engine
from cspdet.errors import UnsupportedError
from cspdet.graph import Graph
from cspdet.image import read_image
from cspdet.layers import BY_NAME
from cspdet.layers.base import Shape
from cspdet.layers.recurrent import Recurrent
from cspdet.lowering import lower
from cspdet.network import Network
from cspdet.program.builder import Builder, Value
from cspdet.program.operations import Activate, Activation, Convolve, Program
from cspdet.program.rewrites import flattened, pruned, simplified, with_activations, with_sums
from cspdet.rules import load
from tests.conftest import PJREDDIES, ROOT, SHIPPED, reference_files
from tests.layers.examples import EXAMPLES, Example
from tests.layers.test_every_layer import inputs_of, module_of

INSTALLED = [name for name in ENGINES if find_spec(ENGINES[name].package)]
ACTIVATIONS = [*BY_NAME["convolutional"].options["activation"].choices]


def engine_of(name: str, program: Program) -> Any:
    return import_module(f"cspdet.engines.{name}").make(program)


# ncnn's engine has what plain detectors consist of, without some options of these layers.
RUN_BY_NCNN = {"convolutional", "maxpool", "route", "shortcut", "upsample", "logistic", "route_lhalf", "partial_split"}
NOT_RUN_BY_NCNN = {"xnor", "maxpool_depth", "weights_type", "mode", "scale", "alpha"}


def engine_or_none(name: str, program: Program) -> Any:
    """The engine, unless it is ncnn's and does not take the program."""
    try:
        return engine_of(name, program)
    except UnsupportedError as error:
        assert name == "ncnn"
        assert error.message.startswith("ncnn does not run what layer")  # noqa: PT017 - others may come up
        return None


def test_all_engines_are_installed_where_tests_run() -> None:
    assert [*ENGINES] == INSTALLED


def program_of(example: Example) -> Program:
    """A program whose input has all inputs of the layer, strung together."""
    layer = example.make()
    build = Builder()
    whole = Value(-1, (sum(shape.size for shape in example.inputs),))
    inputs, start = [], 0
    for shape in example.inputs:
        inputs.append(build.reshape(build.part(whole, start, start + shape.size), *shape.dimensions))
        start += shape.size
    arrays = {name: value.numpy() for name, value in module_of(example).state_dict().items()}
    value = layer.lower(build, arrays, *inputs)
    assert value.dimensions == layer.shape(*example.inputs).dimensions
    return build.program(whole.dimensions, [value])


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_every_layer(name: str, example: Example) -> None:
    program = program_of(example)
    if not program.operations or program.outputs == (-1,):
        return  # the layer passes on what it reads
    engine = engine_or_none(name, program)
    if engine is None:
        alike = len({*example.inputs}) == 1 and example.options.get("stride", 1) > 0
        assert example.name not in RUN_BY_NCNN or not alike or {*example.options} & NOT_RUN_BY_NCNN
        return
    module = module_of(example).double()
    assert bool(program.states) == isinstance(module.layer, Recurrent)
    # A state lasts as long as batches have the same size.
    for batch in (2, 2, 2, 3, 3, 2) if program.states else (2,):
        inputs = inputs_of(example, batch)
        with torch.inference_mode():
            expected = module(*(each.double() for each in inputs)).numpy().copy()
        (found,) = engine(torch.cat([each.flatten(1) for each in inputs], 1).numpy())
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * max(1, np.abs(expected).max()))
        if program.states:
            found[:] = 9  # what it put out is the caller's


@pytest.mark.parametrize("name", [name for name in INSTALLED if name != "ncnn"])
def test_what_is_not_finite_does_not_stay_in_a_state(name: str) -> None:
    example = Example("conv_lstm", {"output": 3, "size": 3, "pad": True, "state_constrain": 2}, (Shape(2, 4, 5),))
    module = module_of(example).double()
    program = program_of(example)
    engine = engine_of(name, program)
    x = np.random.default_rng(0).standard_normal((1, 40), np.float32)
    for factor in (1, np.nan, 1, 1e4, 1e-30, 1):
        with torch.inference_mode():
            expected = module(torch.from_numpy(factor * x).double().reshape(1, 2, 4, 5)).numpy().copy()
        assert np.isfinite(expected).all()
        np.testing.assert_allclose(engine(np.float32(factor) * x)[0], expected, atol=1e-5)


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(name: str, activation: str) -> None:
    example = Example("activation", {"activation": activation}, (Shape(3, 40, 1),))
    program = program_of(example)
    x = torch.linspace(-30, 30, 120)[torch.randperm(120, generator=torch.Generator().manual_seed(0))].reshape(1, 3, 40, 1)
    with torch.inference_mode():
        expected = module_of(example)(x.double()).numpy()
    if program.outputs == (-1,):
        return
    engine = engine_or_none(name, program)
    if engine is None:
        assert activation not in ("leaky", "mish", "logistic", "swish", "relu", "relu6", "tanh", "hardtan")
        return
    (found,) = engine(x.flatten(1).numpy())
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-5, atol=4e-6 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("name", INSTALLED)
def test_mish_of_what_overflows(name: str) -> None:
    """e^x is infinite from 89 on, its square from 45."""
    program = program_of(Example("activation", {"activation": "mish"}, (Shape(1, 1, 8),)))
    x = np.array([[-1e4, -100, -45, 0, 44, 50, 100, 1e4]], np.float32)
    (found,) = engine_of(name, program)(x)
    assert (np.abs(found.reshape(x.shape) - np.maximum(x, 0)) <= 1e-5 + 1e-7 * np.abs(x)).all()


def graph_of(path: Path, **size: int) -> Graph:
    dialect = PJREDDIE if path.stem in PJREDDIES else ALEXEYAB
    return load(Source.read(path), dialect, **size)[0]


def arrays_of(network: Network) -> dict[str, Any]:
    """Its weights, with statistics as training leaves them, in some way."""
    generator = torch.Generator().manual_seed(1)
    for key, value in network.state_dict().items():
        if key.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=generator)
        elif key.endswith(("bias", "running_mean")):
            value.normal_(0, 0.1, generator=generator)
    return {key: value.numpy() for key, value in network.state_dict().items()}


NETS = [ROOT / "cfg" / name for name in ("cspdet-nano.cfg", "ancestors/segnet-small.cfg", "csp/cspeleenet-efm-sam.cfg")]


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize("path", NETS, ids=lambda path: path.stem)
def test_whole_networks_in_batches(name: str, path: Path) -> None:
    graph = graph_of(path, width=64, height=96)
    network = Network(graph)
    try:
        choice = make_engine(name, graph, arrays_of(network))
    except UnsupportedError:
        assert (name, path.stem) in (("ncnn", "segnet-small"), ("ncnn", "cspeleenet-efm-sam"))
        return
    assert choice.name == name
    for batch in (1, 3, 1):
        x = torch.rand(batch, *graph.input.dimensions, generator=torch.Generator().manual_seed(batch))
        with torch.inference_mode():
            expected = network.double()(x.double())
        network.float()
        found = choice.engine(x.numpy())
        for one, other in zip(found, expected, strict=True):
            assert one.shape == other.shape
            np.testing.assert_allclose(one, other.numpy(), atol=2e-5 * max(1, other.abs().max()))


def lower_empty(path: Path) -> Program:
    """The program of a cfg, with weights that take no memory."""
    graph = graph_of(path)
    return lower(
        graph,
        {
            f"layers.{node.index}.{name}": np.broadcast_to(np.zeros(1, np.float32), array.shape)
            for node in graph.nodes
            for name, array in node.arrays.items()
        },
    )


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_network_has_a_program(path: Path) -> None:
    """Of the right dimensions, and every rewriting keeps them."""
    graph = graph_of(path)
    program = lower_empty(path)
    nodes = {node.index: node for node in graph.nodes}
    wanted = [nodes[index].output.dimensions for index in graph.outputs]
    for each in (program, pruned(program), flattened(program), simplified(program, ("leaky", "mish"))):
        assert [each.dimensions(number) for number in each.outputs] == wanted


@pytest.mark.reference
@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize("weights", reference_files("weights/*/*.weights"), ids=lambda path: path.stem)
def test_trained_networks(name: str, weights: Path) -> None:
    """Within 1e-4 of float64 on probabilities."""
    if (name, weights.stem) == ("ncnn", "MobileNetV2-YOLO-Fastest-voc-v2"):
        with pytest.warns(cspdet.EngineWarning, match=r"ncnn does not run what layer 64 computes \(`reduce`\)"):
            cspdet.load(weights.with_suffix(".cfg"), weights, engine=name)
        return
    detector = cspdet.load(weights.with_suffix(".cfg"), weights, engine=name)
    x = np.random.default_rng(0).random((2, *detector.graph.input.dimensions), np.float32)
    found = detector.engine(x)
    with torch.inference_mode():
        expected = detector.network.double()(torch.from_numpy(x).double())
    for one, other in zip(found, expected, strict=True):
        assert np.abs(1 / (1 + np.exp(-one.astype(np.float64))) - torch.sigmoid(other).numpy()).max() < 1e-4
        np.testing.assert_allclose(one, other.numpy(), atol=1e-4)


# -- rewritings -------------------------------------------------------------------------------------------------------------


def kinds(program: Program) -> list[str]:
    return [type(each).__name__ for each in program.operations]


def test_an_activation_stays_where_its_input_is_read_twice() -> None:
    build = Builder()
    x = build.convolve(Value(-1, (2, 3, 3)), np.ones((2, 2, 1, 1), np.float32), np.zeros(2, np.float32))
    y = build.activate("leaky", x)
    program = Program((2, 3, 3), tuple(build.operations), (build.combine("add", x, y).number,))
    program = Program((2, 3, 3), tuple(build.operations), program.outputs)
    assert kinds(simplified(program, ("leaky",))) == ["Convolve", "Activate", "Combine"]
    image = np.linspace(-1, 1, 18, dtype=np.float32).reshape(1, 2, 3, 3)
    for name in INSTALLED:
        total = np.repeat(image.sum(1, keepdims=True), 2, 1)
        np.testing.assert_allclose(
            engine_of(name, program)(image)[0], total + np.where(total > 0, total, 0.1 * total), atol=1e-6
        )


def test_what_is_read_again_is_not_written_over() -> None:
    """A sum, of which one part is read again, twice through other names."""
    build = Builder()
    x = build.convolve(Value(-1, (4, 2, 2)), np.eye(4, dtype=np.float32).reshape(4, 4, 1, 1), np.zeros(4, np.float32))
    half = build.part(x, 0, 2)
    row = build.reshape(half, 8)
    doubled = build.combine("add", half, half)
    squashed = build.activate("logistic", doubled)
    last = build.join([squashed, build.reshape(row, 2, 2, 2), half, build.part(x, 2, 4)])
    program = Program((4, 2, 2), tuple(build.operations), (last.number, x.number))
    image = np.arange(16, dtype=np.float32).reshape(1, 4, 2, 2) - 8
    expected = np.concatenate([1 / (1 + np.exp(-2 * image[:, :2])), image[:, :2], image[:, :2], image[:, 2:]], 1)
    for name in INSTALLED:
        found, same = engine_of(name, program)(image)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_array_equal(same, image)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_memory_is_used_again_only_where_nobody_reads_it(seed: int) -> None:
    """Random programs of parts, other shapes, sums and functions, beside the same on arrays that are never written to."""
    random = np.random.default_rng(seed)
    build = Builder()
    image = np.arange(160, dtype=np.float32).reshape(1, 40, 2, 2) - 70
    eye = np.eye(40, dtype=np.float32).reshape(40, 40, 1, 1)
    values = [build.convolve(Value(-1, (40, 2, 2)), eye, np.zeros(40, np.float32))]
    arrays = [image[0]]
    for _ in range(random.integers(1, 9)):
        at = random.integers(max(0, len(values) - 3), len(values))
        value, array = values[at], arrays[at]
        alike = random.choice([each for each, other in enumerate(arrays) if other.shape == array.shape])
        match random.choice(["part", "part", "reshape", "transpose", "activate", "combine", "combine", "join"]):
            case "part":
                length = max(1, len(array) - 3)
                start = random.integers(0, len(array) - length + 1)
                values.append(build.part(value, start, start + length))
                arrays.append(array[start : start + length])
            case "reshape":
                other = (array.shape[1], array.shape[0], array.shape[2])
                values.append(build.reshape(value, *other))
                arrays.append(array.reshape(other))
            case "transpose":
                values.append(build.transpose(value, 0, 2, 1))
                arrays.append(array.transpose(0, 2, 1))
            case "activate":
                values.append(build.function(value, Activation("clip", -4, 9)))
                arrays.append(array.clip(-4, 9))
            case "join":
                values.append(build.join([value, values[alike]]))
                arrays.append(np.concatenate([array, arrays[alike]]))
            case "combine":
                values.append(build.combine("subtract", value, values[alike]))
                arrays.append(array - arrays[alike])
    # The last value, and sometimes others. Memory that an output lies in is never written to: so these are copies.
    wanted = {len(values) - 1, *random.integers(0, len(values), random.integers(0, 3))}
    outputs = tuple(build.join([values[each]] * 2).number for each in wanted)
    program = Program((40, 2, 2), tuple(build.operations), outputs)
    for found, each in zip(engine_of("torch", program)(image), wanted, strict=True):
        np.testing.assert_array_equal(found[0], np.concatenate([arrays[each]] * 2))


def test_dead_operations_go() -> None:
    build = Builder()
    x = Value(-1, (2, 2, 2))
    build.activate("relu", x)
    kept = build.activate("tanh", x)
    program = pruned(Program(x.dimensions, tuple(build.operations), (kept.number,)))
    assert [each.activation.function for each in program.operations if isinstance(each, Activate)] == ["tanh"]


def test_joins_of_joins_become_one() -> None:
    build = Builder()
    x = Value(-1, (2, 2, 2))
    inner = build.join([build.activate("relu", x), build.activate("tanh", x)])
    outer = build.join([x, inner])
    program = Program(x.dimensions, tuple(build.operations), (outer.number,))
    assert kinds(flattened(program)) == ["Activate", "Activate", "Join"]
    image = np.linspace(-1, 1, 8, dtype=np.float32).reshape(1, 2, 2, 2)
    for name in INSTALLED:
        expected = np.concatenate([image, np.maximum(image, 0), np.tanh(image)], 1)
        np.testing.assert_allclose(engine_of(name, program)(image)[0], expected, atol=1e-5)


def test_sums_are_taken_into_convolutions() -> None:
    """With the activation after them, and whichever of the two comes first."""
    build = Builder()
    random = np.random.default_rng(0)
    x = Value(-1, (4, 3, 3))
    first = build.activate("tanh", x)
    values = []
    for size, swapped in ((1, False), (3, True)):
        weight = random.standard_normal((4, 4, size, size), np.float32)
        found = build.convolve(first, weight, random.standard_normal(4, np.float32), border=(size // 2,) * 4)
        both = (first, found) if swapped else (found, first)
        values.append(build.activate("leaky", build.combine("add", *both)))
    program = Program(x.dimensions, tuple(build.operations), tuple(value.number for value in values))
    assert kinds(with_activations(with_sums(program), ("leaky",))) == ["Activate", "Convolve", "Convolve"]
    image = random.standard_normal((2, 4, 3, 3), np.float32)
    found = [engine_of(name, program)(image) for name in INSTALLED]
    for one, *others in zip(*found, strict=True):
        for other in others:
            np.testing.assert_allclose(one, other, atol=1e-5)


def test_rewritings_keep_states() -> None:
    """One that becomes an activation, which convolutions take in; one that is a sum, which they do, too; and one never read."""
    build = Builder()
    random = np.random.default_rng(0)
    build.activate("tanh", Value(-1, (2, 3, 3)))  # goes
    old, total, unread = (build.state((2, 3, 3)) for _ in range(3))
    weight = random.standard_normal((2, 2, 1, 1), np.float32)
    new = build.activate("leaky", build.convolve(Value(-1, (2, 3, 3)), weight, np.zeros(2, np.float32)))
    both = build.combine("add", total, build.convolve(new, weight, np.ones(2, np.float32)))
    out = build.join([build.join([old, total]), new])
    for state, after in ((old, new), (total, both), (unread, old)):
        build.keep(state, after)
    program = build.program((2, 3, 3), [out])
    short = with_activations(with_sums(simplified(program)), ("leaky",))
    assert kinds(short) == ["State", "State", "State", "Convolve", "Convolve", "Join"]
    assert [*dict(short.states)] == [0, 1, 2]
    images = random.standard_normal((3, 1, 2, 3, 3), np.float32)
    engines = [engine_of(name, program) for name in INSTALLED if name != "ncnn"]
    before = sums = np.zeros((1, 2, 3, 3), np.float32)
    for image in images:
        now = np.einsum("oi,nihw->nohw", weight[:, :, 0, 0], image)
        now = np.where(now > 0, now, 0.1 * now)
        for engine in engines:
            np.testing.assert_allclose(engine(image)[0], np.concatenate([before, sums, now], 1), atol=1e-4)
        before, sums = now, sums + np.einsum("oi,nihw->nohw", weight[:, :, 0, 0], now) + 1


# -- choosing ---------------------------------------------------------------------------------------------------------------


def test_auto_takes_the_fastest_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    leaky, mish = (lower_empty(ROOT / "cfg" / name) for name in ("cspdet-nano.cfg", "yolo/yolov4.cfg"))
    missing: set[str] = set()
    monkeypatch.setattr("cspdet.engines.find_spec", lambda name: None if name in missing else object())
    depthwise = lower_empty(ROOT / "cfg" / "ancestors" / "mobilenetv2.cfg")
    assert not any(isinstance(each, Convolve) and each.groups > 1 for each in leaky.operations)
    for wide, expected in ((True, ["openvino"] * 3), (False, ["ncnn", "onnxruntime", "openvino"])):
        monkeypatch.setattr("cspdet.engines._has_wide_registers", lambda wide=wide: wide)
        assert [by_speed(each)[0] for each in (leaky, depthwise, mish)] == expected
        assert by_speed(mish, "cuda") == ["torch"]
    missing.add("openvino")
    assert by_speed(mish) == ["onnxruntime", "torch"]
    missing.add("ncnn")
    assert by_speed(leaky) == ["onnxruntime", "torch"]
    missing.add("onnxruntime")
    assert by_speed(mish) == ["torch"]
    assert cspdet.load("cspdet-nano").engine_name == "torch"


def test_engines_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(cspdet.UsageError, match="there is no engine `tensorrt`") as caught:
        cspdet.load("cspdet-nano", engine="tensorrt")
    assert "auto, torch, openvino, onnxruntime" in caught.value.help
    with pytest.raises(cspdet.UsageError, match="runs on CPUs, not on `cuda`"):
        check_engine("openvino", "cuda")
    monkeypatch.setattr("cspdet.engines.find_spec", lambda _: None)
    monkeypatch.setattr("cspdet.engines.lower", lambda *_: pytest.fail("this is known before"))
    with pytest.raises(cspdet.UsageError, match="needs the package `openvino`, which is not installed") as caught:
        cspdet.load("cspdet-nano", engine="openvino")
    assert caught.value.help.startswith("pip install openvino")


def test_an_engine_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cspdet.engines.find_spec", lambda name: None if name in ("openvino", "ncnn") else name)
    with pytest.raises(cspdet.UsageError, match="is not installed") as caught:
        check_engine("openvino")
    assert caught.value.help == "pip install openvino, or use one that is: torch, onnxruntime"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("OpenVINO", "openvino"),
        ("open_vino", "openvino"),
        ("ov", "openvino"),
        ("ONNX", "onnxruntime"),
        ("ort", "onnxruntime"),
        ("onnx-runtime", "onnxruntime"),
        ("PyTorch", "torch"),
        ("NCNN", "ncnn"),
        ("compile", "compiled"),
        ("", None),
        ("tensorrt", None),
    ],
)
def test_other_names_of_engines(run: Callable[..., tuple[int, str, str]], name: str, meant: str | None) -> None:
    for network in ((), ("none.onnx",)):
        code, out, err = run("detect", *network, ROOT / "docs" / "chelsea.jpg", f"--engine={name}", "--no-save")
        cure = f"did you mean `{meant}`?" if meant else f"one of: {', '.join(NAMES)}"
        assert (code, out, err) == (2, "", f"error: there is no engine `{name}`\n  help: {cure}\n")


def test_all_engines_are_documented() -> None:
    for text in ((ROOT / "docs" / "engines.md").read_text(), (ROOT / "README.md").read_text()):
        assert [name for name in NAMES[1:] if f"`{name}`" not in text] == []


@pytest.mark.parametrize("name", INSTALLED)
def test_a_head_that_is_read_again(tmp_path: Path, name: str) -> None:
    """What ncnn does not have, PyTorch computes."""
    head = "[convolutional]\nfilters=18\nsize=1\n[yolo]\nmask=0,1,2\nanchors=1,1,2,2,3,3\nnum=3\nclasses=1\n"
    path = tmp_path / "heads.cfg"
    path.write_text(f"[net]\nwidth=32\nheight=32\nchannels=3\n{head * 2}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cspdet.load(path).save_weights(tmp_path / "heads.weights")
    files, names = (path, tmp_path / "heads.weights"), ["one"]
    if name == "ncnn":
        with pytest.warns(
            cspdet.EngineWarning, match=r"^ncnn does not run what layer 1 .*; the network runs in PyTorch"
        ) as caught:
            detector = cspdet.load(*files, names=names, engine=name)
        assert [each.filename for each in caught] == [__file__]
    else:
        detector = cspdet.load(*files, names=names, engine=name)
    assert detector.engine_name == ("torch" if name == "ncnn" else name)
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    module = cspdet.load(*files, names=names)
    assert module.network is not None  # from now on, it is what runs
    found, expected = detector(picture, threshold=0), module(picture, threshold=0)
    assert len(found) > 100
    np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-5)
    np.testing.assert_allclose(found.xyxy, expected.xyxy, atol=1e-2)


def test_recurrent_networks_remember_in_every_engine(tmp_path: Path) -> None:
    """Image by image, as the module does; and of a batch of another size, nothing."""
    path = tmp_path / "rnn.cfg"
    path.write_text(
        "[net]\nwidth=32\nheight=32\nchannels=3\n[crnn]\noutput=8\nhidden=4\nsize=3\npad=1\nactivation=leaky\n"
        "[conv_lstm]\noutput=6\nsize=3\npad=1\n"
        "[convolutional]\nfilters=18\nsize=8\nstride=8\n[yolo]\nmask=0,1,2\nanchors=9,9,12,9,13,20\nnum=3\nclasses=1\n"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detector = cspdet.load(path)
    for value in detector.network.state_dict().values():
        value.mul_(3)  # so that something is found
    detector.save_weights(tmp_path / "rnn.weights")
    pictures = [*np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)]
    calls = [pictures[:1], pictures[:1], pictures[1:2], pictures[2:4], pictures[4:], pictures[:1]]
    module = cspdet.load(path, tmp_path / "rnn.weights", names=["one"])
    assert module.network is not None  # from now on, it is what runs
    expected = [module.detect(each, threshold=0.3) for each in calls]
    assert expected[0][0].to_dicts() != expected[1][0].to_dicts()
    for name in ("auto", "torch", "openvino", "onnxruntime"):
        detector = cspdet.load(path, tmp_path / "rnn.weights", names=["one"], engine=name)
        for call, right in zip(calls, expected, strict=True):
            for one, other in zip(detector.detect(call, threshold=0.3), right, strict=True):
                assert len(one) == len(other) > 0
                np.testing.assert_allclose(one.confidence, other.confidence, atol=1e-5)
                np.testing.assert_allclose(one.xyxy, other.xyxy, atol=0.01)


def test_changing_the_module_changes_what_is_found() -> None:
    picture = ROOT / "docs" / "chelsea.jpg"
    detector = cspdet.load("cspdet-nano")
    stages = detector.stages()
    prepared = [stages.prepare(read_image(picture))]
    assert [each.name for each in detector(picture)] == ["cat"]
    assert len(stages.found(prepared, stages.infer(prepared))[0]) == 1
    with torch.no_grad():
        for value in detector.network.parameters():
            value.zero_()
    assert len(detector(picture)) == 0
    # Also in steps that were made before.
    assert len(stages.found(prepared, stages.infer(prepared))[0]) == 0


def test_one_engine_finds_what_the_other_finds() -> None:
    picture = ROOT / "docs" / "astronaut-chelsea.jpg"
    found = {name: cspdet.load("cspdet-nano", engine=name)(picture) for name in INSTALLED}
    first = found["torch"]
    for each in found.values():
        assert each.class_id.tolist() == first.class_id.tolist()
        np.testing.assert_allclose(each.confidence, first.confidence, atol=1e-5)
        np.testing.assert_allclose(each.xyxy, first.xyxy, atol=0.01)


@pytest.mark.parametrize("name", [name for name in INSTALLED if name != "torch"])
def test_no_other_engine_imports_torch(name: str) -> None:
    code = (
        "import sys, cspdet; d = cspdet.load('cspdet-nano', engine=sys.argv[1]); d('docs/chelsea.jpg'); "
        "print('torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout == "False\n"


def test_the_command(run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    picture = ROOT / "docs" / "chelsea.jpg"
    for name in INSTALLED:
        code, out, _ = run("detect", picture, "--engine", name, "--no-save")
        assert code == 0
        assert "cat: 92%" in out
    code, _, err = run("detect", picture, "--engine", "x")
    assert code == 2
    assert err == f"error: there is no engine `x`\n  help: one of: auto, {', '.join([*ENGINES, COMPILED])}\n"


def test_compiled_networks_are_kept_where_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = Builder()
    x = build.convolve(Value(-1, (3, 8, 8)), np.ones((4, 3, 3, 3), np.float32), np.zeros(4, np.float32))
    program = Program((3, 8, 8), tuple(build.operations), (x.number,))
    image = np.ones((1, 3, 8, 8), np.float32)
    (expected,) = engine_of("openvino", program)(image)
    monkeypatch.setenv("CSPDET_OPENVINO_CACHE", str(tmp_path / "a" / "b"))
    for _ in range(2):
        (found,) = engine_of("openvino", program)(image)
        np.testing.assert_array_equal(found, expected)
        assert [each.suffix for each in (tmp_path / "a" / "b").iterdir()] == [".blob"]
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CSPDET_OPENVINO_CACHE", str(tmp_path / "file"))
    with pytest.raises(cspdet.UsageError, match="cannot write"):
        engine_of("openvino", program)(image)


def test_the_compiled_module(run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network through torch.compile finds what the engine finds; without a compiler, it is said what is missing."""
    cfg = tmp_path / "a.cfg"
    cfg.write_text(
        "[net]\nwidth=16\nheight=16\nchannels=3\n[convolutional]\nbatch_normalize=1\nfilters=18\nsize=3\nstride=2\npad=1\n"
        "activation=mish\n[yolo]\nmask=0,1,2\nanchors=1,1, 2,2, 3,3\nclasses=1\nnum=3\n"
    )
    cspdet.load(cfg).save_weights(tmp_path / "a.weights")
    plain, compiled = (cspdet.load(cfg, tmp_path / "a.weights", engine=name) for name in ("torch", "compiled"))
    image = np.random.default_rng(0).random((2, 3, 16, 16), np.float32)
    for found, expected in zip(compiled.engine(image), plain.engine(image), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((9, 9, 3), np.uint8))
    words = [str(cfg), str(tmp_path / "a.weights"), str(tmp_path / "a.png"), "--compile"]
    code, _, errors = run("detect", *words, "--engine", "openvino")
    assert (code, errors.splitlines()[0]) == (2, "error: `--compile` is for PyTorch, not for `openvino`")
    monkeypatch.setattr(torch, "compile", Mock(side_effect=RuntimeError("no C++ compiler\n\nmore of it")))
    code, _, errors = run("detect", *words, "--engine", COMPILED)
    assert (code, errors.splitlines()[0]) == (2, "error: torch.compile does not work here: no C++ compiler")


def test_preparing_leaves_no_trace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not even where the compiler has to see images, and layers remember."""
    path = tmp_path / "rnn.cfg"
    path.write_text(
        "[net]\nwidth=16\nheight=16\nchannels=3\n[crnn]\noutput=8\nhidden=4\nsize=3\npad=1\nactivation=logistic\n"
        "[convolutional]\nfilters=18\nsize=8\nstride=8\n[yolo]\nmask=0,1,2\nanchors=9,9,12,9,13,20\nnum=3\nclasses=1\n"
    )
    seen: list[int] = []

    def compile_module(network: Network, **_: Any) -> Any:
        network.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
        return network

    monkeypatch.setattr(torch, "compile", compile_module)
    monkeypatch.setattr("cspdet.network.check_compiler", lambda _: None)
    cspdet.load(path).save_weights(tmp_path / "rnn.weights")
    images = np.random.default_rng(0).random((4, 3, 16, 16), np.float32)
    for name in (COMPILED, "openvino"):
        prepared, other = (cspdet.load(path, tmp_path / "rnn.weights", engine=name) for _ in range(2))
        for batch in (images[:1], images[1:2], images[2:], images[:2], images[3:]):
            prepared.stages().prepare_engine(len(batch))
            for found, expected in zip(prepared.engine(batch), other.engine(batch), strict=True):
                np.testing.assert_array_equal(found, expected)
    assert seen == [1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 1, 1]


@pytest.mark.parametrize("name", INSTALLED)
def test_threads_share_an_engine(name: str) -> None:
    """As a server's do."""
    detector = cspdet.load("cspdet-nano", width=64, height=64, engine=name)
    images = np.random.default_rng(0).random((12, 1, 3, 64, 64), np.float32)
    alone = [detector.engine(each) for each in images]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(detector.engine, images))
    for found, expected in zip(together, alone, strict=True):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_openvino_in_a_thread_leaves_signals_alone() -> None:
    """A detector dropped in another thread took the stack of the signal handlers with it: the next signal was a crash."""
    code = """if True:
        import signal, subprocess, threading
        import cspdet
        kept = [cspdet.load("cspdet-nano", width=64, height=64, engine="openvino")]
        kept[0]("docs/chelsea.jpg")
        thread = threading.Thread(target=kept.clear)
        thread.start()
        thread.join()
        signal.signal(signal.SIGCHLD, lambda *_: print("heard", flush=True))
        subprocess.run(["true"])
    """
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (found.returncode, found.stdout) == (0, "heard\n"), found.stderr
