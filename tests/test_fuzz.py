"""A few seconds of `tests/fuzz`, with a fixed seed; and that it finds what it looks for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from cspdet.cfg.source import Source
from cspdet.layers import LAYERS
from cspdet.layers.avgpool import Avgpool
from cspdet.layers.base import Shape
from cspdet.layers.net import Net
from cspdet.rules import examine
from tests.fuzz import common
from tests.fuzz.cfgs import Cfgs, is_small, made_cfg, written
from tests.fuzz.common import BrokenError, Case, Watch
from tests.fuzz.running import KINDS, fuzz, make_case, reduced, try_case

SEED = 1


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Times are those of the processor: several threads would add up."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(("name", "count"), [("cfgs", 120), ("weights", 300), ("images", 200), ("files", 200)])
def test_every_input_is_answered(name: str, count: int, tmp_path: Path) -> None:
    found, watch = fuzz(name, SEED, count, tmp_path)
    assert not found, "\n".join(map(str, found))
    assert watch.counts  # something came through to the end


def test_the_made_cfg_has_every_section_type() -> None:
    graph, diagnostics = examine(Source("made.cfg", made_cfg()))
    assert graph is not None, [each.message for each in diagnostics if each.severity == "error"]
    assert {type(node.layer) for node in graph.nodes} == {*LAYERS} - {Net}
    assert is_small(graph)


@pytest.mark.parametrize("name", KINDS)
def test_a_case_can_be_made_again(name: str, tmp_path: Path) -> None:
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    first, second = (KINDS[name](folder) for folder in folders)
    for number in range(3):
        assert make_case(first, SEED, number) == make_case(second, SEED, number)
    assert len({make_case(first, SEED, number).data for number in range(20)}) > 10


def test_a_wrong_shape_is_found_and_reduced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Avgpool, "shape", lambda _layer, x: Shape(x.channels, 2, 1))
    kind = Cfgs(tmp_path)
    lines = ["net width=4 height=4 channels=3", "convolutional filters=2 size=3 pad=1", "avgpool", "softmax"]
    text = "\n".join(map(written, lines))
    case = Case(text.encode(), {"dialect": "alexeyab", "size": {}, "batch": 2, "seed": 0})
    assert try_case(kind, case, Watch()) == ("shape of [avgpool]", "(2, 2, 1, 1), not (2, 2, 2, 1)")
    fewer = reduced(kind, case, "shape of [avgpool]").data.decode().split()
    assert fewer == ["[net]", "width=4", "height=4", "channels=3", "[avgpool]"]


def test_an_exception_is_found_and_placed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_layer: Avgpool, x: Shape) -> Shape:
        raise ZeroDivisionError(f"{x}")

    monkeypatch.setattr(Avgpool, "shape", broken)
    case = Case(
        b"[net]\nwidth=4\nheight=4\nchannels=3\n[avgpool]\n", {"dialect": "alexeyab", "size": {}, "batch": 1, "seed": 0}
    )
    found = try_case(Cfgs(tmp_path), case, Watch())
    assert found == ("ZeroDivisionError in build.py:add", "4x4x3")


def test_slow_and_large_steps_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch()
    monkeypatch.setattr(common, "LONGEST", 0.05)
    with pytest.raises(BrokenError, match="slow: dawdling"), watch.step("dawdling"):
        sum(range(10_000_000))
    if Path("/proc/self/clear_refs").exists():
        monkeypatch.setattr(common, "LONGEST", 60)
        monkeypatch.setattr(common, "LARGEST", 2**24)
        with pytest.raises(BrokenError, match="large: hoarding"), watch.step("hoarding"):
            bytearray(b"x" * 2**26)
