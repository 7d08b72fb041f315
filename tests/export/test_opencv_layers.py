"""OpenCV computes every layer of an ONNX file as the modules do, in batches."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from cspdet.formats.onnx import OnnxWriter
from cspdet.program.operations import Pad
from tests.engines.test_engines import program_of
from tests.layers.examples import EXAMPLES, Example
from tests.layers.test_every_layer import inputs_of, module_of


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_every_layer(example: Example) -> None:
    program = program_of(example)
    if program is None or not program.operations or program.outputs == (-1,):
        return  # no program, or the layer passes on what it reads
    inputs = inputs_of(example)
    with torch.inference_mode():
        expected = module_of(example)(*inputs).numpy()
    writer = OnnxWriter(program)
    (number,) = program.outputs
    model = writer.model({"output": (writer.name(number), program.dimensions(number))})
    net = cv2.dnn.readNetFromONNX(np.frombuffer(model.SerializeToString(), np.uint8))
    net.setInput(torch.cat([each.flatten(1) for each in inputs], 1).numpy())
    # OpenCV 5.0 pads at most five dimensions at once.
    if any(isinstance(each, Pad) and len(each.dimensions) > 4 for each in program.operations):
        with pytest.raises(cv2.error, match="PAD_MAX_DIMS"):
            net.forward()
        return
    found = net.forward()
    assert found.shape == expected.shape
    assert len(found) > 1
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * max(1, np.abs(expected).max()))
