"""Detecting in videos and cameras."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Semaphore, main_thread
from threading import enumerate as enumerate_threads
from typing import Any

import cv2
import numpy as np
import pytest

from cspdet.commands.job import Job
from tests.commands.detect.material import LINES, NET, Run, boxes_of, frames_of, make_video, new_files
from tests.conftest import ROOT
from tests.test_detector import TWO, picture

# -- videos ------------------------------------------------------------------------------------------------------------


def test_a_video(run: Run, folder: Path) -> None:
    make_video("clip.avi", 4)
    code, out, err = run("detect", *NET, "clip.avi", "--out", "x.json", "--csv", "x.csv")
    assert (code, err) == (0, "")
    assert [line for line in out.splitlines() if "frame" in line] == [f"clip.avi: frame {number}" for number in range(1, 5)]
    assert [line.split("top_y")[0] for line in boxes_of(out)] == [f"red: 100%\t(left_x: {16 * n:4}   " for n in range(4)]
    assert out.splitlines()[-1] == "saved: predictions.mp4"
    assert new_files(folder) == {"clip.avi", "x.json", "x.csv", "predictions.mp4"}
    assert frames_of("predictions.mp4") == 4
    frames = json.loads(Path("x.json").read_text())
    assert [(frame["frame_id"], frame["filename"]) for frame in frames] == [(n, "clip.avi") for n in range(1, 5)]
    rows = [*csv.DictReader(io.StringIO(Path("x.csv").read_text("utf-8")))]
    assert [row["frame"] for row in rows] == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--save", "out.avi"], {"out.avi"}),
        (["-out_filename", "out.mkv"], {"out.mkv"}),
        (["--save", "there"], {"there/clip.mp4"}),
        (["--no-save"], set()),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_where_videos_are_saved(run: Run, folder: Path, words: list[str], expected: set[str]) -> None:
    make_video("clip.avi", 3)
    (folder / "there").mkdir()
    code, _, _ = run("detect", *NET, "clip.avi", *words)
    assert code == 0
    assert new_files(folder) - {"clip.avi"} == expected
    assert all(frames_of(name) == 3 for name in expected)


def test_videos_and_images(run: Run, folder: Path) -> None:
    make_video("clip.avi", 2)
    make_video("other.avi", 2)
    code, out, _ = run("detect", *NET, "clip.avi", "two.png", "other.avi", "--out", "x.json")
    assert code == 0
    assert out.splitlines()[-1] == "saved: 3 files in predictions"
    saved = {"predictions/clip.mp4", "predictions/two.png", "predictions/other.mp4"}
    assert new_files(folder) == {"clip.avi", "other.avi", "x.json"} | saved
    frames = json.loads(Path("x.json").read_text())
    assert [frame["filename"] for frame in frames] == ["clip.avi", "clip.avi", "two.png", "other.avi", "other.avi"]
    assert [frame["frame_id"] for frame in frames] == [1, 2, 3, 4, 5]


def test_a_video_that_is_broken_is_left_out(run: Run, folder: Path) -> None:
    make_video("clip.avi", 2)
    (folder / "bad.avi").write_bytes(b"nothing")
    code, out, err = run("detect", *NET, "bad.avi", "clip.avi")
    assert (code, len(boxes_of(out))) == (1, 2)
    assert err.startswith("error: `bad.avi` is not a video that OpenCV can decode")
    assert err.splitlines()[-1] == "1 of 2 sources could not be read"
    assert new_files(folder) == {"clip.avi", "bad.avi", "predictions/clip.mp4"}


@pytest.mark.parametrize("target", ["out.xyz", "nowhere/out.mp4"])
def test_a_video_that_cannot_be_saved_is_refused_before_the_work(run: Run, folder: Path, target: str) -> None:
    make_video("clip.avi", 2)
    code, out, err = run("detect", *NET, "clip.avi", "--save", target)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: cannot write `{target}`: ")
    assert new_files(folder) == {"clip.avi"}


class Camera:
    """Stands in for a camera that films a frame when the one before was shown; somebody interrupts after three."""

    shown: Semaphore
    filming: bool
    frames = 3

    def __init__(self, target: object) -> None:
        assert target == 0
        self.left = self.frames

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def get(self, _: int) -> float:
        return 0.0

    def read(self) -> tuple[bool, Any]:
        if 0 <= self.left < self.frames:
            self.shown.acquire()
        if not self.left:
            signal.pthread_kill(main_thread().ident or 0, signal.SIGINT)
        self.left -= 1
        return True, picture()

    def release(self) -> None:
        type(self).filming = False


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> type[Camera]:
    """In place of all videos."""
    Camera.shown, Camera.filming = Semaphore(0), True
    show = Job.show

    def shown(self: Job, *arguments: Any, **options: Any) -> None:
        show(self, *arguments, **options)
        Camera.shown.release()

    monkeypatch.setattr(Job, "show", shown)
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    return Camera


@pytest.mark.parametrize("words", [["0"], ["-c", "0"]])
def test_interrupting_a_camera_ends_it_in_good_order(
    run: Run, folder: Path, camera: type[Camera], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    code, out, err = run("detect", *NET, *words, "--out", "x.json", "--save", "out.avi")
    assert (code, err) == (0, "")
    # Every frame of a stream is reported, also where nothing is found.
    assert out.splitlines() == ["0: frame 1", "0: frame 2", "0: frame 3", "saved: out.avi"]
    assert len(json.loads(Path("x.json").read_text())) == 3
    assert not camera.filming
    # OpenVINO has a thread of its own from its first use on.
    assert [each.name for each in enumerate_threads() if each.name.startswith(("newest", "reading", "working"))] == []
    monkeypatch.undo()
    assert frames_of(str(folder / "out.avi")) == 3


@pytest.mark.usefixtures("camera")
def test_a_camera_is_only_saved_where_that_was_asked_for(run: Run, folder: Path) -> None:
    assert run("detect", *NET, "0")[0] == 0
    assert new_files(folder) == set()


# -- as a process ------------------------------------------------------------------------------------------------------


def start(*words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "cspdet", "detect", *NET, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize("words", [["two.png"] * 3000, ["long.avi", "--save", "out.mp4"]], ids=["images", "video"])
def test_what_an_interrupted_run_has_found_is_written(folder: Path, words: list[str]) -> None:
    make_video("long.avi", 3000)
    Path("x.csv").write_text("of the last run")
    files = ["--out", "x.json", "--csv", "x.csv", "--labels", "labels"]
    with start(*words, *files, *(["--no-save"] if "--save" not in words else [])) as process:
        assert process.stdout is not None
        for _ in range(10):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    frames = json.loads(Path("x.json").read_text())
    count = f"{len(frames)} frames" if words[0] == "long.avi" else f"{len(frames)} of 3000 images"
    said = f"interrupted after {count}: what was found in these is in `x.json` and `x.csv`\ninterrupted\n"
    assert (process.returncode, err) == (130, said)
    assert 3 <= len(frames) < 3000
    assert [frame["frame_id"] for frame in frames] == [*range(1, len(frames) + 1)]
    rows = csv.DictReader(io.StringIO(Path("x.csv").read_text("utf-8")))
    assert {int(row["frame"]) for row in rows} == {*range(1, len(frames) + 1)}
    assert {each for each in new_files(folder) if "labels" not in each} == {"long.avi", "x.json", "x.csv"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_that_has_found_nothing_yet_writes_nothing(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setattr(Job, "report", lambda *_: signal.raise_signal(number))
    Path("x.json").write_text("of the last run")
    code, _, err = run("detect", *NET, "two.png", "blue.png", "--no-save", "--out", "x.json")
    assert (code, err) == ((130, "interrupted\n") if number == signal.SIGINT else (143, ""))
    assert new_files(folder) == {"x.json"}
    assert Path("x.json").read_text() == "of the last run"


def test_an_interrupted_run_without_files_of_results(folder: Path) -> None:
    make_video("long.avi", 3000)
    with start("long.avi", "--save", "out.mp4") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "long.avi: frame 1\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "interrupted\n")
    assert new_files(folder) == {"long.avi"}


@pytest.mark.parametrize("words", [["two.png"] * 300, ["long.avi"]], ids=["images", "video"])
def test_a_reader_that_goes_away(folder: Path, words: list[str]) -> None:
    """As with `| head -1`."""
    make_video("long.avi", 1000)
    with start(*words, "--save", "out.avi" if len(words) == 1 else "out") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (0, "")
    assert new_files(folder) <= {"long.avi", "out/two.png", *(f"out/two-{number}.png" for number in range(300))}


# -- with other sources ------------------------------------------------------------------------------------------------


def test_images_and_videos_of_the_same_name(run: Run, folder: Path) -> None:
    for place, image in (("a", TWO), ("b", picture())):
        (folder / place).mkdir()
        cv2.imwrite(f"{place}/x.png", image)
        make_video(f"{place}/x.avi", 2)
    code, _, _ = run("detect", *NET, "a", "b", "a/x.avi", "b/x.avi", "--save", "out", "--labels", "labels")
    assert code == 0
    assert {each.name for each in (folder / "out").iterdir()} == {"x.png", "x-2.png", "x.mp4", "x-2.mp4"}
    assert [len((folder / "labels" / f"{name}.txt").read_text().splitlines()) for name in ("x", "x-2")] == [2, 0]
    assert {each.stem for each in (folder / "labels").iterdir()} == {"x", "x-2", "x-3_1", "x-3_2", "x-4_1", "x-4_2"}


def test_a_video_alone_in_a_folder_that_is_made(run: Run) -> None:
    make_video("clip.avi", 2)
    assert run("detect", *NET, "clip.avi", "--save", "new/deep")[0] == 0
    assert frames_of("new/deep/clip.mp4") == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [([], "cannot write `predictions/a.mp4`: "), (["--save", "two.png"], "`two.png` is one file, but there are 2 sources")],
    ids=str,
)
def test_a_folder_for_videos_that_cannot_be_made(run: Run, folder: Path, words: list[str], said: str) -> None:
    make_video("a.avi", 2)
    make_video("b.avi", 2)
    (folder / "predictions").touch()
    code, out, err = run("detect", *NET, "a.avi", "b.avi", *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {said}")
    assert "\n  help: name a folder" in err


def test_a_video_without_frames_is_left_out(run: Run, folder: Path) -> None:
    (folder / "bad.mjpeg").write_bytes(np.random.default_rng(0).bytes(6000))
    make_video("clip.avi", 2)
    code, out, _ = run("detect", *NET, "bad.mjpeg", "clip.avi", "--out", "x.json")
    assert (code, len(boxes_of(out))) == (1, 2)
    assert new_files(folder) == {"bad.mjpeg", "clip.avi", "x.json", "predictions/clip.mp4"}


def test_the_key_that_ends_it_ends_all_of_it(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(cv2, "imshow", lambda name, _: shown.append(name))
    monkeypatch.setattr(cv2, "waitKey", lambda _: ord("q"))
    make_video("clip.avi", 2)
    code, out, _ = run("detect", *NET, "two.png", "blue.png", "clip.avi", "--show", "--no-save", "--out", "x.json")
    assert (code, len(shown), boxes_of(out)) == (0, 1, LINES)
    assert len(json.loads((folder / "x.json").read_text())) == 1


def test_interrupting_a_camera_before_its_first_frame(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Camera, "frames", 0)
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    assert run("detect", *NET, "0", "--save", "out.mp4")[0] == 130
    assert new_files(folder) == set()


def test_labels_of_a_frame_and_of_an_image_of_its_name(run: Run, folder: Path) -> None:
    make_video("clip.avi", 2)
    Path("two.png").rename("clip_1.png")
    assert run("detect", *NET, "clip.avi", "clip_1.png", "--labels", "labels", "--no-save")[0] == 0
    assert {each.name for each in (folder / "labels").iterdir()} == {"clip_1.txt", "clip-2_1.txt", "clip-2_2.txt"}
