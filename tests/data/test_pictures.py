"""Lists of images, and where their labels are."""

from __future__ import annotations

from pathlib import Path

import pytest

from cspdet.data.pictures import darknet_label_path, label_path, read_list
from cspdet.errors import UsageError
from tests.conftest import reference_files
from tests.data.material import make_image


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    return path


# -- lists ------------------------------------------------------------------------------------------------------------


def test_a_path_per_line(tmp_path: Path) -> None:
    for name in ("a.png", "b c.png", "ä.png"):
        make_image(tmp_path / "images" / name)
    (tmp_path / "list.txt").write_text("images/a.png\n\n  images/b c.png \nimages/ä.png\nimages/none.png", "utf-8")
    found = read_list(tmp_path / "list.txt")
    assert [each.line for each in found] == [1, 3, 4, 5]
    assert [each.written for each in found] == ["images/a.png", "images/b c.png", "images/ä.png", "images/none.png"]
    assert [each.path for each in found[:3]] == [tmp_path / "images" / name for name in ("a.png", "b c.png", "ä.png")]
    assert found[3].path == Path("images/none.png")


@pytest.mark.parametrize(
    "data",
    [
        b"images/a.png\r\nimages/b.png\r\n",
        b"\xef\xbb\xbfimages/a.png\nimages/b.png",
        b"images/a.png\rimages/b.png\r",
        "images/a.png\nimages/b.png\n".encode("utf-16"),
        b"images\\a.png\nimages\\b.png\n",
        b"./images/a.png\nimages/../images/b.png\n",
    ],
    ids=["windows", "mark", "old mac", "utf-16", "backslashes", "dots"],
)
def test_marks_line_ends_and_slashes(tmp_path: Path, data: bytes) -> None:
    wanted = [make_image(tmp_path / "images" / name) for name in ("a.png", "b.png")]
    (tmp_path / "list.txt").write_bytes(data)
    assert [each.path.resolve() for each in read_list(tmp_path / "list.txt")] == wanted


def test_the_working_directory_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_image(tmp_path / "set" / "a.png")
    (tmp_path / "set" / "list.txt").write_text("a.png\n")
    make_image(tmp_path / "here" / "a.png")
    monkeypatch.chdir(tmp_path / "here")
    assert [each.path for each in read_list(tmp_path / "set" / "list.txt")] == [Path("a.png")]


def test_a_folder_stands_for_its_images(tmp_path: Path) -> None:
    wanted = [make_image(tmp_path / name) for name in ("a.png", "b/c.JPG".lower(), "b/d.png")]
    (tmp_path / "notes.txt").write_text("x")
    found = read_list(tmp_path)
    assert [each.path for each in found] == sorted(wanted)
    assert [each.line for each in found] == [1, 2, 3]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="there are no images in"):
        read_list(tmp_path / "empty")


@pytest.mark.parametrize(
    ("data", "message", "cure"),
    [
        (b"", "lists no images", "one image per line"),
        (b"\n \n", "lists no images", "one image per line"),
        (b"a.png\n", "the only image that", "working directory"),
        (b"a.png\nb.png\n", "none of the 2 images", "working directory"),
        (b"C:\\data\\a.png\nC:\\data\\b.png\n", "none of the 2 images", "paths of a Windows machine"),
        (b"d:/data/a.png\n", "the only image", "paths of a Windows machine"),
        (b"\\\\server\\a.png\n", "the only image", "paths of a Windows machine"),
        (b"http://x/a.png\n", "`http://x/a.png`", "download the images"),
        (b"sub\n", "`sub`", "`sub` is a folder"),
        (b"\0\1\n", "is not text", "name another file"),
        (b"x" * 5000, "the only image", "working directory"),
    ],
)
def test_a_list_of_nothing(tmp_path: Path, data: bytes, message: str, cure: str) -> None:
    (tmp_path / "list.txt").write_bytes(data)
    (tmp_path / "sub").mkdir()
    with pytest.raises(UsageError, match=message) as caught:
        read_list(tmp_path / "list.txt")
    assert cure in caught.value.help
    assert len(str(caught.value)) < 600


def test_a_list_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_list(tmp_path / "list.txt")


