"""What a data set holds: images, objects of each class, sizes and places of boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cspdet.data.description import PARTS, Description
from cspdet.data.labels import Truth, read_labels
from cspdet.data.pictures import read_list
from cspdet.errors import UsageError
from cspdet.text import printable

_SHARES = (("smallest", 0), ("a tenth is below", 10), ("median", 50), ("a tenth is above", 90), ("largest", 100))


class Part(NamedTuple):
    """The labels of one list."""

    name: str
    # (n, 5): class, x, y, width, height.
    rows: Truth
    # Objects in each image.
    per_image: NDArray[np.int64]
    # Images without a label file, and labels that were left out: no labels, or of no class and no size that there can be.
    without_labels: int
    left_out: int

    def per_class(self, classes: int) -> NDArray[np.int64]:
        """Objects of each class."""
        return np.bincount(self.rows[:, 0].astype(np.int64), minlength=classes)


def collect(description: Description, parts: Sequence[str] = ()) -> list[Part]:
    """Read the labels of the parts; of all that the description names, unless they are given.

    Raises:
        UsageError: there is no list, or none of its images is there.
    """
    wanted = parts or [part for part in PARTS if getattr(description, part)]
    if not wanted:
        description.list_of(PARTS[0])  # raises, and says how to add it
    return [_collect(description, part) for part in wanted]


def _collect(description: Description, name: str) -> Part:
    labels = [read_labels(picture.labels) for picture in read_list(description.list_of(name))]
    faults = [fault for each in labels for fault in each.faults]
    rows, good = [], []
    for each in labels:
        number, sizes = each.rows[:, 0], each.rows[:, 3:]
        kept = (number >= 0) & (number < description.classes) & (sizes > 0).all(1) & (sizes <= 1).all(1)
        rows.append(each.rows[kept])
        good.append(int(kept.sum()))
    left_out = sum(len(each.rows) for each in labels) - sum(good) + sum(fault.code == "malformed-label" for fault in faults)
    missing = sum(fault.code in ("missing-labels", "unreadable-labels") for fault in faults)
    return Part(name, np.concatenate(rows), np.array(good, np.int64), missing, left_out)


def boxes_of(description: Description, name: str) -> tuple[Truth, int]:
    """The objects of a part, (n, 5), and how many labels were left out.

    Raises:
        UsageError: there is no list, none of its images is there, or none has an object.
    """
    part = _collect(description, name)
    if not len(part.rows):
        cure = f"`cspdet data check {description.path}` says where labels are looked for, and what is wrong with them"
        raise UsageError(f"no image of `{name}` in `{description.path}` has an object", cure)
    return part.rows, part.left_out


def facts(description: Description, parts: Sequence[Part]) -> dict[str, Any]:
    """For machines: everything that `table` shows."""
    return {
        "classes": description.classes,
        "names": list(description.names),
        "parts": {
            part.name: {
                "images": len(part.per_image),
                "without_objects": int((part.per_image == 0).sum()),
                "without_labels": part.without_labels,
                "left_out": part.left_out,
                "objects": len(part.rows),
                "most_in_one_image": int(part.per_image.max()),
                "per_class": part.per_class(description.classes).tolist(),
                "widths": _percentiles(part.rows[:, 3]),
                "heights": _percentiles(part.rows[:, 4]),
            }
            for part in parts
        },
    }


def table(description: Description, parts: Sequence[Part]) -> str:
    """For people: a column for each part."""
    found = facts(description, parts)["parts"].values()
    rows: list[tuple[str, list[str]]] = [("", [part.name for part in parts])]

    def add(title: str, values: Sequence[str]) -> None:
        rows.append((title, list(values)))

    add("images", [f"{each['images']:,}" for each in found])
    add("images without objects", [f"{each['without_objects']:,}" for each in found])
    if any(each["without_labels"] for each in found):
        add("  of these, without a label file", [f"{each['without_labels']:,}" for each in found])
    add("objects", [f"{each['objects']:,}" for each in found])
    add("objects per image, on average", [f"{each['objects'] / each['images']:.2f}" for each in found])
    add("objects per image, at most", [f"{each['most_in_one_image']:,}" for each in found])
    if any(each["left_out"] for each in found):
        add("labels left out", [f"{each['left_out']:,}" for each in found])
    for side in ("widths", "heights"):
        add("", [])
        add(f"{side} of boxes, of the image's", [])
        for title, _ in _SHARES:
            add(f"  {title}", [f"{100 * each[side][title]:.1f} %" if each[side] else "–" for each in found])
    add("", [])
    add("objects of each class", [])
    for number in range(description.classes):
        add(f"  {printable(description.class_name(number))}", [f"{each['per_class'][number]:,}" for each in found])
    width = max(len(title) for title, _ in rows)
    column = max(8, *(len(value) for _, values in rows for value in values))
    return "\n".join(f"{title:{width}}{''.join(f'  {value:>{column}}' for value in values)}".rstrip() for title, values in rows)


def _percentiles(values: NDArray[np.float32]) -> dict[str, float]:
    if not len(values):
        return {}
    found = np.percentile(values, [share for _, share in _SHARES])
    return {title: round(float(value), 6) for (title, _), value in zip(_SHARES, found, strict=True)}
