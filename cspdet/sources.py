"""What can be looked at: images, folders, patterns, lists, videos, cameras and streams."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from glob import glob, has_magic
from pathlib import Path
from threading import Condition, Thread
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from cspdet.errors import ImageError, UsageError
from cspdet.files import real_path
from cspdet.image import SUFFIXES, Exact, Pixels, decode_image, quiet, read_image
from cspdet.missing import no_such_file
from cspdet.paths import exists, is_file, is_folder
from cspdet.pipes import is_pipe, open_pipe

VIDEOS = frozenset(".mp4 .avi .mov .mkv .webm .m4v .mpg .mpeg .wmv .flv .ts .mts .m2ts .3gp .mjpeg .mjpg .ogv".split())  # noqa: SIM905

# A list names at most as many files; a file of another kind taken for a list would otherwise name millions.
_LONGEST_LIST = 10_000_000
_LARGEST_DOWNLOAD = 2**28


class Source(NamedTuple):
    """One thing to look at: an image file, an image on the web, a video file, or a stream without end."""

    name: str
    kind: Literal["image", "web image", "video", "stream"]

    @property
    def still(self) -> bool:
        """Whether it is a single image."""
        return self.kind in ("image", "web image")

    @property
    def live(self) -> bool:
        """Whether its frames come as they are filmed; a video file on the web waits."""
        return self.kind == "stream" and not (self.name.lower().startswith("http") and self.suffix.lower() in VIDEOS)

    @property
    def stem(self) -> str:
        """A name for files about it, without folder and ending."""
        return Path(self._last).stem or self.kind.replace(" ", "-")

    @property
    def suffix(self) -> str:
        """The ending of its name."""
        return Path(self._last).suffix

    @property
    def _last(self) -> str:
        return urlsplit(self.name).path if "://" in self.name else self.name


def expand(words: Iterable[str]) -> Iterator[Source]:
    """The sources that the words on a command line name.

    An existing image or video file; a folder, whose images are taken in order; a pattern such as `photos/*.jpg` or
    `**/*.png`; a `.txt` list of paths, looked for in the working directory, else beside the list; `-` for a list on
    standard input; a number for a camera, or its device, such as `/dev/video0`; an address of rtsp, rtmp or http(s).

    Raises:
        UsageError: nothing is there.
    """
    for word in words:
        yield from _expand(word)


def _expand(word: str) -> Iterator[Source]:
    if word == "-":
        yield from (_one(line.strip()) for line in sys.stdin if line.strip())
        return
    if "://" in word:
        yield _address(word)
        return
    if camera := re.fullmatch("/dev/video([0-9]{1,9})", real_path(word)):
        yield Source(camera[1], "stream")
        return
    path = Path(word)
    if is_folder(path):
        try:
            found = sorted(each for each in path.iterdir() if each.suffix.lower() in SUFFIXES and is_file(each))
        except OSError as error:
            raise UsageError(f"cannot read the folder `{word}`: {(error.strerror or str(error)).lower()}") from None
        if not found:
            raise UsageError(
                f"there is no image in `{path}`",
                "name the images, or a pattern such as `" + str(path / "**/*.jpg") + "`",
            )
        yield from (Source(str(each), "image") for each in found)
    elif exists(path):
        if path.suffix.lower() == ".txt":
            yield from _list(path)
        else:
            yield _file(word)
    elif word.isdecimal():
        yield Source(word, "stream")
    elif has_magic(word):
        matches = sorted(glob(word, recursive=True))  # noqa: PTH207 - patterns may be absolute
        found_files = [each for each in matches if Path(each).suffix.lower() in SUFFIXES | VIDEOS and is_file(each)]
        if not found_files:
            raise UsageError(f"no image or video matches `{word}`", "check the pattern")
        yield from map(_file, found_files)
    else:
        raise no_such_file(word)


def _address(word: str) -> Source:
    try:
        scheme, _, path, *_ = urlsplit(word)
    except ValueError:
        raise UsageError(f"`{word}` is no address that can be opened", "check how it is written") from None
    if scheme.lower() not in ("rtsp", "rtsps", "rtmp", "http", "https", "udp", "tcp"):
        raise UsageError(f"`{word}` is no address that can be opened", "use rtsp, rtmp, http or https")
    picture = Path(path).suffix.lower() in SUFFIXES
    return Source(word, "web image" if picture and scheme.lower() in ("http", "https") else "stream")


def _one(name: str) -> Source:
    """What a line of a list names."""
    return _address(name) if "://" in name else _file(name)


def _file(name: str) -> Source:
    return Source(name, "video" if Path(name).suffix.lower() in VIDEOS else "image")


def _list(path: Path) -> Iterator[Source]:
    """The paths in a list file, one per line."""
    try:
        with path.open(encoding="utf-8", errors="strict") as file:
            for number, line in enumerate(file):
                name = line.strip()
                if not name:
                    continue
                if number >= _LONGEST_LIST or "\0" in name:
                    raise UsageError(f"`{path}` is not a list of files", "write one path per line")
                beside = path.parent / name
                yield _one(str(beside) if "://" not in name and not exists(name) and exists(beside) else name)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(f"cannot read the list `{path}`: {reason.lower()}", "write one path per line") from None


def read(source: Source, *, exact: Exact = False) -> Pixels:
    """The pixels of an image source; `exact` as for `read_image`.

    Raises:
        UsageError: it is not there.
        ImageError: it cannot be decoded.
    """
    if source.kind != "web image":
        return read_image(source.name, exact=exact)
    from http.client import HTTPException

    from cspdet.download import open_url, reason_of

    try:
        with open_url(source.name) as response:
            data = response.read(_LARGEST_DOWNLOAD)
    except (OSError, HTTPException, ValueError) as error:
        raise UsageError(f"cannot fetch `{source.name}`: {reason_of(error)}", "check the address") from None
    return decode_image(data, source.name, exact=exact)


class Video(NamedTuple):
    """An open video: its frames, their number (0 if unknown) and their rate."""

    frames: Iterator[Pixels]
    total: int
    rate: float


@contextmanager
def open_video(source: Source) -> Iterator[Video]:
    """The frames of a video file, camera or stream, in order. There is at least one: it is read at once.

    Raises:
        UsageError: it cannot be opened.
        ImageError: it has no frame that can be decoded.
    """
    import cv2

    if source.kind == "video" and (not exists(source.name) or is_folder(source.name)):
        raise no_such_file(source.name)
    target: str | int = int(source.name) if source.name.isdecimal() and source.kind == "stream" else source.name
    cure = "is it cut, or something else?"
    with ExitStack() as stack:
        if source.kind == "video" and is_pipe(source.name):
            # To open it again would wait for another writer, where the first is done.
            target = f"pipe:{stack.enter_context(open_pipe(source.name)).fileno()}"
            cure = "a pipe carries only what can be read from front to back, such as `.ts` and `.mkv`"
        with quiet():
            try:
                capture = cv2.VideoCapture(target)
            except (cv2.error, OverflowError):
                capture = cv2.VideoCapture()
        stack.callback(capture.release)
        if not capture.isOpened():
            if isinstance(target, int):
                raise UsageError(f"there is no camera {target}", "cameras are counted from 0; is another program using it?")
            if source.kind == "stream":
                raise UsageError(f"cannot open `{source.name}`", "check the address, and that the stream is running")
            raise ImageError(f"`{source.name}` is not a video that OpenCV can decode", cure)
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        rate = capture.get(cv2.CAP_PROP_FPS)
        known = 0 < rate < 1000
        first = _next_frame(capture)
        if first is None:
            raise ImageError(f"`{source.name}` has no frame that can be decoded", cure)
        yield Video(
            _frames(capture, first),
            int(count) if 0 < count < 2**40 and source.kind == "video" else 0,
            rate if known else 25.0,
        )


def _frames(capture: Any, frame: Pixels | None) -> Iterator[Pixels]:
    while frame is not None:
        yield frame
        frame = _next_frame(capture)


def _next_frame(capture: Any) -> Pixels | None:
    import cv2

    try:
        good, frame = capture.read()
    except cv2.error:
        return None
    return frame if good else None


@contextmanager
def newest(frames: Iterator[Pixels]) -> Iterator[Iterator[Pixels]]:
    """Of frames that come as they are filmed, the newest one each time; those that nobody asked for in time are dropped.

    A thread of its own reads them. It ends with the frames, or when the next one has come after this is left.
    """
    changed = Condition()
    latest: Pixels | None = None
    failure: BaseException | None = None
    ended = left = False

    def read() -> None:
        nonlocal latest, failure, ended
        try:
            for frame in frames:
                with changed:
                    latest = frame
                    changed.notify_all()
                    if left:
                        break
        except BaseException as error:  # whoever asks next raises it
            failure = error
        with changed:
            ended = True
            changed.notify_all()

    def something() -> bool:
        return latest is not None or ended or left

    def given() -> Iterator[Pixels]:
        nonlocal latest
        while True:
            with changed:
                changed.wait_for(something)
                frame, latest = latest, None
            if frame is None:
                if failure is not None:
                    raise failure
                return
            yield frame

    thread = Thread(target=read, name="newest", daemon=True)
    thread.start()
    try:
        yield given()
    finally:
        with changed:
            left = True
            changed.notify_all()
        thread.join()
