"""Detecting in images: what is printed and what is written."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import pytest

from cspdet import Detections
from cspdet.engines import openvino
from cspdet.engines.openvino import OpenvinoEngine
from cspdet.outputs import console_lines
from tests.commands.detect.material import LINES, NET, Run, boxes_of, new_files
from tests.test_detector import TWO

# -- images ------------------------------------------------------------------------------------------------------------


def test_an_image(run: Run, folder: Path) -> None:
    code, out, err = run("detect", *NET, "two.png")
    assert (code, err) == (0, "")
    head, *lines, saved = out.splitlines()
    assert head.startswith("two.png: Predicted in ")
    assert head.endswith(" milli-seconds.")
    assert lines == LINES
    assert saved == "saved: predictions.jpg"
    assert new_files(folder) == {"predictions.jpg"}
    annotated = cv2.imread("predictions.jpg")
    assert annotated is not None
    assert annotated.shape == TWO.shape
    assert (annotated.astype(int) - TWO).any()


def test_compiling_is_not_predicting(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is anything computed that nobody asked for, only to be ready."""
    compile_model, call = openvino.compiled, OpenvinoEngine.__call__
    batches: list[int] = []

    def compile_slowly(model: Any) -> Any:
        time.sleep(0.5)
        return compile_model(model)

    def count(engine: OpenvinoEngine, images: Any) -> Any:
        batches.append(len(images))
        return call(engine, images)

    monkeypatch.setattr(openvino, "compiled", compile_slowly)
    monkeypatch.setattr(OpenvinoEngine, "__call__", count)
    code, out, _ = run("detect", *NET, "two.png", "blue.png", "black.png", "--batch", 2, "--engine", "openvino")
    times = [float(each) for each in re.findall(r"Predicted in ([0-9.]+) milli-seconds", out)]
    assert (code, len(times), batches) == (0, 3, [2, 1])
    assert max(times) < 240


def test_the_order_of_files_does_not_matter(run: Run) -> None:
    for words in (("two.png", *NET), (NET[1], "two.png", NET[0]), (*NET[::-1], "two.png", "colours.names")):
        code, out, _ = run("detect", *words)
        assert (code, boxes_of(out)) == (0, LINES)


@pytest.mark.parametrize("words", [["detect"], ["predict"], ["test"], ["detector", "test"], ["detector", "demo"]], ids=str)
def test_other_names_of_the_command(run: Run, words: list[str]) -> None:
    code, out, _ = run(*words, *NET, "two.png")
    assert (code, boxes_of(out)) == (0, LINES)


def test_as_darknet_is_called(run: Run, folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "other.names").write_text("rot\ngrün\nblau\n", "utf-8")
    (folder / "colours.data").write_text("classes= 3\n#names=no.names\nnames = data/other.names\nbackup = backup/\n")
    code, out, err = run(
        *("detector", "test", "colours.data", *NET, "two.png"),
        *("-thresh", ".3", "-out", "found.json", "-ext_output", "-dont_show", "-i", "0", "-save_labels", "-letter_box"),
    )
    assert (code, err) == (0, "")
    assert [line.split(":")[0] for line in boxes_of(out)] == ["rot", "grün"]
    assert new_files(folder) == {"data/other.names", "colours.data", "found.json", "two.txt", "predictions.jpg"}
    assert (folder / "two.txt").read_text() == "1 0.8750 0.1250 0.2500 0.2500\n0 0.3750 0.6250 0.2500 0.2500\n"


@pytest.mark.parametrize("names", ["other.names", "nowhere/other.names", "data/other.names"])
def test_names_of_a_data_file_are_looked_for(run: Run, folder: Path, names: str) -> None:
    """In the working directory, then near the file."""
    place = folder / "project" / "data" / "other.names"
    place.parent.mkdir(parents=True)
    place.write_text("rot\ngrün\nblau\n", "utf-8")
    (place.parent / "x.data").write_text(f"names={names}\n")
    code, out, _ = run("detector", "test", "project/data/x.data", *NET, "two.png")
    assert (code, [line.split(":")[0] for line in boxes_of(out)]) == (0, ["rot", "grün"])


def test_several_images(run: Run, folder: Path) -> None:
    code, out, _ = run("detect", *NET, "two.png", "black.png", "blue.png")
    assert code == 0
    heads = [line.split(": ")[0] for line in out.splitlines() if "Predicted" in line]
    assert heads == ["two.png", "black.png", "blue.png"]
    assert out.splitlines()[-1] == "saved: 3 files in predictions"
    assert new_files(folder) == {f"predictions/{name}.png" for name in ("two", "black", "blue")}


def test_a_folder_a_pattern_and_a_list(run: Run, folder: Path) -> None:
    (folder / "photos").mkdir()
    for name in ("1.png", "2.png"):
        cv2.imwrite(f"photos/{name}", TWO)
    (folder / "photos" / "list.txt").write_text("2.png\n\n../blue.png\n")
    for words, expected in (
        (["photos"], ["photos/1.png", "photos/2.png"]),
        (["photos/*.png"], ["photos/1.png", "photos/2.png"]),
        (["photos/list.txt"], ["photos/2.png", "photos/../blue.png"]),
        (["blue.png", "photos"], ["blue.png", "photos/1.png", "photos/2.png"]),
    ):
        code, out, _ = run("detect", *NET, *words, "--no-save")
        heads = [line.split(": Predicted")[0] for line in out.splitlines() if "Predicted" in line]
        assert (code, heads) == (0, expected)


