"""Looking at pictures: what is put down, and what is said of pictures and labels that are no good."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

import cspdet
from cspdet import Detections, Detector
from cspdet.data.pictures import Picture, read_list
from cspdet.errors import UsageError
from cspdet.evaluate import collect, difficult_labels, evaluate, judge, merge
from cspdet.image import Pixels
from tests.evaluate.material import PICTURES, write_set
from tests.evaluate.test_records import equal
from tests.test_detector import COLOURS, picture, write_network


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_set(tmp_path / "set", PICTURES)
    return tmp_path / "set"


@pytest.fixture
def pictures(folder: Path) -> list[Picture]:
    return read_list(folder / "valid.txt")


@pytest.fixture
def detector(tmp_path: Path) -> Detector:
    return cspdet.load(*write_network(tmp_path))


def nothing(images: Sequence[Pixels]) -> list[Detections]:
    return [Detections([], [], []) for _ in images]


def test_a_detector(detector: Detector, pictures: list[Picture]) -> None:
    report = evaluate(detector, pictures)
    assert [(each.name, each.truths, each.tp, each.fp, each.fn) for each in report.classes] == [
        ("red", 3, 2, 0, 1),
        ("green", 0, 0, 1, 0),
        ("blue", 2, 1, 0, 1),
    ]
    assert report.map == pytest.approx((2 / 3 + 0 + 1 / 2) / 3)
    assert (report.images, report.skipped, report.detections) == (3, 0, 4)
    assert report.average_iou == pytest.approx(3 / 4)
    assert (report.precision, report.recall, report.f1) == pytest.approx((3 / 4, 3 / 5, 2 / 3))


def test_any_function(pictures: list[Picture]) -> None:
    """It is given the pictures as arrays, several at a time, and need not say how large they are."""
    groups: list[list[tuple[int, ...]]] = []

    def find(images: Sequence[Pixels]) -> list[Detections]:
        groups.append([each.shape for each in images])
        return [Detections([[16, 32, 32, 48]], [0.9], [0]) for _ in images]

    report = evaluate(find, pictures, COLOURS, batch=2)
    assert groups == [[(64, 64, 3)] * 2, [(64, 64, 3)]]
    assert (report.classes[0].tp, report.classes[0].fp) == (1, 2)
    with pytest.raises(UsageError, match="how many classes there are is not known"):
        evaluate(find, pictures)


def test_a_detector_is_asked_for_what_it_is_unsure_of(detector: Detector, pictures: list[Picture]) -> None:
    cv2.imwrite(str(pictures[0].path), picture((1, 2, 0), level=120))
    assert len(detector(pictures[0].path)) == 0
    seen = collect(detector, pictures[:1])
    assert seen.found.confidence.tolist() == [pytest.approx(0.055, abs=0.005)]
    report = evaluate(detector, pictures[:1])
    assert (report.classes[0].average_precision, report.tp) == (0.5, 0)


def test_preprocessing_can_be_chosen(detector: Detector, pictures: list[Picture]) -> None:
    """A wide picture fills the network's input, where its squares are as high as two cells, or has borders there."""
    cv2.imwrite(str(pictures[0].path), picture((0, 0, 0), size=(64, 32)))
    for options, found in (({}, [0.125, 0.125, 0.25, 0.25]), ({"letterbox": True}, [0.125, 0.25, 0.25, 0.5])):
        seen = collect(detector, pictures[:1], **options)  # type: ignore[arg-type]
        assert seen.found.xywh[np.argmax(seen.found.confidence)].tolist() == pytest.approx(found)
    one, other = (collect(detector, pictures[:1], like=name) for name in ("pjreddie", "alexeyab"))
    assert not equal(one, other)
    with pytest.raises(UsageError, match="there is no preprocessing `yolo`"):
        collect(detector, pictures, like="yolo")


