"""What was found in one image."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, SupportsIndex

import numpy as np
from numpy.typing import NDArray

Index = int | slice | Sequence[int] | NDArray[np.bool_] | NDArray[np.integer[Any]]


class Detection(NamedTuple):
    """One row of `Detections`: corners in pixels, confidence, number and name of the class."""

    xyxy: tuple[float, float, float, float]
    confidence: float
    class_id: int
    name: str


class Detections:
    """Boxes, confidences and classes, as numpy arrays that cannot be written.

    Attributes:
        xyxy: (n, 4) float32, left, top, right, bottom in pixels of the image. As in Darknet, boxes may reach beyond the image.
        confidence: (n,) float32, 0 … 1.
        class_id: (n,) int64, from 0.
        names: the names of all classes; `names[class_id[i]]` is that of box i. Empty where none are known.
        size: width and height of the image in pixels.

    Indexing with a number, slice, list or mask gives the `Detections` of those rows; iterating gives one `Detection` a row.
    A box of several classes has a row for each.
    """

    __slots__ = ("class_id", "confidence", "names", "size", "xyxy")

    xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int64]
    names: tuple[str, ...]
    size: tuple[int, int]

    def __init__(
        self, xyxy: Any, confidence: Any, class_id: Any, names: Sequence[str] = (), size: tuple[int, int] = (0, 0)
    ) -> None:
        arrays: dict[str, NDArray[Any]] = {
            "xyxy": np.array(xyxy, np.float32).reshape(-1, 4),
            "confidence": np.array(confidence, np.float32).reshape(-1),
            "class_id": np.array(class_id, np.int64).reshape(-1),
        }
        if len({len(array) for array in arrays.values()}) > 1:
            raise ValueError(", ".join(f"{len(array)} {name}" for name, array in arrays.items()))
        for name, array in arrays.items():
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "names", tuple(names))
        object.__setattr__(self, "size", tuple(size))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"`Detections.{name}` cannot be changed; make new `Detections`")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"`Detections.{name}` cannot be deleted")

    def __reduce__(self) -> tuple[Any, ...]:
        return Detections, (self.xyxy, self.confidence, self.class_id, self.names, self.size)

    def __len__(self) -> int:
        return len(self.xyxy)

    def __getitem__(self, index: Index) -> Detections:
        rows: Any = [index] if isinstance(index, SupportsIndex) and not isinstance(index, np.ndarray) else index
        if isinstance(rows, tuple):
            rows = [*rows]  # numpy takes a tuple for a place in two dimensions
        return Detections(self.xyxy[rows], self.confidence[rows], self.class_id[rows], self.names, self.size)

    def __iter__(self) -> Iterator[Detection]:
        for box, confidence, number, name in zip(self.xyxy, self.confidence, self.class_id, self.labels, strict=True):
            left, top, right, bottom = map(float, box)
            yield Detection((left, top, right, bottom), float(confidence), int(number), name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Detections):
            return NotImplemented
        mine, theirs = self.__reduce__()[1], other.__reduce__()[1]
        return all(np.array_equal(one, two) for one, two in zip(mine, theirs, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        found = ", ".join(f"{each.name} {each.confidence:.2f}" for each in list(self)[:8])
        return f"Detections({len(self)}: {found}{', …' if len(self) > 8 else ''})"

    @property
    def labels(self) -> list[str]:
        """The name of each row's class; its number where there is no name."""
        return [self.names[number] if 0 <= number < len(self.names) else str(number) for number in self.class_id]

    @property
    def xywh(self) -> NDArray[np.float32]:
        """(n, 4): centre x, centre y, width, height in pixels."""
        found = np.empty_like(self.xyxy)
        found[:, :2] = (self.xyxy[:, :2] + self.xyxy[:, 2:]) / 2
        found[:, 2:] = self.xyxy[:, 2:] - self.xyxy[:, :2]
        return found

    @property
    def xywhn(self) -> NDArray[np.float32]:
        """(n, 4): the same as shares of the image's width and height; what label files and Darknet's JSON hold."""
        width, height = (max(1, side) for side in self.size)
        scale: NDArray[np.float32] = np.array([width, height, width, height], np.float32)
        return np.divide(self.xywh, scale, dtype=np.float32)

    def of_classes(self, classes: int | str | Sequence[int | str]) -> Detections:
        """Only the rows of these classes, or of one, given by number or name.

        Raises:
            ValueError: there is no class of that name.
        """
        several: Sequence[int | str] = [classes] if isinstance(classes, str | int) else classes
        unknown = [each for each in several if isinstance(each, str) and each not in self.names]
        if unknown:
            raise ValueError(f"there is no class `{unknown[0]}`")
        wanted = [self.names.index(each) if isinstance(each, str) else int(each) for each in several]
        return self[np.isin(self.class_id, wanted)]

    def to_dicts(self) -> list[dict[str, Any]]:
        """One dictionary a row, with the keys of Darknet's JSON."""
        return [
            {
                "class_id": int(number),
                "name": name,
                "relative_coordinates": dict(zip(("center_x", "center_y", "width", "height"), map(float, box), strict=True)),
                "confidence": float(confidence),
            }
            for number, name, box, confidence in zip(self.class_id, self.labels, self.xywhn, self.confidence, strict=True)
        ]

    def to_json(self, indent: int | None = None) -> str:
        """`to_dicts` as JSON text."""
        return json.dumps(self.to_dicts(), indent=indent, ensure_ascii=False)

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a row for each box: xmin, ymin, xmax, ymax, confidence, class, name.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("`to_pandas` needs pandas: `pip install pandas`") from error

        frame = pd.DataFrame(self.xyxy, columns=["xmin", "ymin", "xmax", "ymax"])
        return frame.assign(**{"confidence": self.confidence, "class": self.class_id, "name": self.labels})

    def to_supervision(self) -> Any:
        """A `supervision.Detections`, with the classes' names in `data["class_name"]`.

        Raises:
            ImportError: supervision is not installed.
        """
        try:
            import supervision as sv
        except ImportError as error:
            raise ImportError("`to_supervision` needs supervision: `pip install supervision`") from error

        return sv.Detections(
            xyxy=self.xyxy.copy(),
            confidence=self.confidence.copy(),
            class_id=self.class_id.astype(int),
            data={"class_name": np.array(self.labels, dtype=str)},
        )
