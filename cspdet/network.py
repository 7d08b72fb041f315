"""Graph → PyTorch module."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Container, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cspdet.errors import UsageError
from cspdet.graph import Graph, Node
from cspdet.layers.base import Array, Layer
from cspdet.text import brief


class LayerModule(nn.Module):
    """One layer of a network. Its submodules, parameters and buffers are what the layer's `parts` made."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self.layer: Layer = node.layer
        # Whether gradients end here, and whether it computes in float32 under autocast too. Training sets them.
        self.ends_gradients = False
        self.precise = False
        for name, part in node.layer.parts(*node.inputs).items():
            if isinstance(part, nn.Module):
                self.add_module(name, part)
            elif isinstance(part, nn.Parameter):
                self.register_parameter(name, part)
            else:
                self.register_buffer(name, part, persistent=False)

    def forward(self, *inputs: Tensor, parts: LayerModule | None = None) -> Tensor:
        """What Darknet's `output` of the layer holds. `parts` is the module whose weights are used, if not its own."""
        if self.precise:
            with torch.autocast(inputs[0].device.type, enabled=False):
                return self.layer.forward(parts or self, *(each.float() for each in inputs))
        output = self.layer.forward(parts or self, *inputs)
        return output.detach() if self.ends_gradients else output

    def extra_repr(self) -> str:
        """The section's name and the options that were given."""
        given = ", ".join(
            f"{name}={getattr(self.layer, name, None)}" for name in self.layer.options if name in self.layer.given
        )
        return f"[{self.layer.names[0]}] {given}"


