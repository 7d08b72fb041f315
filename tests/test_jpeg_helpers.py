"""Processes that decode JPEGs: they give what the decoder gives, and end whatever happens."""

from __future__ import annotations

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest

from cspdet import jpeg, pipeline
from cspdet.errors import ImageError
from cspdet.jpeg import helpers
from cspdet.jpeg.helpers import Helpers, helped, serve, worthwhile

PICTURES = [np.random.default_rng(seed).integers(0, 256, (40 + seed, 30, 3), np.uint8) for seed in range(8)]
FILES = [cv2.imencode(".jpg", picture)[1].tobytes() for picture in PICTURES]
PROGRESSIVE = cv2.imencode(".jpg", PICTURES[0], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
DAMAGED = FILES[0][:-40] + b"\xff\xd9"


def check(decode: Helpers, data: bytes) -> None:
    found, expected = decode(data, "x"), jpeg.decode(data, "x")
    assert found is not None
    assert expected is not None
    assert found.shape == expected.shape
    assert np.array_equal(found, expected)
    found[:] = 0  # it is ours


def test_what_helpers_give() -> None:
    """From more threads than there are helpers; also behind what they cannot decode."""
    with Helpers(2) as decode:
        for _ in range(2):
            with ThreadPoolExecutor(4) as threads:
                [*threads.map(lambda data: check(decode, data), FILES * 3)]
            assert decode(PROGRESSIVE, "x") is None
            with pytest.raises(ImageError, match="`x` is damaged"):
                decode(DAMAGED, "x")
        assert [each.poll() for each in decode.processes] == [None, None]
    assert all(each.poll() is not None for each in decode.processes)


def test_helpers_that_are_killed() -> None:
    with Helpers(2) as decode:
        check(decode, FILES[0])
        decode.processes[0].kill()
        for data in FILES:
            check(decode, data)
        decode.processes[1].kill()
        for data in FILES:
            check(decode, data)


@pytest.mark.parametrize("program", [shutil.which("false"), "/nowhere/python"], ids=["ends at once", "is not there"])
def test_helpers_that_never_start(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(sys, "executable", program)
    with Helpers(2) as decode:
        for data in FILES:
            check(decode, data)


def test_no_helpers() -> None:
    with Helpers(0) as decode:
        check(decode, FILES[0])


def test_an_exception_ends_them() -> None:
    decode = Helpers(1)
    with pytest.raises(ImageError), decode:
        decode(DAMAGED, "x")
    assert decode.processes[0].poll() is not None


def test_what_a_helper_says() -> None:
    """Zeros for what it cannot decode; the end of what is asked is its end, also in the midst."""
    replies = BytesIO()
    request = b"".join(len(each).to_bytes(8, "little") + each for each in (b"", b"\xff\xd8", PROGRESSIVE, DAMAGED, FILES[3]))
    serve(BytesIO(request + b"\0\0\0"), replies)
    expected = jpeg.decode(FILES[3], "x")
    assert expected is not None
    size = b"".join(each.to_bytes(8, "little") for each in expected.shape[:2])
    assert replies.getvalue() == bytes(16) * 4 + size + expected.tobytes()


def test_when_they_pay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / f"{number}.JPG" for number in range(4)]
    for path in paths:
        path.write_bytes(bytes(1000))
    missing = [tmp_path / "none.jpg", tmp_path / "odd\0.jpg"]
    monkeypatch.setattr(helpers, "_WORTHWHILE", 4000)
    monkeypatch.setattr(helpers, "usable_cores", lambda: 3)
    monkeypatch.setattr(pipeline, "usable_cores", lambda: 3)
    assert worthwhile([*missing, *paths]) == 3
    assert worthwhile([*missing, *paths[1:]]) == 0
    assert worthwhile([path.rename(path.with_suffix(".png")) for path in paths]) == 0
    with helped(paths, exact=False) as decode:
        assert decode is False
    monkeypatch.setattr(helpers, "usable_cores", lambda: 1)
    assert worthwhile(paths) == 0
