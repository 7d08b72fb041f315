"""Pascal VOC's annotations."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cspdet.data.conversion import plan
from cspdet.data.voc import read_voc
from cspdet.errors import CspdetError, UsageError
from tests.conftest import REFERENCE
from tests.data.material import make_image


def xml(*objects: str, size: tuple[int, int] = (500, 375), filename: str = "x.jpg") -> str:
    sides = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    return f"<annotation>\n<filename>{filename}</filename>{sides}{''.join(objects)}</annotation>\n"


def one(name: str, box: tuple[object, ...], extra: str = "") -> str:
    sides = "".join(f"<{side}> {value} </{side}>" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name><bndbox>{sides}</bndbox>{extra}</object>"


DOG = one("dog", (123, 115, 379, 275), "<difficult>0</difficult>")
CHAIR = one("chair", (75, 1, 428, 375), "<difficult>1</difficult><part><name>leg</name><bndbox/></part>")


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    for number, stem in enumerate(("a", "b")):
        make_image(tmp_path / "VOC" / "JPEGImages" / f"{stem}.jpg", number, (500, 375))
    (tmp_path / "VOC" / "Annotations").mkdir()
    (tmp_path / "VOC" / "Annotations" / "a.xml").write_text(xml(DOG, CHAIR))
    (tmp_path / "VOC" / "Annotations" / "b.xml").write_text(xml())
    (tmp_path / "VOC" / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "VOC" / "ImageSets" / "Main" / "train.txt").write_text("b\n\na\n")
    (tmp_path / "VOC" / "ImageSets" / "Main" / "dog_train.txt").write_text("a  1\nb -1\n")
    return tmp_path / "VOC"


@pytest.mark.reference
def test_the_same_labels_as_darknets_script_makes(voc: Path, tmp_path: Path) -> None:
    """The dog of 2007_000063, whose official box is (123, 115, 379, 275) in 500x375, as the reference set has it."""
    plan({"train": read_voc([voc])}, tmp_path / "made.data").write()
    known = (REFERENCE / "data" / "animals6" / "labels" / "2007_000063.txt").read_text()
    assert (voc / "labels" / "a.txt").read_text().split()[1:] == known.split()[1:]


def test_what_is_read(voc: Path) -> None:
    found = read_voc([voc])
    assert found.names == ("chair", "dog")
    first, second = found.images
    assert (first.image, second.image) == (voc / "JPEGImages" / "a.jpg", voc / "JPEGImages" / "b.jpg")
    assert second.objects == ()
    dog, chair = first.objects
    assert (dog.name, dog.difficult, chair.difficult) == ("dog", False, True)
    assert dog.box == pytest.approx((122 / 500, 114 / 375, 378 / 500, 274 / 375))
    assert not found.remarks.counts


def test_sources_of_all_kinds(voc: Path) -> None:
    folder = voc / "Annotations"
    everything = [each.image.stem for each in read_voc([folder]).images]
    assert everything == ["a", "b"]
    assert [each.image.stem for each in read_voc([voc / "ImageSets" / "Main" / "train.txt"]).images] == ["b", "a"]
    assert [each.image.stem for each in read_voc([voc / "ImageSets" / "Main" / "dog_train.txt"]).images] == ["a"]
    assert [each.image.stem for each in read_voc([folder / "b.xml"]).images] == ["b"]
    assert [each.image.stem for each in read_voc([folder / "b.xml", voc]).images] == ["b", "a"]


def test_a_list_in_the_working_directory(voc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (voc / "ImageSets" / "other").mkdir()
    for folder, source in (
        ("ImageSets/Main", "train.txt"),
        ("ImageSets", "Main/train.txt"),
        ("ImageSets/other", "../Main/train.txt"),
        ("Annotations", "."),
        ("Annotations", "../Annotations"),
    ):
        monkeypatch.chdir(voc / folder)
        assert len(read_voc([source]).images) == 2
    assert len(read_voc(["a.xml", "./b.xml"]).images) == 2


def stems(voc: Path, text: str) -> list[str]:
    path = voc / "ImageSets" / "Main" / "made.txt"
    path.write_text(text)
    return [each.image.stem for each in read_voc([path]).images]


def test_names_in_lists(voc: Path) -> None:
    for number, stem in enumerate(("Bild 2", "Bild 1", "c.d")):
        make_image(voc / "JPEGImages" / f"{stem}.jpg", number + 2, (500, 375))
        (voc / "Annotations" / f"{stem}.xml").write_text(xml(DOG))
    assert stems(voc, "Bild 2\nBild 2   1\n") == ["Bild 2"]
    assert stems(voc, "  Bild 1 0\na 0\nBild 1 -1\n") == ["Bild 1", "a"]
    assert stems(voc, "Bild 1\n") == ["Bild 1"], "no flag, since there is such a file"
    assert stems(voc, "a.jpg\nb.JPG 1\nc.d\nc.d.png\n") == ["a", "b", "c.d"]
    assert stems(voc, "a.xml\n") == ["a"]


def test_what_lists_leave_out_is_counted(voc: Path) -> None:
    path = voc / "ImageSets" / "Main" / "dog_train.txt"
    assert [*read_voc([path]).remarks.lines()] == [f"images marked -1 left out: 1 ({path}:2)"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n\nnone\n", "made.txt:3 names `none`, but there is no `"),
        ("a 2\n", "made.txt:1 names `a 2`, but"),
        ("none.jpg 1\n", "none.xml`"),
        ("a -1\n", "names no image to convert"),
        ("\n", "names no image to convert"),
    ],
)
def test_lists_of_what_is_not_there(voc: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        stems(voc, text)
    assert message in caught.value.message


@pytest.mark.parametrize("place", ["images", "Annotations", "elsewhere"])
def test_where_images_may_be(voc: Path, place: str) -> None:
    (voc / "JPEGImages").rename(voc / "elsewhere")
    if place != "elsewhere":
        (voc / place).mkdir(exist_ok=True)
        for name in ("a.jpg", "b.jpg"):
            (voc / "elsewhere" / name).rename(voc / place / name)
    found = read_voc([voc], [voc / "elsewhere"] if place == "elsewhere" else ())
    assert [each.image for each in found.images] == [voc / place / name for name in ("a.jpg", "b.jpg")]


@pytest.mark.parametrize("filename", ["other.png", "C:\\photos\\other.png", "../../etc/other.png", "/abs/other.png"])
def test_an_image_of_another_name(voc: Path, filename: str) -> None:
    """The name within counts where no image is called as the XML file; its folders never do."""
    make_image(voc / "JPEGImages" / "other.png", size=(500, 375))
    (voc / "Annotations" / "c.xml").write_text(xml(DOG, filename=filename))
    (found,) = read_voc([voc / "Annotations" / "c.xml"]).images
    assert found.image == voc / "JPEGImages" / "other.png"


def test_images_that_are_not_there(voc: Path) -> None:
    (voc / "JPEGImages" / "a.jpg").unlink()
    found = read_voc([voc])
    assert [each.image.stem for each in found.images] == ["b"]
    assert [*found.remarks.lines()] == [f"images that are not there left out: 1 ({voc / 'Annotations' / 'a.xml'})"]
    (voc / "JPEGImages" / "b.jpg").unlink()
    with pytest.raises(UsageError, match=r"none of the images of .*a\.xml` and the like is there") as caught:
        read_voc([voc])
    assert "--images" in caught.value.help


def test_a_size_that_is_not_given_is_that_of_the_image(voc: Path) -> None:
    make_image(voc / "JPEGImages" / "a.jpg", size=(40, 20))
    for text in (xml(one("dog", (11, 6, 31, 16)), size=(0, 0)), f"<annotation>{one('dog', (11, 6, 31, 16))}</annotation>"):
        (voc / "Annotations" / "a.xml").write_text(text)
        assert read_voc([voc]).images[0].objects[0].box == pytest.approx((0.25, 0.25, 0.75, 0.75))


def test_an_image_of_other_proportions_is_left_out(voc: Path) -> None:
    path = make_image(voc / "JPEGImages" / "a.jpg", size=(375, 500))
    found = read_voc([voc])
    assert [each.image.stem for each in found.images] == ["b"]
    assert found.names == ()
    first, fact, cure = found.remarks.lines()
    assert first == f"images left out, as they have other proportions than annotated: 1 ({voc / 'Annotations' / 'a.xml'}:2)"
    assert fact == f"  `{path}` has 375x500 pixels, but was annotated as 500x375: its boxes would be misplaced"
    assert cure == "  help: correct its <size>, or annotate it again"
    with pytest.raises(CspdetError, match=r"no image is left to convert: .*a\.xml:2: .* has 375x500 pixels") as caught:
        read_voc([voc / "Annotations" / "a.xml"])
    assert caught.value.exit_code == 1


def test_a_scaled_image_keeps_its_boxes(voc: Path) -> None:
    box = read_voc([voc]).images[0].objects[0].box
    make_image(voc / "JPEGImages" / "a.jpg", size=(333, 250))
    found = read_voc([voc])
    assert found.images[0].objects[0].box == box
    assert not found.remarks.counts


def test_objects_without_a_box(voc: Path) -> None:
    (voc / "Annotations" / "a.xml").write_text(xml("\n<object><name>dog</name><polygon/></object>", DOG))
    found = read_voc([voc])
    assert len(found.images[0].objects) == 1
    assert [*found.remarks.lines()] == [f"objects without a box left out: 1 ({voc / 'Annotations' / 'a.xml'}:3)"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not XML"),
        ("{}", "is not XML"),
        ("<annotation>", "is not XML"),
        ("<annotation></annotations>", "is not XML"),
        ("<html></html>", "is no VOC annotation: it begins with <html>"),
        ("<?xml version='1.0' encoding='klingon'?><annotation/>", "is not XML"),
        (xml("<object><bndbox/></object>"), "has an object without a name"),
        (xml("<object><name> </name><bndbox/></object>"), "has an object without a name"),
        (xml("<object><name>dog</name><bndbox/></object>"), "`` in <xmin> is not a number"),
        (xml(one("dog", ("x", 1, 2, 3))), "`x` in <xmin> is not a number"),
        (xml(one("dog", (1, 1, "nan", 3))), "`nan` in <xmax> is not a number"),
        (xml(one("dog", (1, 1, 2, "1e999"))), "`1e999` in <ymax> is not a number"),
        (xml(DOG).replace("500", "wide"), "`wide` in <size/width> is not a number"),
        ("<a>" * 5000, "elements lie more than 100 deep"),
        ("<!DOCTYPE annotation SYSTEM 'voc.dtd'>" + xml(DOG), "declares a document type"),
    ],
)
def test_what_is_no_annotation(voc: Path, text: str, message: str) -> None:
    path = voc / "Annotations" / "a.xml"
    path.write_text(text)
    with pytest.raises(CspdetError) as caught:
        read_voc([voc])
    assert str(path) in caught.value.message
    assert message in caught.value.message
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    "entities",
    [
        '<!ENTITY a "dog">'
        + "".join(f'<!ENTITY {after} "{f"&{before};" * 10}">' for before, after in zip("abcdefgh", "bcdefghi", strict=True)),
        '<!ENTITY i SYSTEM "file:///etc/passwd">',
        '<!ENTITY % i SYSTEM "http://localhost/x"> %i;',
    ],
    ids=["a bomb", "a file", "an address"],
)
def test_entities_are_refused_at_once(voc: Path, entities: str) -> None:
    text = f"<!DOCTYPE annotation [{entities}]>" + xml(one("&i;", (1, 1, 2, 2)))
    (voc / "Annotations" / "a.xml").write_text(text)
    started = time.perf_counter()
    with pytest.raises(CspdetError, match="declares a document type"):
        read_voc([voc])
    assert time.perf_counter() - started < 1


def test_other_encodings(voc: Path) -> None:
    text = xml(one("Kätzchen", (1, 1, 2, 2)))
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "iso-8859-1"):
        declared = text if encoding.startswith("utf-8") else f"<?xml version='1.0' encoding='{encoding}'?>{text}"
        (voc / "Annotations" / "a.xml").write_bytes(declared.encode(encoding))
        assert read_voc([voc]).names == ("Kätzchen",)


def test_sources_that_are_none(voc: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.txt").write_text("a\n")
    with pytest.raises(UsageError, match="there are no XML files in"):
        read_voc([tmp_path / "empty"])
    with pytest.raises(UsageError, match="has no `Annotations` where VOC has them"):
        read_voc([tmp_path / "list.txt"])
    with pytest.raises(UsageError, match="no such file"):
        read_voc([voc / "Annotations" / "none.xml"])


@given(st.binary(max_size=300) | st.text("<>/annotationobjecbdx &;!\"'=0123456789-\n").map(str.encode))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes(voc: Path, data: bytes) -> None:
    (voc / "Annotations" / "a.xml").write_bytes(data)
    try:
        read_voc([voc])
    except CspdetError as error:
        assert len(str(error)) < 1000  # noqa: PT017
