"""Blocks of the shipped cfgs whose text does not look like the formula it stands for."""

from __future__ import annotations

from pathlib import Path

import torch

import cspdet
from cspdet.cfg.source import Source
from cspdet.rules import load
from tests.conftest import ROOT

INPUT = "[net]\nwidth=12\nheight=12\nchannels=5\n[conv-bn]\nname=stem\nfilters=8\n"


def network(*files: str, layers: str) -> cspdet.Network:
    """A network of `layers`, with blocks from files of `cfg`, and weights and statistics that are none of them 0 or 1."""
    includes = "".join(f"[include]\nfile={ROOT / 'cfg' / file}\n" for file in files)
    graph, _ = load(Source(str(Path("made.cfg")), f"[define]\nactivation=swish\n{includes}{INPUT}{layers}"))
    made = cspdet.Network(graph)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in made.state_dict().items():
            if value.is_floating_point():
                low, high = (-1, 1) if name.endswith(("conv.weight", "bias")) else (0.5, 1.5)
                value.copy_(torch.rand(value.shape, generator=generator) * (high - low) + low)
    return made


def test_extended_aggregation_is_two_blocks_side_by_side() -> None:
    """As the authors' code of YOLOv7-E6E has it; in the neck, with convolutions half as wide."""
    for kind, groups in (("elan", 3), ("elan-h", 6)):
        block = f"hidden=4\nfilters=6\ngroups={groups}\n"
        files = ("common.inc", "elan/blocks.inc", "elan/extended.inc")
        pair = f"[{kind}]\nname=one\n{block}[route]\nlayers=@stem\n[{kind}]\n{block}[shortcut]\nfrom=@one\n"
        two = network(*files, layers=pair)
        one = network(*files, layers=f"[e-{kind}]\nhidden=4\nfilters=6\n")
        stem, *theirs = convolutions(two)
        (own_stem, *mine), half = convolutions(one), len(theirs) // 2
        first, second = theirs[:half], theirs[half:]
        own_stem.load_state_dict(stem.state_dict())
        for wide, left, right in zip(mine[:-2], first, second, strict=False):
            both = zip(left.state_dict().items(), right.state_dict().values(), strict=True)
            wide.load_state_dict({name: torch.cat([a, b]) if a.dim() else a for (name, a), b in both})
        mine[-2].load_state_dict(first[-1].state_dict())
        mine[-1].load_state_dict(second[-1].state_dict())
        assert len(mine) == half + 1
        x = torch.rand(2, 5, 12, 12)
        with torch.inference_mode():
            torch.testing.assert_close(one(x)[0], two(x)[0], rtol=1e-4, atol=1e-4)


def convolutions(made: cspdet.Network) -> list[torch.nn.Module]:
    return [layer for layer, node in zip(made.layers, made.graph.nodes, strict=True) if node.name == "convolutional"]


def test_effective_squeeze_and_excitation_weighs_by_a_hard_sigmoid() -> None:
    """The convolution's weights and biases are a third of the published ones (CenterMask, 1911.06667, section 3.3)."""
    made = network("common.inc", "vovnet/blocks.inc", layers="[ese]\nfilters=8\n")
    x = torch.rand(2, 5, 12, 12) * 4 - 2
    with torch.inference_mode():
        y = made.trace(x)[0]
        weigh = convolutions(made)[1].conv
        published = torch.nn.functional.conv2d(y.mean((2, 3), keepdim=True), 3 * weigh.weight, 3 * weigh.bias)
        weights = torch.nn.functional.relu6(published + 3) / 6
        assert weights.min() == 0
        assert weights.max() == 1
        assert bool(((weights > 0) & (weights < 1)).any())
        torch.testing.assert_close(made(x)[0], weights * y)


def test_maxout_keeps_the_largest_of_every_fourth_channel() -> None:
    made = network("common.inc", "csp/efm.inc", layers="[maxout]\nfrom=@stem\ninto=2\n")
    x = torch.rand(2, 5, 12, 12)
    with torch.inference_mode():
        torch.testing.assert_close(made(x)[0], made.trace(x)[0].unflatten(1, (4, 2)).amax(1))