class Network(nn.Module):
    """A network made from a graph: an ordinary module, with one `LayerModule` per section in `layers`.

    Calling it gives the raw outputs: for each detection head what it reads, (N, C, H, W); for a network without heads the
    last output. The batch is free, and so is the size where no layer is connected. It never looks at `training` to decide
    what to return. Hooks belong on `layers`: within one, the activation works in place on what its submodules put out.
    """

    def __init__(self, graph: Graph, *, empty: bool = False, seed: int = 0) -> None:
        """A network as it starts training: weights uniform within ±√(2 / fan-in), as `make_convolutional_layer` has them.

        An `empty` one has no memory for its weights yet; `load_arrays` gives it some.
        """
        super().__init__()
        self.graph = graph
        with torch.device("meta"):
            self.layers = nn.ModuleList(LayerModule(node) for node in graph.nodes)
        self._steps = _steps(graph, graph.outputs)
        self._training_steps = _steps(graph, graph.outputs + graph.auxiliary_outputs)
        self._restore_buffers()
        if not empty:
            self.load_arrays({})
            self.initialise(self.state_dict(), seed)
        self.eval()

    def initialise(self, keys: Container[str], seed: int = 0) -> None:
        """Give the arrays of these state_dict keys the values they start training with."""
        generator = torch.Generator().manual_seed(seed)
        state = self.state_dict()
        for node in self.graph.nodes:
            for name, array in node.arrays.items():
                key = f"layers.{node.index}.{name}"
                if key in keys:
                    with torch.no_grad():
                        _initialise(state[key], array, generator)

    def load_arrays(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        """Take these arrays, by state_dict key, as they are, without copying them; zeros for the others."""
        state = {}
        for key, value in self.state_dict().items():
            if key in arrays:
                state[key] = torch.from_numpy(arrays[key])
            elif value.is_meta:
                state[key] = torch.zeros(value.shape, dtype=value.dtype)
            else:
                state[key] = value
        self.load_state_dict(state, assign=True)

    def forward(self, x: Tensor, *, auxiliary: bool = False) -> list[Tensor]:
        """(N, C, H, W), or (N, inputs) → the raw outputs, one tensor for each of `graph.outputs`.

        With `auxiliary`, those of `graph.auxiliary_outputs` follow; otherwise, layers that only they need do not run.
        """
        # oneDNN and cuDNN convolve in this order; in any other, they hold a second copy of input and output meanwhile.
        outputs: dict[int, Tensor] = {-1: x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x}
        for node, spent in self._training_steps if auxiliary else self._steps:
            outputs[node.index] = self._run(node, self.layers[node.index], outputs)
            for index in spent:
                del outputs[index]
        wanted = self.graph.outputs + (self.graph.auxiliary_outputs if auxiliary else ())
        return [outputs[index].contiguous() for index in wanted]

    @torch.no_grad()
    def trace(self, x: Tensor) -> list[Tensor]:
        """What Darknet's `output` of every layer holds after a forward pass, heads included. Computed without gradients.

        x is (N, C, H, W), or (N, inputs) for a network without width and height.
        """
        outputs: dict[int, Tensor] = {-1: x}
        for node, module in zip(self.graph.nodes, self.layers, strict=True):
            outputs[node.index] = self._run(node, module, outputs)
        return [outputs[node.index] for node in self.graph.nodes]

    def reset(self) -> None:
        """Clear the state of recurrent layers."""
        for state in self._states():
            state.zero_()

    def _run(self, node: Node, module: nn.Module, outputs: dict[int, Tensor]) -> Tensor:
        inputs = [outputs[source] for source in node.sources]
        if node.shares is not None:
            return module(*inputs, parts=self.layers[node.shares])  # type: ignore[no-any-return]
        return module(*inputs)  # type: ignore[no-any-return]

    def _states(self) -> Iterator[Tensor]:
        """The buffers outside the state_dict."""
        for module in self.layers:
            yield from module.buffers(recurse=False)

    def _restore_buffers(self) -> None:
        """Buffers outside the state_dict are states: they start as zeros, on a real device."""
        for module in self.layers:
            for name, buffer in [*module.named_buffers(recurse=False)]:
                setattr(module, name, torch.zeros(buffer.shape))


def _steps(graph: Graph, outputs: Collection[int]) -> list[tuple[Node, tuple[int, ...]]]:
    """The nodes that the outputs need, each with those whose outputs nobody reads any more once it has run."""
    nodes = graph.needed(outputs)
    spent: dict[int, list[int]] = {node.index: [] for node in nodes}
    for source, last in {source: node.index for node in nodes for source in node.sources}.items():
        if source >= 0 and source not in outputs:
            spent[last].append(source)
    return [(node, tuple(spent[node.index])) for node in nodes]


def _initialise(value: Tensor, array: Array, generator: torch.Generator) -> None:
    if array.initial:
        value.normal_(*array.initial, generator=generator)
    elif array.role == "weights":
        bound = (2 / array.fan_in) ** 0.5
        value.uniform_(-bound, bound, generator=generator)
    elif array.role in ("scales", "rolling_variance", "shortcut_weights"):
        value.fill_(1)
    else:
        value.zero_()


def as_array(value: Any) -> NDArray[np.float32]:
    """A parameter as a numpy array on the CPU, without a copy where it is there already."""
    return value.detach().to("cpu", torch.float32).numpy()  # type: ignore[no-any-return]


def usable_device(name: str) -> torch.device:
    """The `torch.device` of that name.

    Raises:
        UsageError: there is none, or it cannot be used.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError, ImportError, AttributeError, TypeError) as error:
        reason = brief(" ".join(str(error).split(". ")[0].split()), 120).rstrip(".")
        raise UsageError(f"the device `{name}` cannot be used: {reason[:1].lower()}{reason[1:]}", "use `cpu`") from None
    return device


def check_compiler(device: torch.device) -> None:
    """See that torch.compile works on a device: on CPUs it needs a C++ compiler.

    Raises:
        UsageError: it does not.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # PyTorch 2.13 warns of what it does itself
            torch.compile(torch.neg)(torch.ones(1, device=device))
    except Exception as error:  # of the compiler, and of what looks for one
        reason = brief(" ".join(str(error).split("\n\n")[0].split()), 120)
        message = f"torch.compile does not work here: {reason}"
        raise UsageError(message, "install a C++ compiler, such as g++, or leave `--compile` out") from None
