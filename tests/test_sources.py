"""What words on a command line stand for, and reading it."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Semaphore
from typing import Any
from urllib.error import HTTPError

import cv2
import numpy as np
import pytest

from cspdet.errors import ImageError, UsageError
from cspdet.image import Pixels
from cspdet.sources import Source, expand, newest, open_video, read

# Every test stands in a folder of its own.
pytestmark = pytest.mark.usefixtures("folder")

PICTURE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def make_video(path: Path, frames: int = 5, rate: float = 10) -> list[Pixels]:
    """A Motion-JPEG video; each frame is brighter than the last."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, (64, 48))
    assert writer.isOpened()
    pictures = [np.full((48, 64, 3), 20 + 30 * number, np.uint8) for number in range(frames)]
    for each in pictures:
        writer.write(each)
    writer.release()
    return pictures


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: some images, a video, and what is neither."""
    for name in ("b.png", "a.JPG", "photos/2.png", "photos/10.png", "photos/deep/x.bmp"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), PICTURE)
    make_video(tmp_path / "clip.avi")
    (tmp_path / "notes.md").write_text("no image")
    (tmp_path / "photos" / "folder.jpg").mkdir()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def kinds(*words: str) -> list[tuple[str, str]]:
    return [(each.name, each.kind) for each in expand(words)]


# -- what words mean --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("b.png", [("b.png", "image")]),
        ("a.JPG", [("a.JPG", "image")]),
        ("notes.md", [("notes.md", "image")]),
        ("clip.avi", [("clip.avi", "video")]),
        ("photos", [("photos/10.png", "image"), ("photos/2.png", "image")]),
        ("photos/", [("photos/10.png", "image"), ("photos/2.png", "image")]),
        (".", [("a.JPG", "image"), ("b.png", "image")]),
        ("*.png", [("b.png", "image")]),
        ("*", [("a.JPG", "image"), ("b.png", "image"), ("clip.avi", "video")]),
        ("photos/[12]*.png", [("photos/10.png", "image"), ("photos/2.png", "image")]),
        ("**/*.bmp", [("photos/deep/x.bmp", "image")]),
        ("0", [("0", "stream")]),
        ("12", [("12", "stream")]),
        ("rtsp://camera/1", [("rtsp://camera/1", "stream")]),
        ("RTSP://camera/1", [("RTSP://camera/1", "stream")]),
        ("rtmp://host/live.jpg", [("rtmp://host/live.jpg", "stream")]),
        ("http://host/live", [("http://host/live", "stream")]),
        ("http://host/clip.mp4", [("http://host/clip.mp4", "stream")]),
        ("http://host/dog.jpg", [("http://host/dog.jpg", "web image")]),
        ("https://host/dog.JPG?width=3", [("https://host/dog.JPG?width=3", "web image")]),
    ],
)
def test_words(word: str, expected: list[tuple[str, str]]) -> None:
    assert kinds(word) == expected


def test_several_words_keep_their_order() -> None:
    assert [name for name, _ in kinds("clip.avi", "b.png", "photos", "b.png")] == [
        "clip.avi",
        "b.png",
        "photos/10.png",
        "photos/2.png",
        "b.png",
    ]
    assert kinds() == []


def test_absolute_patterns(folder: Path) -> None:
    assert kinds(str(folder / "*.png")) == [(str(folder / "b.png"), "image")]


def test_a_file_comes_before_a_camera_or_a_pattern() -> None:
    cv2.imwrite("0.png", PICTURE)
    Path("0.png").rename("0")
    cv2.imwrite("x.png", PICTURE)
    Path("x.png").rename("[b].png")
    assert kinds("0", "[b].png") == [("0", "image"), ("[b].png", "image")]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("none.png", r"no such file: `none\.png`"),
        ("nowhere/x.png", r"no such file: `nowhere/x\.png`"),
        ("empty", "there is no image in `empty`"),
        ("*.gif", r"no image or video matches `\*\.gif`"),
        ("*.md", r"no image or video matches `\*\.md`"),
        ("ftp://host/dog.jpg", "is no address that can be opened"),
        ("file:///dog.jpg", "is no address that can be opened"),
        ("-1", "no such file: `-1`"),
        ("²", "no such file"),
    ],
)
def test_words_that_name_nothing(word: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        kinds(word)
    assert caught.value.help


# -- lists ------------------------------------------------------------------------------------------------------------


def test_a_list(folder: Path) -> None:
    """Paths are looked for in the working directory first, then beside the list; blank lines do not count."""
    (folder / "photos" / "b.png").write_bytes(b"another")
    (folder / "photos" / "list.TXT").write_text("b.png\n\n  2.png  \r\nclip.avi\nphotos/10.png\nnone.png\n", "utf-8")
    assert kinds("photos/list.TXT") == [
        ("b.png", "image"),
        ("photos/2.png", "image"),
        ("clip.avi", "video"),
        ("photos/10.png", "image"),
        ("none.png", "image"),
    ]


def test_a_list_of_absolute_and_odd_paths(folder: Path) -> None:
    cv2.imwrite("ä b.png", PICTURE)
    absolute = str(folder / "b.png")
    (folder / "list.txt").write_text(f"{absolute}\nä b.png\n", "utf-8")
    assert kinds("list.txt") == [(absolute, "image"), ("ä b.png", "image")]


def test_an_empty_list(folder: Path) -> None:
    (folder / "list.txt").write_text("\n \n")
    assert kinds("list.txt") == []


@pytest.mark.parametrize(("data", "message"), [(b"a.png\n\xff\xfe\n", "not text"), (b"a.png\nb\0c\n", "not a list of files")])
def test_what_is_no_list(folder: Path, data: bytes, message: str) -> None:
    (folder / "list.txt").write_bytes(data)
    with pytest.raises(UsageError, match=message) as caught:
        kinds("list.txt")
    assert "list.txt" in caught.value.message
    assert "one path per line" in caught.value.help


def test_a_list_on_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("b.png\n\n  clip.avi \nnone.png"))
    assert kinds("-") == [("b.png", "image"), ("clip.avi", "video"), ("none.png", "image")]


# -- reading images ---------------------------------------------------------------------------------------------------


def test_read_a_file() -> None:
    assert np.array_equal(read(Source("b.png", "image")), PICTURE)
    with pytest.raises(UsageError, match="no such file"):
        read(Source("none.png", "image"))
    with pytest.raises(ImageError, match=r"`notes\.md` is not an image"):
        read(Source("notes.md", "image"))


class Quiet(SimpleHTTPRequestHandler):
    """Shows a folder, and answers some addresses as a server should not."""

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/chunks.png":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"zz\r\nabc")
        elif self.path == "/garbage.png":
            self.wfile.write(b"garbage\r\n\r\n")
        else:
            super().do_GET()


@pytest.fixture
def server(folder: Path) -> Iterator[str]:
    """A web server on this machine that shows the folder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_image_on_the_web(server: str) -> None:
    for word in (f"{server}/b.png", f"{server}/b.png?size=large", f"{server}/photos/2.png"):
        (source,) = expand([word])
        assert source.kind == "web image"
        assert np.array_equal(read(source), PICTURE)


