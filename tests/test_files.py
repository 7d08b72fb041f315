"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cspdet.errors import UsageError
from cspdet.files import check_ending, check_writable, replacing, temporary
from cspdet.names import read_names
from cspdet.paths import exists, file_near, first_file, is_file, is_folder
from cspdet.weights.codec import open_weights
from tests.conftest import ROOT


def put(path: str | Path, data: bytes = b"new") -> None:
    with replacing(path) as file:
        file.write(data)


def put_beside(path: str | Path, data: bytes = b"new") -> None:
    with temporary(path) as beside:
        beside.write_bytes(data)


def put_another(path: str | Path, data: bytes = b"new") -> None:
    """As libraries do that write files safely themselves: for their owner alone, and another in the place of the first."""
    with temporary(path) as beside:
        handle, name = tempfile.mkstemp(dir=beside.parent)
        os.write(handle, data)
        os.close(handle)
        Path(name).replace(beside)


WRITERS = [put, put_beside, put_another]
Writer = Callable[[str | Path], None]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("old", [None, b"", b"old and longer than what is new"])
def test_a_file_takes_its_place(tmp_path: Path, writer: Writer, old: bytes | None) -> None:
    if old is not None:
        (tmp_path / "made.bin").write_bytes(old)
    writer(tmp_path / "made.bin")
    assert content(tmp_path) == {"made.bin": b"new"}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("name", ["made", ".hidden", "two.endings.bin", "with space.bin", "ending.", "Größe.bin", "-dash"])
def test_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: Writer, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    writer(name)
    assert content(tmp_path) == {name: b"new"}


def test_the_file_beside_has_the_same_ending_and_folder(tmp_path: Path) -> None:
    """Other libraries choose the form by the ending; and only within a file system a file can be moved at once."""
    with temporary(tmp_path / "made.png") as beside:
        assert beside.suffix == ".png"
        assert beside.parent == tmp_path
        assert beside.name != "made.png"
        beside.write_bytes(b"new")
    assert content(tmp_path) == {"made.png": b"new"}


def test_nothing_is_seen_before_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "made.bin"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
@pytest.mark.parametrize("old", [None, b"old"])
def test_an_error_leaves_everything_as_it_was(tmp_path: Path, error: type[BaseException], old: bytes | None) -> None:
    path = tmp_path / "made.bin"
    if old is not None:
        path.write_bytes(old)
    before = content(tmp_path)

    def half(open_it: Callable[[Path], object]) -> None:
        with open_it(path) as file:  # type: ignore[attr-defined]
            file.write_bytes(b"half") if isinstance(file, Path) else file.write(b"half")
            raise error("half-way")

    for open_it in (replacing, temporary):
        with pytest.raises(error):
            half(open_it)
        assert content(tmp_path) == before


@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS"])
@pytest.mark.parametrize("open_it", [replacing, temporary])
def test_a_full_disk_leaves_everything_as_it_was(tmp_path: Path, open_it: Callable[[Path], Any], name: str) -> None:
    path = tmp_path / "made.bin"
    path.write_bytes(b"old")
    number = getattr(errno, name)
    with pytest.raises(UsageError) as caught, open_it(path):
        raise OSError(number, os.strerror(number))
    assert caught.value.message == f"cannot write `{path}`: {os.strerror(number).lower()}"
    assert content(tmp_path) == {"made.bin": b"old"}


@pytest.mark.parametrize("error", [FileNotFoundError, PermissionError, ConnectionResetError, BrokenPipeError])
@pytest.mark.parametrize("open_it", [replacing, temporary])
def test_other_errors_are_not_about_the_file(tmp_path: Path, open_it: Callable[[Path], Any], error: type[OSError]) -> None:
    """Something else went wrong while it was written, such as a picture that could not be read."""
    with pytest.raises(error) as caught, open_it(tmp_path / "made.bin"):
        raise error(1, "about it", "picture.jpg")
    assert caught.value.filename == "picture.jpg"
    assert content(tmp_path) == {}