def test_a_list_on_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = boxes_of(run("detect", *NET, "two.png", "blue.png")[1])
    for words in (["-"], []):
        stdin = io.StringIO("two.png\nblue.png\n")
        monkeypatch.setattr(sys, "stdin", stdin)
        code, out, _ = run("detect", *NET, *words)
        assert (code, boxes_of(out)) == (0, expected)


@pytest.mark.parametrize("batch", [1, 2, 3, 50])
def test_batches_change_nothing(run: Run, batch: int) -> None:
    names = ["two.png", "blue.png", "black.png", "two.png", "blue.png"]
    code, out, _ = run("detect", *NET, *names, "--batch", batch, "--out", "found.json")
    assert code == 0
    frames = json.loads(Path("found.json").read_text())
    assert [frame["filename"] for frame in frames] == names
    assert [frame["frame_id"] for frame in frames] == [1, 2, 3, 4, 5]
    assert [[each["name"] for each in frame["objects"]] for frame in frames] == [
        ["green", "red"],
        ["blue"],
        [],
        ["green", "red"],
        ["blue"],
    ]
    assert len(boxes_of(out)) == 6


def test_an_image_that_is_broken_is_left_out(run: Run, folder: Path) -> None:
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 nothing")
    (folder / "empty.png").touch()
    for batch in (1, 10):
        code, out, err = run(
            *("detect", *NET, "two.png", "broken.jpg", "blue.png", "empty.png", "--out", "x.json", "--batch", batch)
        )
        assert code == 1
        assert [line.split(":")[0] for line in boxes_of(out)] == ["red", "green", "blue"]
        assert "error: `broken.jpg`" in err
        assert "error: `empty.png` is empty" in err
        assert err.splitlines()[-1] == "2 of 4 sources could not be read"
        frames = json.loads(Path("x.json").read_text())
        assert [frame["filename"] for frame in frames] == ["two.png", "blue.png"]
        assert new_files(folder) >= {"predictions/two.png", "predictions/blue.png"}
        assert not (folder / "predictions" / "broken.jpg").exists()


def test_a_missing_image_in_a_list_is_left_out(run: Run, folder: Path) -> None:
    (folder / "list.txt").write_text("none.png\ntwo.png\n")
    code, out, err = run("detect", *NET, "list.txt")
    assert (code, boxes_of(out)) == (1, LINES)
    assert "no such file: `none.png`" in err


# -- where annotated images go -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["two.png", "--save", "out.png"], {"out.png"}),
        (["two.png", "-out_filename", "out.bmp"], {"out.bmp"}),
        (["two.png", "--save", "out"], {"out/two.png"}),
        (["two.png", "--save", "deep/out"], {"deep/out/two.png"}),
        (["two.png", "--save", "there"], {"there/two.png"}),
        (["two.png", "--save", "there.d"], {"there.d/two.png"}),
        (["two.png", "blue.png", "--save", "out.d"], {"out.d/two.png", "out.d/blue.png"}),
        (["two.png", "--no-save"], set()),
        (["two.png", "blue.png", "--no-save"], set()),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_where_images_are_saved(run: Run, folder: Path, words: list[str], expected: set[str]) -> None:
    for name in ("there", "there.d"):
        (folder / name).mkdir()
    code, out, _ = run("detect", *NET, *words)
    assert code == 0
    assert new_files(folder) == expected
    assert ("saved" in out) == bool(expected)


def test_images_of_the_same_name(run: Run, folder: Path) -> None:
    for place in ("a", "b"):
        (folder / place).mkdir()
        cv2.imwrite(f"{place}/x.png", TWO)
        cv2.imwrite(f"{place}/x.tif", TWO)
    code, out, _ = run("detect", *NET, "a", "b")
    assert code == 0
    assert len(new_files(folder) - {f"{place}/x.{suffix}" for place in "ab" for suffix in ("png", "tif")}) == 4
    assert out.splitlines()[-1] == "saved: 4 files in predictions"


def test_earlier_results_are_replaced(run: Run, folder: Path) -> None:
    for _ in range(2):
        assert run("detect", *NET, "two.png", "blue.png")[0] == 0
    assert new_files(folder) == {"predictions/two.png", "predictions/blue.png"}


# -- files of results --------------------------------------------------------------------------------------------------


