"""Every training option acts, or says that it does not."""

from __future__ import annotations

import re

import pytest

from cspdet.layers import BY_NAME, LAYERS
from cspdet.train.inert import INERT, NOT_OF_CLASSIFIERS, NOT_OF_DETECTORS, idle
from tests.conftest import ROOT
from tests.train.material import tiny


@pytest.mark.parametrize("section", INERT)
def test_what_is_listed_exists(section: str) -> None:
    assert set(INERT[section]) <= set(BY_NAME[section].options)


# Networks with these are refused, so what their options say does not matter.
REFUSED = {"detection", "contrastive", "rnn", "gru", "lstm", "crnn", "conv_lstm"}


@pytest.mark.parametrize("section", sorted({kind.names[0] for kind in LAYERS} - REFUSED))
def test_every_training_option_is_read_or_listed(section: str) -> None:
    """An option that no line of the package names outside its declaration has no effect."""
    layer = BY_NAME[section]
    text = "\n".join(path.read_text("utf-8") for path in (ROOT / "cspdet").rglob("*.py") if path.name != "inert.py")
    listed = {name for kind in layer.__mro__ for name in INERT.get((vars(kind).get("names") or ("",))[0], {})}
    for name, option in layer.options.items():
        if option.training and name not in listed:
            uses = re.findall(rf"\.{name}\b(?!: )|\"{name}\"|getattr\([^)]*\b{name}\b", text)
            assert uses, f"`{name}` of [{section}] does nothing and says nothing"


def test_idle_options_are_named_once_and_only_where_they_ask_for_something() -> None:
    assert {*NOT_OF_DETECTORS, *NOT_OF_CLASSIFIERS} <= set(BY_NAME["net"].options)
    graph = tiny(net="angle=7\nattention=0\nmosaic_bound=1\nblur=1", head="track_ciou_norm=.5", first="sway=1")
    found = [(each.section, each.option, each.place.line) for each in idle(graph)]
    assert [each[:2] for each in found] == [
        ("net", "angle"),
        ("net", "mosaic_bound"),
        ("convolutional", "sway"),
        ("yolo", "track_ciou_norm"),
    ]
    lines = [line for *_, line in found]
    assert lines == sorted({*lines})
    assert lines[0] > 1
