"""Squares that are zeroed in training."""

from __future__ import annotations

from typing import Any

import torch
from torch._dynamo.testing import CompileCounter

from cspdet.layers.dropout import Dropout
from tests.train.material import graph_of

CFG = "[net]\nwidth=16\nheight=12\nchannels=3\n[dropout]\ndropblock=1\nprobability=.5\ndropblock_size_abs=4\n"


def block() -> tuple[Dropout, Any]:
    layer: Any = graph_of(CFG).nodes[0].layer
    assert isinstance(layer, Dropout)
    parts = torch.nn.Module()
    parts.register_buffer("ramp", torch.ones(()))
    return layer, parts


def test_each_map_loses_one_whole_square_or_none() -> None:
    torch.manual_seed(0)
    layer, parts = block()
    x = torch.ones(4, 64, 12, 16)
    found = layer.forward(parts, x)
    zeros = (found == 0).flatten(2)
    assert set(zeros.sum(2).flatten().tolist()) == {0, 16}
    for map_ in (found == 0).flatten(0, 1):
        if map_.any():
            rows, columns = map_.nonzero().T
            assert (rows.max() - rows.min(), columns.max() - columns.min()) == (3, 3)
    # What is left is scaled up, image by image.
    torch.testing.assert_close(found.mean((1, 2, 3)), torch.ones(4))
    parts.ramp.fill_(0)
    assert torch.equal(layer.forward(parts, x), x)
    parts.ramp.fill_(1)
    assert torch.equal(layer.forward(parts.eval(), x), x)


def test_it_is_compiled_once_however_far_it_has_grown() -> None:
    layer, parts = block()
    counter = CompileCounter()
    compiled = torch.compile(lambda x: layer.forward(parts, x), backend=counter, fullgraph=True)
    for ramp in (0.1, 0.2, 0.5, 1):
        parts.ramp.fill_(ramp)
        compiled(torch.ones(2, 3, 12, 16))
    assert counter.frame_count == 1