def test_all_files_at_once(run: Run, folder: Path) -> None:
    code, out, _ = run(
        *("detect", *NET, "two.png", "black.png", "--no-save", "--quiet"),
        *("--out", "x.json", "--coco", "coco.json", "--csv", "x.csv", "--labels", "new/labels"),
    )
    assert (code, out) == (0, "")
    assert new_files(folder) == {"x.json", "coco.json", "x.csv", "new/labels/two.txt", "new/labels/black.txt"}
    frames = json.loads(Path("x.json").read_text())
    assert frames[0]["objects"][1] == {
        "class_id": 0,
        "name": "red",
        "relative_coordinates": {"center_x": 0.375, "center_y": 0.625, "width": 0.25, "height": 0.25},
        "confidence": 1.0,
    }
    assert frames[1] == {"frame_id": 2, "filename": "black.png", "objects": []}
    assert [row["bbox"] for row in json.loads(Path("coco.json").read_text())] == [[48, 0, 16, 16], [16, 32, 16, 16]]
    rows = [*csv.DictReader(io.StringIO(Path("x.csv").read_text("utf-8")))]
    assert [(row["file"], row["name"], row["left"], row["bottom"]) for row in rows] == [
        ("two.png", "green", "48.00", "16.00"),
        ("two.png", "red", "16.00", "48.00"),
    ]
    assert (folder / "new" / "labels" / "two.txt").read_text().splitlines()[1] == "0 0.3750 0.6250 0.2500 0.2500"
    assert (folder / "new" / "labels" / "black.txt").read_text() == ""


@pytest.mark.parametrize("option", ["--out", "-out", "--json"])
def test_spellings_of_out(run: Run, option: str) -> None:
    assert run("detect", *NET, "two.png", option, "x.json")[0] == 0
    assert len(json.loads(Path("x.json").read_text())) == 1


def test_labels_beside_the_images(run: Run, folder: Path) -> None:
    (folder / "photos").mkdir()
    cv2.imwrite("photos/1.png", TWO)
    assert run("detect", *NET, "photos", "--save-labels", "--no-save")[0] == 0
    assert new_files(folder) == {"photos/1.png", "photos/1.txt"}


def test_quotes_in_names(run: Run, folder: Path) -> None:
    (folder / "colours.names").write_text('12" red\nback\\slash\nü\n', "utf-8")
    assert run("detect", *NET, "two.png", "--out", "x.json")[0] == 0
    (frame,) = json.loads(Path("x.json").read_text())
    assert [each["name"] for each in frame["objects"]] == ["back\\slash", '12" red']


def test_results_that_go_into_links_and_pipes(run: Run, folder: Path) -> None:
    """What stands there stays what it is, as `/dev/stdout` must."""
    (folder / "real.json").touch()
    (folder / "link.json").symlink_to("real.json")
    os.mkfifo(folder / "pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((folder / "pipe").read_text()))
    reader.start()
    assert run("detect", *NET, "two.png", "--no-save", "--out", "pipe", "--coco", "link.json")[0] == 0
    reader.join(10)
    assert (folder / "pipe").is_fifo()
    assert len(json.loads(read[0])) == 1
    assert (folder / "link.json").is_symlink()
    assert len(json.loads((folder / "real.json").read_text())) == 2


# -- names -------------------------------------------------------------------------------------------------------------


def test_a_name_that_is_not_unicode(run: Run, folder: Path) -> None:
    Path("two.png").rename(os.fsdecode(b"\xff.png"))
    assert run("detect", *NET, os.fsdecode(b"\xff.png"), "--out", "x.json", "--quiet")[0] == 0
    assert json.loads((folder / "x.json").read_text())[0]["filename"] == "?.png"


def test_names_do_not_drive_the_terminal(run: Run, folder: Path) -> None:
    (folder / "x.names").write_text("a\x1b[2J\nb\nc\n")
    Path("two.png").rename("\x1b[2J.png")
    for name, expected in (("\x1b[2J.png", 0), ("none\x1b[2J.png", 2)):
        code, out, err = run("detect", *NET, name, "--names", "x.names")
        assert (code, len(boxes_of(out))) == (expected, 2 if not expected else 0)
        assert "\x1b" not in out + err


def test_files_behind_the_classes(run: Run) -> None:
    for words in (["--classes", "red", "two.png"], ["blue.png", "--classes", "red", "two.png"]):
        code, _, err = run("detect", *NET, *words)
        assert code == 2
        assert "name files before" in err


@pytest.mark.parametrize("name", ["colours.backup", "colours.conv.1"])
def test_weights_by_other_names(run: Run, folder: Path, name: str) -> None:
    (folder / NET[1]).rename(name)
    assert run("detect", NET[0], name, "two.png")[0] == 0


@pytest.mark.parametrize(
    "words",
    ["{cfg} -thresh .3 {weights} two.png", "-thresh .3 {cfg} {weights} two.png -ext_output", "two.png --quiet {cfg} {weights}"],
)
def test_files_between_options(run: Run, words: str) -> None:
    code, out, _ = run("detect", *words.format(cfg=NET[0], weights=NET[1]).split(), "--no-save")
    assert (code, boxes_of(out)) == (0, [] if "--quiet" in words else LINES)


def test_halves_are_rounded_as_c_does() -> None:
    line = console_lines(Detections([[0.5, 1.5, 3.0, 4.0]], [0.5], [0], ["a"]))[0]
    assert line == "a: 50%\t(left_x:    1   top_y:    2   width:    3   height:    3)"
