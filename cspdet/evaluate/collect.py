"""A detector and annotated pictures → a record of what was found and what is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cspdet.data.description import places
from cspdet.data.pictures import Picture, label_path, listed
from cspdet.detections import Detections
from cspdet.errors import UsageError
from cspdet.evaluate.looking import Advance, Say, Steps, ignore, look_at, say
from cspdet.evaluate.records import Collected
from cspdet.image import Exact, Pixels
from cspdet.layers.head import Head
from cspdet.names import check_names
from cspdet.paths import first_file
from cspdet.text import counted

if TYPE_CHECKING:
    from cspdet.detector import Detector

# What finds objects in images: (H, W, 3) uint8, blue first.
Find = Callable[[Sequence[Pixels]], Sequence[Detections]]

# What Darknet does to boxes before it evaluates them (`detector.c:validate_detector_map`).
LEAST = 0.005
SUPPRESSION = 0.45


class Finder(NamedTuple):
    """How objects are found, the names of their classes, and whether pictures must be decoded as Darknet does."""

    steps: Steps
    names: tuple[str, ...]
    exact: bool


def finder(detector: Detector | Find, names: Sequence[str] = (), *, like: str = "", letterbox: bool | None = None) -> Finder:
    """How to ask a detector, and the names of its classes: those given, else its own, else their numbers.

    A `Detector` is asked for all boxes above .005, as Darknet does; `like` and `letterbox` are as for its `detect`. Any other
    function is taken as it is.

    Raises:
        UsageError: the detector has no detection head or another number of classes, or nobody says how many there are.
    """
    from cspdet.detector import Detector

    if not isinstance(detector, Detector):
        if not names:
            raise UsageError("how many classes there are is not known", 'give their names: `names=("cat", "dog")`')
        return Finder(whole(detector), tuple(names), True)
    stages = detector.stages(threshold=LEAST, nms=SUPPRESSION, like=like, letterbox=letterbox)
    classes = max(node.layer.classes for node in detector.graph.heads if isinstance(node.layer, Head))
    if names:
        check_names(names, classes, "`names`")
    steps = Steps(stages.prepare, stages.infer, lambda looks, raw: stages.found([each.prepared for each in looks], raw))
    called = tuple(names) or detector.names or tuple(map(str, range(classes)))
    return Finder(steps, called, stages.exact)


def whole(find: Find) -> Steps:
    """A function that finds objects, called in the thread it comes from."""
    return Steps(lambda pixels: pixels, lambda _: None, lambda looks, _: find([each.prepared for each in looks]))


def collect(
    detector: Detector | Find,
    pictures: Sequence[Picture],
    names: Sequence[str] = (),
    *,
    difficult: Mapping[int, Path] | None = None,
    batch: int = 1,
    like: str = "",
    letterbox: bool | None = None,
    exact: Exact | None = None,
    advance: Advance = ignore,
    warn: Say = say,
) -> Collected:
    """Let a detector look at pictures, or at a share of them: `merge` puts the shares of several processes together.

    A picture that cannot be read is left out with a warning, and so are labels that are none. A picture without a label file
    has no objects. Pictures are numbered by their lines.

    Args:
        detector: a `Detector`, or any function that gives the `Detections` of each of some images, arrays (H, W, 3) of uint8
            with blue first. It should give the unsure ones, too: a `Detector` is asked for all above .005.
        pictures: where to look, as `read_list` gives them.
        names: the names of all classes; by default the detector's own.
        difficult: files of further labels, of objects that need not be found, by the number of the picture.
        batch: pictures that the detector is given at a time.
        like: program whose preprocessing is used, as for `Detector.detect`.
        letterbox: keep the pictures' proportions, as for `Detector.detect`.
        exact: decode JPEGs to the bit as Darknet does, which takes longer, or what does so; by default where the preprocessing
            is Darknet's.
        advance: called with the number of pictures that were looked at since the last call.
        warn: called with what goes wrong; a Python warning by default.

    Raises:
        UsageError: two pictures have the same number, the detector gives what cannot be, or its classes are not known.
    """
    steps, called, needed = finder(detector, names, like=like, letterbox=letterbox)
    return look_at(
        steps,
        pictures,
        len(called),
        difficult=difficult,
        batch=batch,
        exact=needed if exact is None else exact,
        advance=advance,
        warn=warn,
    )


def difficult_labels(path: Path, pictures: Sequence[Picture]) -> dict[int, Path]:
    """The files with difficult objects by the number of the picture, from the list that `difficult=` names in a `.data` file.

    It has a line for each picture, in the same order: the name of an image that need not exist, of which only the label file
    counts, such as `JPEGImages/difficult_000001.jpg`.

    Raises:
        UsageError: it is missing or has another number of lines, or none of the label files is there.
    """
    lines = [written for written, _ in listed(path)]
    if len(lines) != len(pictures):
        fact = f"`{path}` lists {counted(len(lines), 'image')}, the list of pictures {len(pictures):,}"
        raise UsageError(f"{fact}: they do not belong together", "each picture needs a line, in the same order")
    files = [first_file(map(label_path, places(written, path))) for written in lines]
    if not any(files):
        raise UsageError(
            f"none of the label files that `{path}` stands for is there, such as `{label_path(Path(lines[0]))}`",
            "put them there, or take `difficult=` out of the .data file",
        )
    return {picture.line: file for picture, file in zip(pictures, files, strict=True) if file is not None}