def test_what_was_not_written_is_no_file(tmp_path: Path) -> None:
    """A library that removes the file it could not write."""

    def vanish() -> None:
        with temporary(tmp_path / "made.bin") as beside:
            beside.unlink()

    with pytest.raises(UsageError, match="cannot write"):
        vanish()
    assert content(tmp_path) == {}


@pytest.mark.skipif(os.name != "posix", reason="these are the permissions of POSIX")
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
@pytest.mark.parametrize("writer", WRITERS)
def test_permissions_are_those_of_an_ordinary_file(tmp_path: Path, writer: Writer, mask: int) -> None:
    before = os.umask(mask)
    try:
        writer(tmp_path / "made.bin")
        (tmp_path / "ordinary").write_bytes(b"")
        assert os.umask(mask) == mask, "the mask was changed"
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("made.bin", "ordinary")]
    assert modes[0] == modes[1] == 0o666 & ~mask


@pytest.mark.skipif(os.name != "posix", reason="these are the permissions of POSIX")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path: Path, writer: Writer, mode: int) -> None:
    path = tmp_path / "made.bin"
    path.write_bytes(b"old")
    path.chmod(mode)
    writer(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_bytes() == b"new"


# -- links and what is no ordinary file ---------------------------------------------------------------------------------


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("old", [None, b"old"])
def test_a_link_stays_a_link(tmp_path: Path, writer: Writer, old: bytes | None) -> None:
    """The file it points to is written, also where there is none yet."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    if old is not None:
        (there / "made.bin").write_bytes(old)
    (here / "second").symlink_to("../there/made.bin")
    (here / "first").symlink_to("second")
    writer(here / "first")
    assert (here / "first").is_symlink()
    assert (here / "second").is_symlink()
    assert content(there) == {"made.bin": b"new"}
    assert sorted(path.name for path in here.iterdir()) == ["first", "second"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
@pytest.mark.parametrize("writer", WRITERS)
def test_a_pipe_is_written_into(tmp_path: Path, writer: Writer) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    check_writable(path)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(path.read_bytes)
        writer(path)
        assert read.result() == b"new"
    assert path.is_fifo()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no such device here")
@pytest.mark.parametrize("writer", WRITERS)
def test_devices_are_written_into(writer: Writer) -> None:
    writer("/dev/null")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(UsageError, match="cannot write `/dev/full`: no space left on device"):
        writer("/dev/full")


# -- what cannot be written -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("writer", [*WRITERS, check_writable])
def test_a_directory(tmp_path: Path, writer: Writer) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError) as caught:
        writer(tmp_path / "folder")
    assert caught.value.message == f"cannot write `{tmp_path / 'folder'}`: it is a directory"
    assert str(tmp_path / "folder") in caught.value.help
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("writer", [*WRITERS, check_writable])
def test_a_folder_that_is_not_there(tmp_path: Path, writer: Writer) -> None:
    path = tmp_path / "none" / "made.bin"
    with pytest.raises(UsageError) as caught:
        writer(path)
    assert caught.value.message == f"cannot write `{path}`: no such file or directory"
    assert caught.value.help == f"make the folder first: `mkdir -p {path.parent}`"
    assert content(tmp_path) == {}


@pytest.mark.parametrize("writer", [*WRITERS, check_writable])
def test_a_folder_that_is_a_file(tmp_path: Path, writer: Writer) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(UsageError, match="not a directory"):
        writer(tmp_path / "file" / "made.bin")
    assert content(tmp_path) == {"file": b"old"}


@contextmanager
def without_power() -> Iterator[None]:
    """Nothing is closed to root, who therefore is nobody meanwhile."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.skipif(os.name != "posix", reason="these are the permissions of POSIX")
@pytest.mark.parametrize("mode", [0o555, 0])
@pytest.mark.parametrize("writer", [*WRITERS, check_writable])
def test_a_folder_that_is_closed(tmp_path: Path, writer: Writer, mode: int) -> None:
    folder = tmp_path / "shut"
    folder.mkdir(mode=mode)
    with without_power(), pytest.raises(UsageError) as caught:
        writer(folder / "made.bin")
    assert caught.value.message == f"cannot write `{folder / 'made.bin'}`: permission denied"
    folder.chmod(0o700)
    assert content(folder) == {}


@pytest.mark.parametrize("writer", [*WRITERS, check_writable])
@pytest.mark.parametrize("place", ["a\0b/made.bin", f"{'x' * 300}/made.bin"])
def test_a_folder_that_cannot_be(tmp_path: Path, writer: Writer, place: str) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        writer(tmp_path / place)


@pytest.mark.parametrize("old", [None, b"old"])
def test_checking_changes_nothing(tmp_path: Path, old: bytes | None) -> None:
    if old is not None:
        (tmp_path / "made.bin").write_bytes(old)
    before = content(tmp_path)
    check_writable(tmp_path / "made.bin")
    assert content(tmp_path) == before


def test_a_name_alone_stands_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_writable("made.bin")
    put("made.bin")
    assert content(tmp_path) == {"made.bin": b"new"}


# -- questions about paths --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["none", "a\0b", "x" * 300, "x/" * 3000, "file/x", "circle"])
def test_what_cannot_be_there_is_not_there(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "circle").symlink_to("circle")
    for path in (tmp_path / name, f"{tmp_path}/{name}"):
        assert not is_file(path)
        assert not is_folder(path)
        assert not exists(path)
    assert first_file([tmp_path / name, tmp_path / "file"]) == tmp_path / "file"
    assert file_near(name, tmp_path / "file") is None


@pytest.mark.skipif(os.name != "posix", reason="these are the permissions of POSIX")
def test_a_closed_folder_holds_nothing_for_us(tmp_path: Path) -> None:
    folder = tmp_path / "shut"
    (folder / "folder").mkdir(parents=True)
    (folder / "made.names").write_text("cat\n")
    assert is_file(folder / "made.names")
    assert is_folder(folder / "folder")
    folder.chmod(0)
    with without_power():
        for question in (is_file, is_folder, exists):
            assert not any(question(folder / name) for name in ("made.names", "folder", "none"))
        assert file_near("made.names", folder / "made.data") is None
        for read in (read_names, open_weights):
            with pytest.raises(UsageError) as caught:
                read(folder / "made.names")
            assert caught.value.message == f"cannot read `{folder / 'made.names'}`: permission denied"
    folder.chmod(0o700)


# -- files that someone else has opened for us ------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="there is no such device here")
@pytest.mark.parametrize("way", ["pipe", "file"])
def test_standard_output_by_name(tmp_path: Path, way: str) -> None:
    """What is printed before and after stays, whatever it leads to."""
    code = (
        "import sys; from cspdet.files import replacing; print('before', flush=True)\n"
        "with replacing('/dev/stdout') as file: file.write(b'new\\n')\nprint('after')"
    )
    if way == "pipe":
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    else:
        with (tmp_path / "out").open("a") as out:
            subprocess.run([sys.executable, "-c", code], stdout=out, check=True, cwd=ROOT)
        found = (tmp_path / "out").read_text()
    assert found == "before\nnew\nafter\n"


@pytest.mark.parametrize("name", ["x.png", "x.PNG", "a.b.svg"])
def test_endings_that_are_formats(tmp_path: Path, name: str) -> None:
    check_ending(tmp_path / name, (".png", ".svg"), "pictures")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("x.txt", "`.txt` is no format of pictures"),
        *[(name, "its name does not say in which format") for name in ("x", "png", ".png")],
    ],
)
def test_endings_that_are_none(tmp_path: Path, name: str, fact: str) -> None:
    with pytest.raises(UsageError, match=f"cannot write `.*{name}`: {fact}") as caught:
        check_ending(tmp_path / name, (".png", ".svg"), "pictures")
    assert caught.value.help == "end its name in .png, .svg"


def test_an_ending_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or directory"):
        check_ending(tmp_path / "none" / "x.png", (".png",), "pictures")


def test_an_empty_name_is_none() -> None:
    with pytest.raises(UsageError, match="the name of a file to write is empty"):
        check_writable("")
