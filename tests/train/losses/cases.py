"""Inputs for the losses: Darknet's goldens, and random batches with everything in them that could go wrong."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cspdet.cfg.source import Source
from cspdet.layers.base import Shape
from cspdet.layers.head import Head
from cspdet.rules import examine
from cspdet.train.losses import LOSSES
from cspdet.train.losses.base import Loss, Progress
from tests.conftest import HAS_REFERENCE, REFERENCE

NETWORK = Shape(3, 128, 224)
ROWS, COLUMNS = 4, 7
ANCHORS = (10.0, 14.0, 23.0, 27.0, 37.0, 58.0, 81.0, 82.0, 135.0, 90.0)
SETTLED = Progress(20_000, 100_000, 1_000_000)


def golden_names() -> list[str]:
    return list(goldens()) if HAS_REFERENCE else ["no goldens"]


@cache
def goldens() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((REFERENCE / "golden" / "losses.json").read_text())
    return found


class Golden:
    """One case: a net that is nothing but a head, what it read, and what Darknet made of it."""

    def __init__(self, name: str) -> None:
        case, arrays = goldens()[name], np.load(REFERENCE / "golden" / "losses.npz")
        graph, _ = examine(Source(f"{name}.cfg", case["cfg"]))
        assert graph is not None
        head = graph.nodes[-1].layer
        assert isinstance(head, Head)
        self.head, self.network, self.cost = head, graph.input, case["cost"]
        self.raw, self.delta = arrays[f"{name}.input"], arrays[f"{name}.delta"].reshape(arrays[f"{name}.input"].shape)
        images = case["truth"]
        if name == "region":
            # Darknet found none for the second image: its delta there is that of an image without truths.
            images = [images[0], []]
        self.truth = np.full((len(images), max(map(len, images)), 5), -1, np.float32)
        for image, rows in enumerate(images):
            for place, (x, y, w, h, label, _) in enumerate(rows):
                self.truth[image, place] = label, x, y, w, h


def random_raw(head: Head, images: int = 2, seed: int = 0, spread: float = 1.5) -> Any:
    """What a head reads, in double precision; probabilities where it wants those."""
    raw = np.random.default_rng(seed).normal(0, spread, (images, head.needed(), ROWS, COLUMNS))
    return 1 / (1 + np.exp(-raw)) if getattr(head, "new_coords", False) else raw


def random_truth(classes: int, images: int = 2, count: int = 14, seed: int = 0) -> Any:
    """Truths, several of which fall into one cell, and some of which are none."""
    random = np.random.default_rng(seed)
    truth = np.zeros((images, count, 5), np.float32)
    truth[..., 0] = random.integers(0, classes, (images, count))
    truth[..., 1:3] = random.uniform(0.01, 0.99, (images, count, 2))
    truth[..., 3:] = random.uniform(0.03, 0.9, (images, count, 2)) ** 1.5
    for rows in truth:
        rows[1] = rows[0]  # the same twice
        rows[2, 1:] = rows[0, 1:]  # the same box of perhaps another class
        rows[3, 1:3] = rows[4, 1:3]  # one cell, two sizes
        rows[5, 1:3] = rows[4, 1:3]
        rows[6, 0] = classes  # a class that is not there
        rows[7, 0] = -1
        rows[8, 1:3] = 1  # the lower right corner
        rows[9, 1] = 1.2  # outside
        rows[10, 3] = 0  # nothing
        rows[11, 1:3] = 0.001
    return truth


def evaluate(head: Head, raw: Any, truth: Any, network: Shape = NETWORK, progress: Progress = SETTLED) -> tuple[Loss, Any]:
    """The loss, and minus its gradient."""
    leaf = torch.tensor(raw, requires_grad=True)
    loss = LOSSES[type(head)](head, leaf, torch.tensor(truth), network, progress)
    loss.total.backward()
    assert isinstance(leaf.grad, Tensor)
    return loss, -leaf.grad.numpy()


def close(found: Any, expected: Any, share: float = 1e-9) -> None:
    """Equal to within a share of the largest entry."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=share * max(1.0, float(np.abs(expected).max())))