@pytest.mark.parametrize("name", ["a b.png", "chunks.png", "garbage.png"])
def test_an_address_that_gives_nothing(server: str, name: str) -> None:
    with pytest.raises(UsageError, match="cannot fetch `http://127") as caught:
        read(Source(f"{server}/{name}", "web image"))
    assert name in caught.value.message


def test_a_page_in_place_of_an_image(server: str, folder: Path) -> None:
    (folder / "page.png").write_text("<html>not found</html>")
    with pytest.raises(ImageError, match="is not an image") as caught:
        read(Source(f"{server}/page.png", "web image"))
    assert "web page" in caught.value.help


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(UsageError, match=r"cannot fetch `http://127.*refused"):
        read(Source("http://127.0.0.1:1/dog.png", "web image"))


# -- videos -----------------------------------------------------------------------------------------------------------


def test_a_video(folder: Path) -> None:
    expected = make_video(folder / "long.avi", frames=7, rate=12)
    with open_video(Source("long.avi", "video")) as video:
        assert (video.total, video.rate) == (7, pytest.approx(12))
        frames = [*video.frames]
    assert len(frames) == 7
    for mine, other in zip(frames, expected, strict=True):
        assert mine.shape == (48, 64, 3)
        assert mine.dtype == np.uint8
        assert np.abs(mine.astype(int) - other).max() <= 3


def test_a_video_that_is_left_early_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    released = []

    class Watched:
        def __init__(self, target: str) -> None:
            self.inside = real(target)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inside, name)

        def release(self) -> None:
            released.append(True)
            self.inside.release()

    real = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", Watched)

    def watch() -> None:
        with open_video(Source("clip.avi", "video")) as video:
            next(video.frames)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch()
    assert released


NO_VIDEOS = {"empty": b"", "text": b"text\n" * 100, "header": b"RIFF\x00\x00\x00\x00AVI ", "zeros": bytes(3000)}