def test_images_of_difficult_objects_need_not_exist(tmp_path: Path) -> None:
    put(tmp_path / "labels" / "difficult" / "a.txt")
    (tmp_path / "list.txt").write_text("./JPEGImages/difficult/a.jpg\n./JPEGImages/difficult/b.jpg\n")
    with pytest.raises(UsageError):
        read_list(tmp_path / "list.txt")
    first, second = read_list(tmp_path / "list.txt", images=False)
    assert first.labels == tmp_path / "labels" / "difficult" / "a.txt"
    assert second.path == Path("JPEGImages/difficult/b.jpg")


# -- labels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("/d/images/train2017/1.jpg", "/d/labels/train2017/1.txt"),
        ("/d/images/val2017/1.jpg", "/d/labels/val2017/1.txt"),
        ("/d/images/train2014/1.jpg", "/d/labels/train2014/1.txt"),
        ("/d/images/val2014/1.jpg", "/d/labels/val2014/1.txt"),
        ("/d/VOC2007/JPEGImages/1.jpg", "/d/VOC2007/labels/1.txt"),
        ("/d/JPEGImages/sub/1.png", "/d/labels/sub/1.txt"),
        # Of two such folders, the first.
        ("/JPEGImages/JPEGImages/1.jpg", "/labels/JPEGImages/1.txt"),
        # Others, it does not know: the labels are beside the image.
        ("/d/images/1.jpg", "/d/images/1.txt"),
        ("/d/images/train/1.jpg", "/d/images/train/1.txt"),
        ("/d/obj/1.2.jpeg", "/d/obj/1.2.txt"),
        ("/d/myJPEGImages/1.jpg", "/d/myJPEGImages/1.txt"),
        ("obj/1.jpg", "obj/1.txt"),
        ("1", "1.txt"),
        # Darknet misses the slash before it; here it counts.
        ("JPEGImages/1.jpg", "labels/1.txt"),
        ("images/train2017/1.jpg", "labels/train2017/1.txt"),
    ],
)
def test_where_darknet_looks(image: str, labels: str) -> None:
    assert darknet_label_path(Path(image)) == Path(labels)


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("images/1.jpg", "labels/1.txt"),
        ("images/1.jpg", "images/1.txt"),
        ("images/train/1.jpg", "labels/train/1.txt"),
        ("train/images/1.jpg", "train/labels/1.txt"),
        ("images/train/images/a/1.jpg", "images/train/labels/a/1.txt"),
        ("images/train2017/1.jpg", "labels/train2017/1.txt"),
        ("images/train2017/1.jpg", "images/train2017/1.txt"),
        ("JPEGImages/1.jpg", "labels/1.txt"),
        ("JPEGImages/1.jpg", "JPEGImages/1.txt"),
        ("obj/1.jpg", "obj/1.txt"),
    ],
)
def test_labels_that_are_there_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: str, labels: str) -> None:
    put(tmp_path / labels)
    assert label_path(tmp_path / image) == tmp_path / labels
    monkeypatch.chdir(tmp_path)
    assert label_path(Path(image)) == Path(labels)


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("/none/images/1.jpg", "/none/labels/1.txt"),
        ("/none/JPEGImages/1.jpg", "/none/labels/1.txt"),
        ("/none/obj/1.jpg", "/none/obj/1.txt"),
        ("/none/1.jpg", "/none/1.txt"),
        # No image, but nothing to stumble over.
        ("/", "/.txt"),
        ("..", "...txt"),
    ],
)
def test_where_labels_would_be(image: str, labels: str) -> None:
    assert label_path(Path(image)) == Path(labels)


def test_where_darknet_looks_comes_first(tmp_path: Path) -> None:
    both = [put(tmp_path / name) for name in ("images/1.txt", "labels/1.txt")]
    assert label_path(tmp_path / "images" / "1.jpg") == both[0]


@pytest.mark.reference
@pytest.mark.parametrize("path", reference_files("data/*/train*.txt"), ids=lambda path: path.parent.name)
def test_real_lists(path: Path) -> None:
    found = read_list(path)
    assert all(each.path.is_file() for each in found)
    assert sum(each.labels.is_file() for each in found) >= len(found) - 2
    assert {each.labels.relative_to(path.parent).parts[0] for each in found} == {"labels"}