def test_names_belong_to_the_detector(detector: Detector, pictures: list[Picture]) -> None:
    assert evaluate(detector, pictures, ("x", "y", "z")).classes[2].name == "z"
    with pytest.raises(UsageError, match="`names` has 2 names, the network 3 classes"):
        evaluate(detector, pictures, ("x", "y"))
    detector.names = ()
    assert [each.name for each in evaluate(detector, pictures).classes] == ["0", "1", "2"]


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_shares_of_processes_make_the_whole(detector: Detector, pictures: list[Picture], batch: int) -> None:
    whole = collect(detector, pictures)
    shares = [collect(detector, share, batch=batch) for share in (pictures[2:], pictures[:1], pictures[1:], [])]
    assert equal(merge(shares), whole)
    assert judge(merge(shares), COLOURS) == judge(whole, COLOURS)


def test_progress_reaches_the_end(pictures: list[Picture]) -> None:
    pictures[1].path.write_bytes(b"")
    counts: list[int] = []
    collect(nothing, pictures, COLOURS, batch=2, advance=counts.append, warn=lambda _: None)
    assert sum(counts) == 3


def test_pictures_that_cannot_be_read(pictures: list[Picture]) -> None:
    pictures[0].path.write_bytes(b"\xff\xd8\xff\xe0")
    pictures[2].path.unlink()
    warned: list[str] = []
    seen = collect(nothing, pictures, COLOURS, warn=warned.append)
    assert (seen.images.tolist(), seen.skipped.tolist()) == ([2], [1, 3])
    assert sorted(set(seen.truth.image.tolist())) == [2]
    assert warned == [
        f"`{pictures[0].path}` is cut: the JPEG has no end: left out",
        f"no such file: `{pictures[2].path}`: left out",
    ]
    report = judge(seen, COLOURS)
    assert (report.images, report.skipped, report.truths) == (1, 2, 3)
    assert "2 of 3 images could not be read: left out, and with them the objects in them" in str(report)


def test_python_warnings(pictures: list[Picture]) -> None:
    pictures[0].path.write_bytes(b"")
    with pytest.warns(UserWarning, match=r"red1\.png` is empty: left out"):
        collect(nothing, pictures, COLOURS)


def test_nothing_to_evaluate(pictures: list[Picture]) -> None:
    for each in pictures:
        each.labels.write_text("")
    with pytest.raises(UsageError, match="the labels of 3 images hold no object"):
        evaluate(nothing, pictures, COLOURS)
    for each in pictures:
        each.path.write_bytes(b"")
    with pytest.raises(UsageError, match="none of the 3 images could be read"):
        evaluate(nothing, pictures, COLOURS, warn=lambda _: None)
    with pytest.raises(UsageError, match="there are no images"):
        evaluate(nothing, [], COLOURS)


def test_labels_that_are_no_good(folder: Path, pictures: list[Picture]) -> None:
    pictures[0].labels.write_text("0 .5 .5 .1 .1\n3 .5 .5 .1 .1\n-1 .5 .5 .1 .1\n")
    pictures[1].labels.write_text("1 .5 .5 .1\n2 .5 .5 .2 .2\n")
    pictures[2].labels.unlink()
    warned: list[str] = []
    seen = collect(nothing, pictures, COLOURS, warn=warned.append)
    assert seen.truth.class_id.tolist() == [0, 2]
    # Labels of an image are looked for beside it, if they are not where they should be.
    beside = folder / "labels" / "empty3.txt"
    assert warned[0] == f"1 of 3 images has no label file, such as `{beside}`: nothing is expected there"
    place = f"`{pictures[0].labels}`, line 2"
    assert warned[1] == f"{place}: class 3; there are 3, counted from 0: left out (and 2 more labels)"
    assert len(warned) == 2


def test_labels_behind_a_byte_order_mark_count(pictures: list[Picture]) -> None:
    pictures[0].labels.write_text("\ufeff0 .5 .5 .1 .1\n", "utf-8")
    warned: list[str] = []
    seen = collect(nothing, pictures, COLOURS, warn=warned.append)
    assert (seen.truth.image == pictures[0].line).sum() == 1
    there = f"1 label file begins with a byte-order mark, such as `{pictures[0].labels}`"
    assert warned == [f"{there}: the objects count here, but Darknet reads none of them"]


