"""OpenCV computes every layer of an ONNX file as the modules do, in batches."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from cspdet.formats.onnx import OnnxWriter
from cspdet.layers.base import Shape
from cspdet.program.operations import Pad
from cspdet.program.states import dimensions_of, name_after, name_before
from tests.engines.test_engines import program_of
from tests.layers.examples import EXAMPLES, Example
from tests.layers.test_every_layer import inputs_of, module_of


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_every_layer(example: Example) -> None:
    program = program_of(example)
    if program is None or not program.operations or program.outputs == (-1,):
        return  # no program, or the layer passes on what it reads
    writer = OnnxWriter(program)
    (number,) = program.outputs
    model = writer.model({"output": (writer.name(number), program.dimensions(number))})
    net = cv2.dnn.readNetFromONNX(np.frombuffer(model.SerializeToString(), np.uint8))
    inputs = inputs_of(example)
    net.setInput(torch.cat([each.flatten(1) for each in inputs], 1).numpy(), "images")
    # OpenCV 5.0 pads at most five dimensions at once.
    if any(isinstance(each, Pad) and len(each.dimensions) > 4 for each in program.operations):
        with pytest.raises(cv2.error, match="PAD_MAX_DIMS"):
            net.forward()
        return
    module = module_of(example)
    names = net.getUnconnectedOutLayersNames()
    states = [np.zeros((2, *each), np.float32) for each in dimensions_of(program)]
    for _ in range(3 if states else 1):
        with torch.inference_mode():
            expected = module(*inputs).numpy().copy()
        for place, state in enumerate(states):
            net.setInput(state, name_before(place))
        outputs = dict(zip(names, map(np.array, net.forward(names)), strict=True))
        states = [outputs[name_after(place)] for place in range(len(states))]
        found = outputs["output"]
        assert found.shape == expected.shape
        assert len(found) > 1
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * max(1, np.abs(expected).max()))


def test_a_tangent_of_large_numbers() -> None:
    """OpenCV 5.0's own is not a number from 45 on."""
    program = program_of(Example("activation", {"activation": "tanh"}, (Shape(1, 1, 6),)))
    assert program is not None
    writer = OnnxWriter(program)
    model = writer.model({"output": (writer.name(program.outputs[0]), (1, 1, 6))})
    net = cv2.dnn.readNetFromONNX(np.frombuffer(model.SerializeToString(), np.uint8))
    x = np.array([[-1e30, -50, -9, 0.5, 45, 1e4]], np.float32)
    net.setInput(x, "images")
    np.testing.assert_allclose(net.forward().reshape(x.shape), np.tanh(x), atol=1e-6)