@pytest.mark.parametrize("data", NO_VIDEOS.values(), ids=NO_VIDEOS)
def test_what_is_no_video(folder: Path, data: bytes) -> None:
    (folder / "bad.avi").write_bytes(data)
    with (
        pytest.raises(ImageError, match=r"`bad\.avi` (is not a video|has no frame)"),
        open_video(Source("bad.avi", "video")) as video,
    ):
        next(video.frames)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Source("none.avi", "video"), "no such file: `none.avi`"),
        (Source("photos", "video"), "no such file: `photos`"),
        (Source("99", "stream"), "there is no camera 99"),
        (Source("9" * 30, "stream"), "there is no camera 9"),
        (Source("rtsp://127.0.0.1:1/x", "stream"), "cannot open `rtsp://127.0.0.1:1/x`"),
        (Source("http://127.0.0.1:1/x", "stream"), "cannot open `http://127.0.0.1:1/x`"),
    ],
    ids=lambda each: each.name[:30] if isinstance(each, Source) else "",
)
def test_videos_that_are_not_there(source: Source, message: str) -> None:
    with pytest.raises(UsageError, match=message), open_video(source) as video:
        next(video.frames)


class Camera:
    """Stands in for a camera, which says nothing of its frames, and stops."""

    def __init__(self, target: Any) -> None:
        self.left = 3

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def get(self, _: int) -> float:
        return -1.0

    def read(self) -> tuple[bool, Any]:
        self.left -= 1
        return self.left >= 0, PICTURE if self.left >= 0 else None

    def release(self) -> None:
        pass


def test_a_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    with open_video(Source("0", "stream")) as video:
        assert video.total == 0
        assert video.rate == 25
        assert len([*video.frames]) == 3


def test_of_what_is_filmed_now_the_newest_is_taken() -> None:
    filmed = [Semaphore(0) for _ in range(6)]
    taken = Semaphore(0)

    def frames() -> Iterator[Any]:
        for number, ready in enumerate(filmed):
            ready.acquire()
            yield np.full((1, 1, 3), number, np.uint8)
            taken.release()  # asked for the next: this one lies ready

    with newest(frames()) as found:
        seen = []
        for last in (0, 3, 5):
            for ready in filmed[: last + 1]:
                ready.release()
            while taken.acquire(timeout=0.2):
                pass
            seen.append(int(next(found)[0, 0, 0]))
        assert seen == [0, 3, 5]
        assert next(found, None) is None


def test_a_failing_camera_says_so() -> None:
    def frames() -> Iterator[Any]:
        yield PICTURE
        raise ImageError("broken")

    with newest(frames()) as found, pytest.raises(ImageError):
        list(found)


@pytest.mark.parametrize(
    ("name", "live"), [("0", True), ("rtsp://x/y", True), ("http://x/y.mp4", False), ("http://x/stream", True)]
)
def test_what_is_live(name: str, live: bool) -> None:
    assert Source(name, "stream").live is live
    assert not Source(name, "video").live


# -- what is hard to name ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "word", ["http://[x/y.jpg", "a" * 5000, "/" + "a" * 300 + "/x.png", "a\0.png"], ids=["address", "long", "long part", "zero"]
)
def test_words_that_cannot_be_names(word: str) -> None:
    with pytest.raises(UsageError):
        [*expand([word])]


def test_folders_that_match_a_pattern() -> None:
    assert [each.name for each in expand(["photos/*"])] == ["photos/10.png", "photos/2.png"]


def test_addresses_in_a_list(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "http://host/x.png\nb.png\nrtsp://host/live\n"
    expected = [Source("http://host/x.png", "web image"), Source("b.png", "image"), Source("rtsp://host/live", "stream")]
    (folder / "list.txt").write_text(lines)
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    assert [*expand(["list.txt"])] == [*expand(["-"])] == expected


def test_an_address_that_is_not_ascii(server: str, folder: Path) -> None:
    cv2.imwrite(str(folder / "ä ö.png"), PICTURE)
    assert np.array_equal(read(Source(f"{server}/ä ö.png", "web image")), PICTURE)
    with pytest.raises(UsageError, match="HTTP 404"):
        read(Source(f"{server}/ü.png", "web image"))


@pytest.mark.parametrize("path", ["/404.png", "/elsewhere.png"])
def test_answers_are_closed(server: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the connection stays open until it is collected."""
    errors: list[HTTPError] = []
    original = HTTPError.__init__

    def remember(error: HTTPError, *words: Any) -> None:
        errors.append(error)
        original(error, *words)

    monkeypatch.setattr(HTTPError, "__init__", remember)
    with pytest.raises(UsageError, match="cannot fetch"):
        read(Source(server + path, "web image"))
    assert errors[0].fp is None or errors[0].fp.closed


@pytest.mark.parametrize(
    ("name", "stem", "suffix"),
    [
        ("a/b.JPG", "b", ".JPG"),
        ("http://host/x/y.png?size=3", "y", ".png"),
        ("rtsp://host", "stream", ""),
        ("0", "0", ""),
    ],
)
def test_names_for_files_about_a_source(name: str, stem: str, suffix: str) -> None:
    source = next(expand([name])) if "/b" not in name else Source(name, "image")
    assert (source.stem, source.suffix) == (stem, suffix)