def test_difficult_objects(folder: Path, pictures: list[Picture]) -> None:
    """A list as `voc_label_difficult.py` makes it: of images that are not there, with labels that are."""
    (folder / "difficult.txt").write_text("images/difficult_1.jpg\nimages/difficult_2.jpg\nimages/difficult_3.jpg\n")
    (folder / "labels" / "difficult_2.txt").write_text("1 0.125 0.125 0.25 0.25\n")
    files = difficult_labels(folder / "difficult.txt", pictures)
    assert files == {2: folder / "labels" / "difficult_2.txt"}
    (folder / "labels" / "difficult_1.txt").write_text("")
    files = difficult_labels(folder / "difficult.txt", pictures)
    seen = collect(nothing, pictures, COLOURS, difficult=files)
    assert seen.truth.class_id[seen.truth.difficult].tolist() == [1]
    assert seen.truth.image[seen.truth.difficult].tolist() == [2]
    assert seen.truth.image.tolist() == [1, 1, 2, 2, 2, 2]


def test_difficult_objects_change_the_figures(folder: Path, pictures: list[Picture], detector: Detector) -> None:
    (folder / "labels" / "hard.txt").write_text("1 0.125 0.125 0.25 0.25\n")
    report = evaluate(detector, pictures, protocol="voc", difficult={2: folder / "labels" / "hard.txt"})
    # The green square is no mistake any more.
    assert (report.classes[1].truths, report.classes[1].fp, report.detections) == (0, 0, 3)


def test_a_list_of_difficult_ones_that_does_not_belong(folder: Path, pictures: list[Picture]) -> None:
    path = folder / "difficult.txt"
    path.write_text("images/a.jpg\nimages/b.jpg\n")
    with pytest.raises(UsageError, match=r"difficult.txt` lists 2 images, the list of pictures 3: they do not belong together"):
        difficult_labels(path, pictures)
    path.write_text("images/a.jpg\nimages/b.jpg\nimages/c.jpg\n")
    with pytest.raises(
        UsageError, match=r"none of the label files that `.*difficult.txt` stands for is there, such as `.*a\.txt`"
    ):
        difficult_labels(path, pictures)


def test_classes_without_a_name(pictures: list[Picture]) -> None:
    seen = collect(nothing, pictures, COLOURS)
    with pytest.raises(UsageError, match="there are 2 names, but objects of class 2, counted from 0"):
        judge(seen, COLOURS[:2])


def test_numbers_must_differ(pictures: list[Picture]) -> None:
    with pytest.raises(UsageError, match="several pictures have the number 1"):
        collect(nothing, [*pictures, pictures[0]], COLOURS)


def test_a_detector_that_gives_what_cannot_be(pictures: list[Picture]) -> None:
    with pytest.raises(UsageError, match="the detector gave 1 result for 2 images"):
        collect(lambda images: nothing(images[:1]), pictures, COLOURS, batch=2)
    with pytest.raises(UsageError, match="the detector finds class 3; there are 3, counted from 0"):
        collect(lambda images: [Detections([[0, 0, 1, 1]], [0.5], [3]) for _ in images], pictures, COLOURS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "pascal"}, "there is no protocol `pascal`"),
        ({"threshold": 1.5}, r"`threshold` is 1\.5; it goes from 0 to 1"),
        ({"iou_threshold": -0.1}, r"`iou_threshold` is -0\.1"),
        ({"points": 1}, "`points` is 1; it is 0, or from 2 on"),
        ({"points": 11, "protocol": "coco"}, "`points` is 11; coco always has 101"),
    ],
    ids=str,
)
def test_wrong_arguments(pictures: list[Picture], options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        evaluate(nothing, pictures, COLOURS, **options)  # type: ignore[arg-type]


def test_boxes_are_relative_to_the_picture(pictures: list[Picture]) -> None:
    seen = collect(lambda images: [Detections([[16, 0, 48, 64]], [0.5], [1]) for _ in images], pictures[:1], COLOURS)
    assert seen.found.xywh.tolist() == [[0.5, 0.5, 0.5, 1.0]]
    assert (seen.found.xywh.dtype, seen.sizes.tolist()) == (np.float32, [[64, 64]])
