"""What must hold of every section type, run over the examples."""

from __future__ import annotations

import pickle
import re
from typing import Any

import pytest
import torch
from torch import nn

from cspdet.cfg.syntax import Section
from cspdet.graph import Node
from cspdet.layers import BY_NAME, LAYERS, Layer
from cspdet.layers.base import REQUIRED
from cspdet.layers.net import Net
from cspdet.network import LayerModule
from tests.layers.examples import EXAMPLES, Example


def module_of(example: Example) -> LayerModule:
    """The layer's module with random weights, in evaluation mode."""
    layer = example.make()
    section: Any = Section(example.name, None, ())  # type: ignore[arg-type]
    module = LayerModule(Node(example.index, layer, section, (), example.inputs, layer.shape(*example.inputs)))
    generator = torch.Generator().manual_seed(1)
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            value.uniform_(0.5 if name.endswith("running_var") else -0.5, 1.0, generator=generator)
    return module.eval()


def inputs_of(example: Example, batch: int = 2) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(batch, *shape.dimensions, generator=generator) for shape in example.inputs]


def test_every_section_has_an_example() -> None:
    covered = {BY_NAME[example.name] for example in EXAMPLES}
    assert set(LAYERS) - covered == {Net}


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_the_example_is_accepted(example: Example) -> None:
    problems = [*example.make().check(*example.inputs)]
    assert [problem for problem in problems if problem.severity == "error"] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_shape_is_what_comes_out(example: Example) -> None:
    layer = example.make()
    with torch.inference_mode():
        out = module_of(example)(*inputs_of(example))
    assert out.shape == (2, *layer.shape(*example.inputs).dimensions)
    assert out.isfinite().all()


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_declared_arrays_are_the_state_dict(example: Example) -> None:
    declared = {name: array.shape for name, array in example.make().arrays(*example.inputs).items()}
    # PyTorch counts batches in its batch normalisation; Darknet does not.
    held = {name: tuple(value.shape) for name, value in module_of(example).state_dict().items() if "num_batches" not in name}
    assert {*held} == {*declared}
    assert held == declared


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_the_input_is_left_alone(example: Example) -> None:
    """A layer's output may be read again by others, so nobody may write into what it reads."""
    inputs = inputs_of(example)
    before = [each.clone() for each in inputs]
    with torch.inference_mode():
        module_of(example)(*inputs)
    assert all(torch.equal(one, two) for one, two in zip(inputs, before, strict=True))


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_gradients_reach_weights_and_inputs(example: Example) -> None:
    module = module_of(example)
    inputs = [each.requires_grad_() for each in inputs_of(example)]
    out = module(*inputs)
    if not out.requires_grad:
        assert example.name in ("cost", "contrastive")  # they put out zeros
        return
    out.square().sum().backward()
    if example.name == "maxunpool":
        inputs = inputs[:1]  # the other says where the values go
    reads_input = not example.name.startswith("implicit")
    assert not reads_input or all(each.grad is not None for each in inputs)
    assert all(parameter.grad is not None for parameter in module.parameters())


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_channels_last_gives_the_same(example: Example) -> None:
    inputs = inputs_of(example)
    with torch.inference_mode():
        plain = module_of(example)(*inputs)
        last = [each.contiguous(memory_format=torch.channels_last) if each.dim() == 4 else each for each in inputs]
        assert torch.allclose(module_of(example)(*last), plain, atol=1e-5)


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_layers_survive_pickling(example: Example) -> None:
    layer = pickle.loads(pickle.dumps(example.make()))
    assert contents(layer) == contents(example.make())


def contents(layer: Layer) -> dict[str, Any]:
    """What a layer holds, and what the layers do that it holds."""
    return {name: contents(value) if isinstance(value, Layer) else value for name, value in vars(layer).items()}


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.names[0])
def test_documentation(layer: type[Layer]) -> None:
    assert layer.__doc__
    # Where a section comes from, so that a reader can check it. [net] and our own [partial_split] say it in other words.
    assert re.search(r"Source: ", layer.__doc__) or layer is Net, layer
    for name, option in layer.options.items():
        assert option.doc, name
        assert not option.doc.endswith("."), name
        assert option.parse((option.choices and next(iter(option.choices))) or "1")[0] is not None, name


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.names[0])
def test_defaults_are_what_they_may_be(layer: type[Layer]) -> None:
    for name, option in layer.options.items():
        if option.default is REQUIRED or option.default in (None, "", ()) or isinstance(option.default, tuple):
            continue
        text = str(int(option.default)) if isinstance(option.default, bool) else str(option.default)
        value, problems = option.parse(text)
        # The input of a [net] is 0 until it is given, which the section as a whole complains of.
        assert value == option.default, name
        assert not problems, name


def test_an_option_may_not_hide_a_method() -> None:
    from cspdet.layers.option import Option

    with pytest.raises(TypeError, match="would hide"):
        type("Bad", (Layer,), {"__annotations__": {"shape": "int"}, "shape": Option(1, "hides a method")})


@pytest.mark.parametrize("training", [False, True])
def test_dropout_drops_only_in_training(training: bool) -> None:
    module = module_of(next(example for example in EXAMPLES if example.name == "dropout"))
    x = torch.ones(4, 8, 12, 10)
    out = module.train(training)(x)
    assert (out == 0).any() == training
    assert isinstance(module, nn.Module)
