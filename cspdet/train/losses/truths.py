"""The true objects of a batch, as a head takes them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from cspdet.errors import UsageError
from cspdet.layers.region import Region
from cspdet.layers.yolo import Yolo


class Truths(NamedTuple):
    """M rows for each of N images, of which some do not count: they fill up, or are no object the head could learn."""

    boxes: Tensor  # (N, M, 4)
    # The class of the label, and what `map` makes of it; 0 where the row does not count.
    labels: Tensor  # (N, M)
    classes: Tensor  # (N, M)
    counted: Tensor  # (N, M)


def read_truths(head: Yolo | Region, truth: Tensor, like: Tensor) -> Truths:
    """Rows of class, x, y, width, height, (N, M, 5), in the type and on the device of `like`.

    A row does not count if its class is none of the head's, before or after `map`, if its centre is outside the image, or if
    it has no area. Darknet skips the first, takes the second for an object of whatever cell its memory ends up in, and gets
    an infinite gradient from the third. To Darknet, a centre at x = 0 also ends the image's list; here, it does not.

    Raises:
        UsageError: the head's `map` was not found.
    """
    rows = truth[:, : head.max].to(like)
    label, boxes = rows[..., 0], rows[..., 1:]
    x, y, w, h = boxes.unbind(-1)
    counted = (label >= 0) & (label < head.classes) & (x >= 0) & (x <= 1) & (y >= 0) & (y <= 1) & (w > 0) & (h > 0)
    labels = torch.where(counted, label, 0).long()
    classes = labels
    if head.map:
        classes = _mapping(head, like)[labels]
        counted = counted & (classes >= 0) & (classes < head.classes)
    return Truths(boxes, torch.where(counted, labels, 0), torch.where(counted, classes, 0), counted)


def _mapping(head: Yolo | Region, like: Tensor) -> Tensor:
    """What `map` makes of each class; -1 for those it says nothing about."""
    if head.class_map is None:
        raise UsageError(f"the class map `{head.map}` is not there", "put the file beside the cfg")
    padded = [*head.class_map, *[-1] * head.classes][: head.classes]
    return constant(padded, like, torch.long)


def constant(
    values: list[int] | list[float] | list[tuple[float, float]], like: Tensor, dtype: torch.dtype | None = None
) -> Tensor:
    """Numbers as a tensor on the device of `like`, which does not have to wait for it."""
    return torch.tensor(values, dtype=dtype or like.dtype).to(like.device, non_blocking=True)


def class_multipliers(head: Yolo, like: Tensor) -> Tensor | None:
    """How much more an object of each class counts, (classes,), to balance rare ones; at most `max_delta`.

    Source: `parser.c:get_classes_multipliers`.
    """
    if not head.counters_per_class:
        return None
    counters = [max(1, counter) for counter in head.counters_per_class]
    largest = max(counters)
    return constant([min(largest / counter, head.max_delta) for counter in counters], like)
