"""Files that are no weights files: each is named for what it is, nothing in it is run, and nothing hangs."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

import cspdet
from cspdet.errors import CspdetError, UsageError, WeightsError
from cspdet.weights.codec import open_weights
from cspdet.weights.foreign import recognise

CFG = "[net]\nwidth=8\nheight=8\nchannels=3\n[convolutional]\nfilters=2\nsize=1\nactivation=linear\n"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 24251276\n"


def _zip() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("archive/data.pkl", b"x")
    return data.getvalue()


def _image(ending: str) -> bytes:
    return bytes(cv2.imencode(ending, np.full((8, 8, 3), 90, np.uint8))[1])


def _torch(**how: Any) -> bytes:
    data = io.BytesIO()
    torch.save({"weight": torch.zeros(3)}, data, **how)
    return data.getvalue()


def _tar() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as file:
        file.addfile(tarfile.TarInfo("made.weights"))
    return data.getvalue()


def _numpy() -> bytes:
    data = io.BytesIO()
    np.save(data, np.zeros(3))
    return data.getvalue()


# Name, content, a word of what it is said to be, and one of the cure.
FOREIGN: tuple[tuple[str, bytes, str, str], ...] = (
    ("html", b"<!DOCTYPE html>\n<html><head><title>Sign in</title>" + b" " * 600, "web page", "browser"),
    ("html, indented", b"\r\n\r\n  <html>", "web page", "browser"),
    ("xml", b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "web page", "browser"),
    ("git-lfs", LFS, "git-lfs pointer", "git lfs pull"),
    ("zip", _zip(), "zip archive", "does not open it"),
    ("torch", _torch(), "zip archive", "does not open it"),
    ("torch, old", _torch(_use_new_zipfile_serialization=False), "pickle", "does not open it"),
    *((f"pickle {protocol}", pickle.dumps({"a": 1}, protocol), "pickle", "does not open it") for protocol in range(2, 6)),
    ("gzip", gzip.compress(b"weights" * 99), "gzip", "gunzip"),
    ("xz", lzma.compress(b"weights" * 99), "xz", "unxz"),
    ("bzip2", bz2.compress(b"weights" * 99), "bzip2", "bunzip2"),
    ("7z", b"7z\xbc\xaf\x27\x1c\0\4" + bytes(99), "7z", "unpack"),
    ("numpy", _numpy(), "numpy", "Darknet"),
    ("gif", b"GIF89a\1\0\1\0" + bytes(99), "GIF", "cfg, weights, images"),
    ("mp4", b"\0\0\0\x18ftypmp42" + bytes(99), "video", "cfg, weights, images"),
    ("hdf5", b"\x89HDF\r\n\x1a\n" + bytes(500), "HDF5", "Darknet"),
    ("jpeg", _image(".jpg"), "JPEG", "cfg, weights, images"),
    ("png", _image(".png"), "PNG", "cfg, weights, images"),
    ("webp", _image(".webp"), "image", "cfg, weights, images"),
    ("avi", b"RIFF\x24\x00\x00\x00AVI LIST" + bytes(100), "video", "cfg, weights, images"),
    ("empty zip", b"PK\x05\x06" + bytes(18), "zip archive", "does not open it"),
    ("bmp", _image(".bmp"), "BMP", "cfg, weights, images"),
    ("tiff", _image(".tif"), "TIFF", "cfg, weights, images"),
    ("tiff, big end first", b"MM\0*" + bytes(99), "TIFF", "cfg, weights, images"),
    ("jpeg 2000", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99), "JPEG 2000", "cfg, weights, images"),
    ("matroska", b"\x1aE\xdf\xa3" + bytes(99), "video", "cfg, weights, images"),
    ("pdf", b"%PDF-1.7\n%\xe2\xe3" + bytes(99), "PDF", "cfg, weights, images"),
    ("rar", b"Rar!\x1a\7\1\0" + bytes(99), "rar", "unpack"),
    ("zstd", b"\x28\xb5\x2f\xfd" + bytes(99), "zstd", "unzstd"),
    ("tar", _tar(), "tar archive", "tar -xf"),
    ("json", b'{"message": "Not Found", "status": 404}', "JSON", "server"),
    ("json, cut", b'{"message": "' + b"x" * 600 + b'"}', "JSON", "server"),
    ("json, other languages", '{"message": "не найдено"}'.encode(), "JSON", "server"),
    ("json list", b"[1, 2, 3]", "JSON", "server"),
    # With a bracket and an equals sign, as cfg text has them.
    ("json list of objects", b'[{"a": "b=c"}, ' + b" " * 600, "JSON", "server"),
    ("json list of strings", b'["a=b",' + b" " * 600, "JSON", "server"),
    ("text", b"Not Found\n", "text: `Not Found`", "server"),
    ("long line", b"x" * 5000, f"text: `{'x' * 40}`", "server"),
    ("names", b"person\nbicycle\n", "text: `person bicycle`", "server"),
    ("text with a mark", b"\xef\xbb\xbfNot Found\n", "text: `Not Found`", "server"),
    ("text in other letters", "Datei für Größe nicht gefunden".encode() * 30, "text: `Datei für Größe", "server"),
    ("text cut inside a letter", ("x" + "é" * 400).encode(), f"text: `x{'é' * 39}`", "server"),
    (
        "text that drives a terminal",
        b"\x1b[31mNot\x7f Found \xc2\x9b0m",
        "text: `\ufffd[31mNot\ufffd Found \ufffd0m`",
        "server",
    ),
    ("text of 16 bits", "[net]\nwidth=8".encode("utf-16"), "text of 16 bits", "look into it"),
    ("blank lines", b"\n\n\n\n", "it is blank", "server"),
    ("blanks", b" \t \r\n" * 300, "it is blank", "server"),
    ("a mark alone", b"\xef\xbb\xbf", "it is blank", "server"),
    ("cfg", CFG.encode(), "cfg text", "cfg, weights, images"),
    ("cfg with a comment", b"# made by hand\n" + CFG.encode(), "cfg text", "cfg, weights, images"),
    ("cfg after blank lines", b"\n\n" + CFG.encode(), "cfg text", "cfg, weights, images"),
    ("safetensors", save({"layers.0.conv.bias": np.zeros(2, np.float32)}), "safetensors", ".safetensors"),
    ("three bytes", b"\0\0\0", "only 3 bytes", "fetch it again"),
    ("a header cut", struct.pack("<iii", 0, 2, 5) + bytes(5), "only 17 bytes", "fetch it again"),
    ("noise", bytes(range(128, 228)) * 9, "version", "fetch it again"),
    ("all ones", b"\xff" * 300, "version -1.-1.-1", "fetch it again"),
)


@pytest.mark.parametrize(("content", "what", "cure"), [each[1:] for each in FOREIGN], ids=[each[0] for each in FOREIGN])
def test_a_foreign_file_is_named(tmp_path: Path, content: bytes, what: str, cure: str) -> None:
    path = tmp_path / "made.weights"
    path.write_bytes(content)
    (tmp_path / "made.cfg").write_text(CFG)
    with pytest.raises(WeightsError) as caught:
        cspdet.load(tmp_path / "made.cfg", path)
    error = caught.value
    assert error.message.startswith(f"`{path}` is not a weights file: ")
    said = error.message.removeprefix(f"`{path}`")
    assert what in said
    assert said.isprintable()
    assert cure in error.help


@pytest.mark.parametrize("size", range(16))
def test_a_file_too_short_for_a_header(tmp_path: Path, size: int) -> None:
    path = tmp_path / "made.weights"
    path.write_bytes(bytes(size))
    with pytest.raises(WeightsError) as caught:
        open_weights(path)
    expected = f"only {size} byte" if size else f"`{path}` is empty"
    assert expected in caught.value.message
    assert "fetch it again" in caught.value.help


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from([b"", b"<", b"{", b"[", b"#", b"PK\x03\x04", b"\x80\x02", LFS[:30], bytes(12), bytes(4) + b"\2\0\0\0"]),
    st.binary(max_size=60),
)
def test_any_bytes_are_weights_or_an_error(tmp_path_factory: pytest.TempPathFactory, start: bytes, rest: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.weights"
    path.write_bytes(start + rest)
    said, length = "", -1
    try:
        file = open_weights(path)
        length = file.header.size + 4 * len(file.numbers) + file.rest
    except CspdetError as error:
        said = error.message
    assert str(path) in said or length == len(start + rest)


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(st.text(max_size=9), st.text(max_size=9), min_size=1), st.booleans())
def test_json_objects_are_json(content: dict[str, str], indented: bool) -> None:
    data = json.dumps(content, indent=2 if indented else None).encode()[:512]
    found = recognise(data, len(data))
    assert found is not None
    assert "JSON" in found.what


# -- nothing is unpickled ---------------------------------------------------------------------------------------------


class _Trap:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


def _saved(content: Any, as_zip: bool) -> bytes:
    data = io.BytesIO()
    torch.save(content, data, _use_new_zipfile_serialization=as_zip)
    return data.getvalue()


def _spring(data: bytes) -> None:
    torch.load(io.BytesIO(data), weights_only=False)


TRAPS: dict[str, tuple[Callable[[_Trap], bytes], Callable[[bytes], Any]]] = {
    **{
        f"protocol {protocol}": (lambda trap, protocol=protocol: pickle.dumps(trap, protocol), pickle.loads)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
    "torch": (lambda trap: _saved(trap, True), _spring),
    "torch, old": (lambda trap: _saved(trap, False), _spring),
}


@pytest.mark.parametrize("name", ["made.weights", "made.safetensors", "made.pt", "made"])
@pytest.mark.parametrize("trap", TRAPS)
def test_a_pickle_is_never_opened(tmp_path: Path, name: str, trap: str) -> None:
    pack, open_it = TRAPS[trap]
    sprung = tmp_path / "sprung"
    content = pack(_Trap(sprung))
    open_it(content)
    assert sprung.exists(), "the trap does not work"
    sprung.unlink()
    (tmp_path / name).write_bytes(content)
    (tmp_path / "made.cfg").write_text(CFG)
    with pytest.raises(WeightsError):
        cspdet.load(tmp_path / "made.cfg", tmp_path / name)
    assert not sprung.exists()


# -- what is no ordinary file -----------------------------------------------------------------------------------------


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_weights(tmp_path / "none.weights")
    assert caught.value.message == f"no such file: `{tmp_path / 'none.weights'}`"
    assert caught.value.exit_code == 2
    assert "check the path" in caught.value.help


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_weights(tmp_path)
    assert caught.value.message == f"`{tmp_path}` is a directory, not a weights file"
    assert str(tmp_path) in caught.value.help


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/dev/urandom"])
def test_a_device(path: str) -> None:
    if not Path(path).exists():
        pytest.skip("there is no such device here")
    with pytest.raises(UsageError, match="is no ordinary file") as caught:
        open_weights(path)
    assert "save them to disk" in caught.value.help


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    """Nobody may ever write into it."""
    os.mkfifo(tmp_path / "made.weights")
    with pytest.raises(UsageError, match="is no ordinary file"):
        open_weights(tmp_path / "made.weights")


@pytest.mark.parametrize(
    ("name", "reason"), [("file/x.weights", "not a directory"), ("a\0b", "null"), ("x" * 300, "file name too long")]
)
def test_a_path_that_cannot_be(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match=reason):
        open_weights(f"{tmp_path}/{name}")


def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "away").symlink_to(tmp_path / "gone")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(UsageError, match="no such file"):
        open_weights(tmp_path / "away")
    with pytest.raises(UsageError, match="cannot read"):
        open_weights(tmp_path / "circle")


def test_a_link_to_weights(tmp_path: Path) -> None:
    (tmp_path / "made.weights").write_bytes(struct.pack("<iiiQ2f", 0, 2, 5, 0, 1, 2))
    (tmp_path / "link").symlink_to(tmp_path / "made.weights")
    assert open_weights(tmp_path / "link").numbers.tolist() == [1, 2]


@pytest.mark.parametrize("start", [b"\x80\x02", b"PK\x03\x04", b"BM", b"\x1f\x8b", b"\xff\xfe"])
def test_a_safetensors_header_of_any_length(start: bytes) -> None:
    """Its length comes first, and may be what other files begin with."""
    length = start.ljust(8, b"\0")
    found = recognise(length + b'{"a":', 2**40)
    assert found is not None
    assert "safetensors" in found.what
