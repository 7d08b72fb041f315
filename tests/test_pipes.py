"""Images and videos that come through named pipes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from cspdet.errors import ImageError, UsageError
from cspdet.image import read_image
from cspdet.pipes import is_pipe, open_pipe
from cspdet.sources import Source, expand, open_video, read

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")

PICTURE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


@contextmanager
def written(path: Path, data: bytes) -> Iterator[None]:
    """Somebody writes into a pipe, as soon as it is read."""
    os.mkfifo(path)
    thread = threading.Thread(target=lambda: path.write_bytes(data))
    thread.start()
    yield
    thread.join()


def make_video(path: Path, codec: str) -> bytes:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (640, 480))
    assert writer.isOpened()
    random = np.random.default_rng(0)
    for _ in range(8):
        writer.write(random.integers(0, 256, (480, 640, 3), dtype=np.uint8))
    writer.release()
    return path.read_bytes()


def test_what_is_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    assert is_pipe(tmp_path / "pipe")
    assert not any(is_pipe(path) for path in (tmp_path, tmp_path / "file", tmp_path / "none", "a\0", "/dev/null"))


@pytest.mark.parametrize("name", ["x.png", "x"])
def test_an_image(tmp_path: Path, name: str) -> None:
    with written(tmp_path / name, cv2.imencode(".png", PICTURE)[1].tobytes()):
        (source,) = expand([str(tmp_path / name)])
        assert np.array_equal(read(source), PICTURE)


def test_an_image_larger_than_the_system_keeps(tmp_path: Path) -> None:
    large = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    with written(tmp_path / "x.bmp", cv2.imencode(".bmp", large)[1].tobytes()):
        assert np.array_equal(read_image(tmp_path / "x.bmp"), large)


def test_an_image_by_a_pipe_without_a_name() -> None:
    data = cv2.imencode(".png", PICTURE)[1].tobytes()
    code = "from cspdet.image import read_image; print(read_image('/dev/stdin').shape)"
    found = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True)
    assert found.stdout == b"(20, 30, 3)\n"
    found = subprocess.run([sys.executable, "-c", code], input=b"", capture_output=True, check=False)
    assert b"`/dev/stdin` is empty" in found.stderr


@pytest.mark.parametrize(("name", "codec"), [("x.avi", "MJPG"), ("x.mkv", "mp4v")])
def test_a_video(tmp_path: Path, name: str, codec: str) -> None:
    data = make_video(tmp_path / f"file{name}", codec)
    assert len(data) > 2**18
    with written(tmp_path / name, data), open_video(Source(str(tmp_path / name), "video")) as video:
        assert len([*video.frames]) == 8


def test_a_short_video_whose_writer_has_gone(tmp_path: Path) -> None:
    """The system keeps some bytes, and has nobody wait who only wants to write those."""
    whole = cv2.VideoWriter(str(tmp_path / "small.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(3):
        whole.write(np.zeros((48, 64, 3), np.uint8))
    whole.release()
    data = (tmp_path / "small.avi").read_bytes()
    assert len(data) < 2**16
    with written(tmp_path / "x.avi", data), open_video(Source(str(tmp_path / "x.avi"), "video")) as video:
        assert len([*video.frames]) == 3


def test_a_video_that_has_to_be_read_from_its_end(tmp_path: Path) -> None:
    assert len(make_video(tmp_path / "file.mp4", "mp4v")) > 2**18
    os.mkfifo(tmp_path / "x.mp4")
    words = ["sh", "-c", "cat file.mp4 > x.mp4"]
    with (
        subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.DEVNULL),
        pytest.raises(ImageError, match="has no frame that can be decoded\n  help: a pipe carries only what"),
        open_video(Source(str(tmp_path / "x.mp4"), "video")),
    ):
        pass


def look_at(source: Source) -> None:
    if source.still:
        read(source)
    else:
        with open_video(source):
            pass


@pytest.mark.parametrize("name", ["x.png", "x.avi"])
def test_nobody_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("cspdet.pipes._PATIENCE", 0.05)
    path = tmp_path / name
    os.mkfifo(path)
    (source,) = expand([str(path)])
    with pytest.raises(UsageError, match=f"`{path}` is a pipe, and nobody has written into it for 0.05 seconds") as caught:
        look_at(source)
    assert caught.value.help == "start what writes into it first"


def test_who_has_opened_it_may_take_any_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cspdet.pipes._PATIENCE", 0.05)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR)
    with open_pipe(path) as file:
        os.write(writer, b"late")
        os.close(writer)
        assert file.read() == b"late"


def test_a_camera_by_its_device(tmp_path: Path) -> None:
    (tmp_path / "front-door").symlink_to("/dev/video7")
    for name in ("/dev/video7", str(tmp_path / "front-door")):
        assert [*expand([name])] == [Source("7", "stream")]
