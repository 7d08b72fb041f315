"""COCO's instances files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cspdet.data.coco import coco_instances, read_coco
from cspdet.data.conversion import plan
from cspdet.data.description import read_description
from cspdet.data.labels import read_labels
from cspdet.errors import CspdetError, UsageError
from tests.conftest import REFERENCE
from tests.data.material import GOOD, make_image, make_set


def instances() -> dict[str, Any]:
    return {
        "info": {},
        "images": [
            {"id": 7, "file_name": "a.png", "width": 200, "height": 100},
            {"id": 3, "file_name": "b.png", "width": 200, "height": 100},
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}, {"id": 90, "name": "tooth brush"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 18, "bbox": [20, 10, 100, 40.5], "iscrowd": 0, "area": 9},
            {"id": 2, "image_id": 7, "category_id": 17, "bbox": [0, 0, 200, 100]},
            {"id": 3, "image_id": 7, "category_id": 17, "bbox": [1, 1, 2, 2], "iscrowd": 1, "segmentation": {}},
        ],
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(("a.png", "b.png")):
        make_image(tmp_path / name, number)
    return tmp_path


def put(folder: Path, content: Any) -> Path:
    (folder / "instances.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder / "instances.json"


def test_what_is_read(folder: Path) -> None:
    found = read_coco([put(folder, instances())])
    assert found.names == ("cat", "dog", "tooth brush")
    first, second = found.images
    assert (first.image, second.image) == (folder / "a.png", folder / "b.png")
    assert [each.name for each in first.objects] == ["dog", "cat"]
    assert first.objects[0].box == pytest.approx((0.1, 0.1, 0.6, 0.505))
    assert second.objects == ()
    assert [*found.remarks.lines()] == [f"crowd regions left out: 1 ({folder / 'instances.json'}: annotation 3)"]


def test_images_without_annotations_get_empty_label_files(folder: Path) -> None:
    plan({"train": read_coco([put(folder, instances())])}, folder / "made.data").write()
    assert (folder / "b.txt").read_bytes() == b""
    assert (folder / "a.txt").read_text() == "1 0.350000 0.302500 0.500000 0.405000\n0 0.500000 0.500000 1.000000 1.000000\n"


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("sub/c.png", "sub/c.png"),
        ("sub\\c.png", "sub/c.png"),
        ("./c.png", "c.png"),
        ("train2017/c.png", "c.png"),
        ("../images/c.png", "c.png"),
        ("/abs/c.png", "c.png"),
        ("C:\\photos\\c.png", "c.png"),
    ],
)
def test_names_of_images(folder: Path, name: str, place: str) -> None:
    make_image(folder / "images" / place)
    content = instances()
    content["images"][0]["file_name"] = name
    found = read_coco([put(folder, content)], [folder / "none", folder / "images"])
    assert [each.image for each in found.images] == [folder / "images" / place]
    assert found.remarks.places["images that are not there left out"] == [f"{folder / 'instances.json'}: image 3, b.png"]


def test_no_path_leads_out_of_the_folder(folder: Path) -> None:
    """Otherwise, a file from the web could have labels written anywhere."""
    make_image(folder / "private" / "c.png")
    (folder / "images").mkdir()
    for name in ("../private/c.png", str(folder / "private" / "c.png"), "x/../../private/c.png", "..", ".", "a\0b"):
        content = instances()
        content["images"] = [{"id": 7, "file_name": name, "width": 200, "height": 100}]
        with pytest.raises(CspdetError, match=r"none of the images|no `file_name`"):
            read_coco([put(folder, content)], [folder / "images"])


def test_a_size_that_is_not_given_is_that_of_the_image(folder: Path) -> None:
    for sides in ({}, {"width": 0, "height": 0}, {"width": None, "height": "1"}, {"width": float("nan"), "height": 5}):
        content = instances()
        content["images"][0] = {"id": 7, "file_name": "a.png", **sides}
        content["annotations"] = [{"image_id": 7, "category_id": 17, "bbox": [10, 5, 20, 10]}]
        (box,) = (each.box for each in read_coco([put(folder, content)]).images[0].objects)
        assert box == pytest.approx((0.25, 0.25, 0.75, 0.75))


def test_an_image_of_other_proportions_is_left_out(folder: Path) -> None:
    content = instances()
    content["images"][0] |= {"width": 100, "height": 200}
    path = put(folder, content)
    found = read_coco([path])
    assert [each.image.name for each in found.images] == ["b.png"]
    assert [*found.remarks.lines()][1:] == [
        f"images left out, as they have other proportions than annotated: 1 ({path}: image 7, a.png)",
        f"  `{folder / 'a.png'}` has 40x20 pixels, but was annotated as 100x200: its boxes would be misplaced",
        "  help: correct its `width` and `height`, or annotate it again",
    ]
    content["images"].pop()
    with pytest.raises(CspdetError, match=r"no image is left to convert: .* image 7, a\.png: .* has 40x20 pixels") as caught:
        read_coco([put(folder, content)])
    assert caught.value.exit_code == 1


def test_annotations_of_nothing(folder: Path) -> None:
    content = instances()
    content["annotations"] += [
        {"id": 9, "image_id": 99, "category_id": 17, "bbox": [0, 0, 1, 1]},
        {"id": "x", "image_id": 7, "category_id": 1, "bbox": [0, 0, 1, 1]},
        {"image_id": [7], "category_id": 17, "bbox": [0, 0, 1, 1]},
        {"bbox": [0, 0, 1, 1]},
    ]
    found = read_coco([put(folder, content)])
    what = "annotations of no image or category left out"
    assert found.remarks.counts[what] == 4
    assert found.remarks.places[what] == [
        f"{folder / 'instances.json'}: annotation {each}" for each in (9, '"x"', "null", "null")
    ]
    assert len(found.images[0].objects) == 2


@pytest.mark.parametrize(("key", "value", "what"), [("name", "cat", "name `cat`"), ("id", 17, "number `17`")])
def test_two_categories_alike(folder: Path, key: str, value: Any, what: str) -> None:
    content = instances()
    content["categories"][0][key] = value
    with pytest.raises(CspdetError, match=f"two categories of .* have the {what}"):
        read_coco([put(folder, content)])


def test_several_files(folder: Path) -> None:
    one, other = instances(), instances()
    other["images"] = [{"id": 7, "file_name": "b.png", "width": 200, "height": 100}]
    one["images"].pop()
    (folder / "other.json").write_text(json.dumps(other))
    found = read_coco([put(folder, one), folder / "other.json"])
    assert [each.image.name for each in found.images] == ["a.png", "b.png"]
    other["categories"][0]["name"] = "wolf"
    (folder / "other.json").write_text(json.dumps(other))
    with pytest.raises(CspdetError, match=r"category 18 is `wolf` in .* and `dog` in another file"):
        read_coco([put(folder, one), folder / "other.json"])


def spoilt(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    content = instances()
    change(content)
    return content


def bbox(value: Any) -> dict[str, Any]:
    return spoilt(lambda content: content["annotations"][0].update(bbox=value))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "is not JSON"),
        ("[]", "`images` is no list of objects"),
        ("{}", "`images` is no list of objects"),
        ('{"images": [1]}', "`images` is no list of objects"),
        (spoilt(lambda content: content.pop("categories")), "`categories` is no list"),
        (spoilt(lambda content: content["images"][0].pop("id")), "`null` is no `id` in images[0]"),
        (spoilt(lambda content: content["images"][0].update(id="7")), '`"7"` is no `id` in images[0], id "7"'),
        (spoilt(lambda content: content["images"][0].update(id=True)), "`true` is no `id`"),
        (
            spoilt(lambda content: content["images"][0].update(id=3)),
            "two images have one `id`: `a.png` and `b.png` in images[1], id 3",
        ),
        (spoilt(lambda content: content["images"][0].update(file_name=" ")), "is no `file_name` in images[0], id 7"),
        (spoilt(lambda content: content["categories"][0].update(name="\ud800")), "is no `name` in categories[0], id 18"),
        (spoilt(lambda content: content["categories"][2].update(name="a\nb")), "is no `name` in categories[2], id 90"),
        (spoilt(lambda content: content.update(images=[])), "has no images"),
        (bbox(None), "`null` is no `bbox` in annotations[0], id 1"),
        (bbox([1, 2, 3]), "is no `bbox`"),
        (bbox([1, 2, 3, "4"]), "is no `bbox`"),
        (bbox([1, 2, 3, float("nan")]), "is no `bbox`"),
        (bbox([1, 2, 3, float("inf")]), "is no `bbox`"),
        (bbox([1, 2, 3, 10**400]), "is no `bbox`"),
    ],
)
def test_what_is_no_instances_file(folder: Path, content: Any, message: str) -> None:
    with pytest.raises(CspdetError) as caught:
        read_coco([put(folder, content)])
    assert message in caught.value.message
    assert str(folder / "instances.json") in caught.value.message
    assert caught.value.exit_code == 1
    assert len(str(caught.value)) < 600


def test_sources_that_are_none(folder: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_coco([folder / "none.json"])
    with pytest.raises(UsageError, match="is a directory"):
        read_coco([folder])
    with pytest.raises(UsageError, match="none of the images"):
        read_coco([put(folder, instances())], [folder / "elsewhere"])


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda each: st.lists(each, max_size=4) | st.dictionaries(st.sampled_from(["id", "bbox", "name", "file_name"]), each),
    max_leaves=8,
)


@given(st.sampled_from(["images", "categories", "annotations"]), st.text("idnamebox_gory"), JSON)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_json(folder: Path, table: str, key: str, value: Any) -> None:
    for content in (spoilt(lambda each: each.update({table: value})), spoilt(lambda each: each[table][0].update({key: value}))):
        try:
            read_coco([put(folder, content)])
        except CspdetError as error:
            assert len(str(error)) < 1000  # noqa: PT017


# -- back -------------------------------------------------------------------------------------------------------------


def test_there_and_back(tmp_path: Path) -> None:
    labels: dict[str, str | None] = {"a1": GOOD + "1 .5 .5 .1 .2\n", "a2": "", "a3": "9 .5 .5 .1 .1\nx\n" + GOOD}
    description = read_description(make_set(tmp_path, labels))
    labelled = tmp_path / "labels" / "a3.txt"
    content, left_out = coco_instances(description, "train")
    assert [*left_out.lines()] == [f"labels with errors left out: 2 ({labelled}:1, {labelled}:2)"]
    assert [each["id"] for each in content["images"]] == [1, 2, 3]
    assert [each["id"] for each in content["annotations"]] == [1, 2, 3]
    assert content["images"][0] == {"id": 1, "file_name": "a1.png", "width": 40, "height": 20}
    assert content["annotations"][0] == {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "bbox": [15.0, 5.0, 10.0, 10.0],
        "area": 100.0,
        "iscrowd": 0,
    }
    assert content["categories"] == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    back = read_coco([put(tmp_path, content)], [tmp_path / "JPEGImages"])
    again = plan({"train": back}, tmp_path / "again.data", force=True)
    again.write()
    assert read_labels(tmp_path / "labels" / "a1.txt").rows.tolist() == pytest.approx(
        np.array([[0, 0.5, 0.5, 0.25, 0.5], [1, 0.5, 0.5, 0.1, 0.2]], np.float32)
    )


def test_images_of_one_name_in_several_folders(tmp_path: Path) -> None:
    for number, name in enumerate(("x/a.png", "y/a.png")):
        make_image(tmp_path / name, number)
    (tmp_path / "list.txt").write_text("x/a.png\ny/a.png\n")
    (tmp_path / "made.data").write_text("classes=1\nvalid=list.txt\n")
    content, _ = coco_instances(read_description(tmp_path / "made.data"), "valid")
    assert [(each["id"], each["file_name"]) for each in content["images"]] == [(1, "x/a.png"), (2, "y/a.png")]
    assert content["categories"] == [{"id": 1, "name": "0"}]


def test_an_image_that_is_missing_ends_it(tmp_path: Path) -> None:
    description = read_description(make_set(tmp_path, {"a": GOOD, "b": GOOD}))
    (tmp_path / "JPEGImages" / "b.png").unlink()
    with pytest.raises(CspdetError, match=r"there is no image `JPEGImages/b\.png`"):
        coco_instances(description, "train")


@pytest.mark.reference
def test_pycocotools_reads_it_and_numbers_are_cocos(tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    description = read_description(REFERENCE / "data" / "coco128" / "coco128.data")
    content, left_out = coco_instances(description, "train")
    assert not left_out.counts
    loaded = coco.COCO(str(put(tmp_path, content)))
    assert len(loaded.getImgIds()) == 128
    assert loaded.getCatIds()[-1] == 90
    assert 9 in loaded.getImgIds()
    assert len(loaded.getAnnIds()) == 929
    image = loaded.loadImgs(9)[0]
    found = loaded.loadAnns(loaded.getAnnIds(imgIds=9))
    rows = np.loadtxt(REFERENCE / "data" / "coco128" / "labels" / "train2017" / "000000000009.txt")
    sides = (image["width"], image["height"])
    np.testing.assert_allclose([each["bbox"][2:] for each in found], rows[:, 3:] * sides, atol=1e-3)
    np.testing.assert_allclose([each["bbox"][:2] for each in found], (rows[:, 1:3] - rows[:, 3:] / 2) * sides, atol=1e-3)
