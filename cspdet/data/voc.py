"""Pascal VOC's annotations: an XML file for each image."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from xml.parsers import expat

from cspdet.cfg.source import Source, read_bytes
from cspdet.data.conversion import Annotated, Annotations, Object
from cspdet.data.remarks import Remarks
from cspdet.data.size import annotated_size, nothing_fits
from cspdet.errors import CspdetError, UsageError
from cspdet.image import SUFFIXES
from cspdet.paths import above, first_file, is_file, is_folder
from cspdet.text import brief

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_LARGEST_DEPTH = 100
# Behind a name in the list of a class: it is not in the image, is there only as difficult objects, or is there.
_FLAGS = ("-1", "0", "1")
_CURE = "correct its <size>, or annotate it again"


def read_voc(sources: Sequence[str | Path], images: Sequence[str | Path] = ()) -> Annotations:
    """The annotations that the sources name; classes are in alphabetical order.

    A source is an XML file, a folder of them, a folder with `Annotations` in it, or a list of names such as
    `ImageSets/Main/train.txt`. Images are looked for in the folders `images`, else in `JPEGImages` or `images` beside the
    folder of the XML files, else beside these: under the XML file's name, else under that which it gives.

    Boxes become shares as Darknet's `scripts/voc_label.py` makes them: VOC counts pixels from 1, so left and right both move
    by one.

    Raises:
        UsageError: a source is not there, holds no XML files, or none of the images is there.
        CspdetError: a file is no VOC annotation.
    """
    remarks = Remarks()
    files = dict.fromkeys(file for source in sources for file in _files(Path(source), remarks))
    found: list[Annotated] = []
    names: set[str] = set()
    for file in files:
        annotated = _read(file, [Path(folder) for folder in images], remarks)
        if annotated is not None:
            found.append(annotated)
            names |= {each.name for each in annotated.objects}
    if not files:
        raise UsageError(f"`{sources[0]}` names no image to convert", "in the lists of a class, those marked -1 do not count")
    if not found:
        raise nothing_fits(remarks) or UsageError(
            f"none of the images of `{next(iter(files))}` and the like is there",
            "name their folder: `--images FOLDER`",
        )
    return Annotations(tuple(found), tuple(sorted(names)), remarks)


def _files(source: Path, remarks: Remarks) -> list[Path]:
    if is_folder(source):
        folder = source / "Annotations" if is_folder(source / "Annotations") else source
        found = sorted(folder.glob("*.xml"))
        if not found:
            raise UsageError(f"there are no XML files in `{folder}`", "name the folder `Annotations`, or one that holds it")
        return found
    if source.suffix.lower() == ".txt":
        folder = above(above(source.parent)) / "Annotations"
        if not is_folder(folder):
            cure = "it should stand in `ImageSets/Main`, and `Annotations` beside `ImageSets`"
            raise UsageError(f"`{source}` has no `Annotations` where VOC has them", cure)
        text = Source.decode(str(source), read_bytes(source, "a list of names")).text
        lines = [(line.strip(), f"{source}:{number}") for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        return [file for line, place in lines if (file := _listed(line, place, folder, remarks))]
    return [source]


def _listed(line: str, place: str, folder: Path, remarks: Remarks) -> Path | None:
    """The XML file that a line of a list names; None where its image shows nothing of the list's class.

    In the lists of a single class, 1, 0 or -1 follows the name. Some programs write the image's name, with its ending.
    """
    name, flag = line, ""
    if (words := line.rsplit(None, 1))[1:] and words[1] in _FLAGS and not is_file(folder / f"{line}.xml"):
        name, flag = words
    if flag == "-1":
        remarks.add("images marked -1 left out", place)
        return None
    stem, ending = os.path.splitext(name)  # noqa: PTH122 - `with_suffix` raises where there is no name
    names = [f"{name}.xml", *([f"{stem}.xml"] if ending.lower() in (*SUFFIXES, ".xml") else [])]
    found = first_file(folder / each for each in names)
    if found is None:
        raise UsageError(
            f"{place} names `{brief(name)}`, but there is no `{folder / names[-1]}`", "put it there, or take it off"
        )
    return found


def _read(file: Path, folders: Sequence[Path], remarks: Remarks) -> Annotated | None:
    """One file; None where its image is not there, or not the one that was annotated."""
    root, lines = _parse(file)
    if root.tag != "annotation":
        raise CspdetError(f"`{file}` is no VOC annotation: it begins with <{brief(root.tag)}>", "name other files")
    image = _image(file, root, folders)
    if image is None:
        remarks.add("images that are not there left out", str(file))
        return None
    # Some programs write no size, or 0.
    written = (_number(file, root, "size/width", 0), _number(file, root, "size/height", 0))
    size = root.find("size")
    place = f"{file}:{lines[root if size is None else size]}"
    sides = annotated_size(image, written if min(written) > 0 else None, place, remarks, _CURE)
    if sides is None:
        return None
    width, height = sides
    objects = []
    for each in root.iterfind("object"):
        place = f"{file}:{lines[each]}"
        name = (each.findtext("name") or "").strip()
        if not name:
            raise CspdetError(f"`{file}` has an object without a name", "add its <name>")
        box = each.find("bndbox")
        if box is None:
            remarks.add("objects without a box left out", place)
            continue
        left, top, right, bottom = (_number(file, box, side) - 1 for side in ("xmin", "ymin", "xmax", "ymax"))
        shares = (left / width, top / height, right / width, bottom / height)
        objects.append(Object(name, shares, (each.findtext("difficult") or "").strip() == "1", place))
    return Annotated(image, tuple(objects))


def _image(file: Path, root: Element, folders: Sequence[Path]) -> Path | None:
    home = file.parent
    places = folders or (above(home) / "JPEGImages", above(home) / "images", home)
    named = (root.findtext("filename") or "").strip().replace("\\", "/").rpartition("/")[2]
    suffixes = dict.fromkeys((Path(named).suffix, ".jpg", *sorted(SUFFIXES)))
    wanted = [f"{file.stem}{suffix}" for suffix in suffixes if suffix] + [f"{file.stem}.JPG"]
    return first_file(place / name for name in (*wanted, *([named] if named else [])) for place in places)


def _number(file: Path, parent: Element, path: str, default: float | None = None) -> float:
    text = parent.findtext(path)
    if text is None and default is not None:
        return default
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not abs(value) < 1e9:
        raise CspdetError(f"`{file}`: `{brief((text or '').strip())}` in <{path}> is not a number", "correct it")
    return value


def _parse(file: Path) -> tuple[Element, dict[Element, int]]:
    """The tree of an XML file, and the line in which each element begins.

    Entities, which can grow without end or name other files, are refused with their doctype.
    """
    from xml.etree.ElementTree import TreeBuilder

    data = read_bytes(file, "an XML file")
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    lines: dict[Element, int] = {}
    depth = 0

    def refuse(*_: object) -> NoReturn:
        raise CspdetError(f"`{file}` declares a document type, which no VOC annotation does", "remove it")

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _LARGEST_DEPTH:
            raise CspdetError(f"`{file}` is no VOC annotation: its elements lie more than {_LARGEST_DEPTH} deep")
        lines[builder.start(tag, attributes)] = parser.CurrentLineNumber

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, builder.data
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise CspdetError(f"`{file}` is not XML: {error}", "is it cut, or something else?") from None
    return builder.close(), lines
