"""Class names: `.names` and `.data` files."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cspdet
from cspdet.errors import UsageError
from cspdet.names import beside, check_names, names_of_data, read_data, read_names
from tests.conftest import reference_files

Write = Callable[[str, str], Path]

# Two classes, one anchor.
CFG = (
    "[net]\nwidth=32\nheight=32\nchannels=3\n[convolutional]\nfilters=7\nsize=1\nstride=32\nactivation=linear\n"
    "[yolo]\nclasses=2\nnum=1\nanchors=8,8\n"
)


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"cat\ndog\n", ("cat", "dog")),
        (b"cat\ndog", ("cat", "dog")),
        (b"cat\r\ndog\r\n", ("cat", "dog")),
        (b"cat\rdog\r", ("cat", "dog")),
        (b"  cat\t\n dog \n", ("cat", "dog")),
        (b"cat\ndog\n\n \n\n", ("cat", "dog")),
        (b"traffic light\nstop sign\n", ("traffic light", "stop sign")),
        # A line that is left blank still is a class.
        (b"cat\n\ndog\n", ("cat", "", "dog")),
        (b"\ncat\n", ("", "cat")),
        (b"# cat\n; dog\n", ("# cat", "; dog")),
        (b"\xef\xbb\xbfcat\n", ("cat",)),
        ("Kätzchen\nсобака\n犬\n".encode(), ("Kätzchen", "собака", "犬")),
        # Only line ends end a name.
        ("a\u2028b\x0bc\x85d\n".encode(), ("a\u2028b\x0bc\x85d",)),
        ("Kätzchen\n".encode("latin-1"), ("Kätzchen",)),
        ("Kätzchen\nсобака\n".encode("utf-16"), ("Kätzchen", "собака")),
    ],
)
def test_a_name_per_line(tmp_path: Path, data: bytes, names: tuple[str, ...]) -> None:
    (tmp_path / "made.names").write_bytes(data)
    assert read_names(tmp_path / "made.names") == names
    assert read_names(str(tmp_path / "made.names")) == names


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9), min_size=1), st.integers(0, 3))
def test_any_names(tmp_path_factory: pytest.TempPathFactory, names: list[str], blank: int) -> None:
    path = tmp_path_factory.getbasetemp() / "any.names"
    path.write_text("\n".join(names) + "\n" * blank, "utf-8", newline="")
    assert read_names(path) == tuple(names)


@pytest.mark.parametrize("data", [b"", b"\n\n", b" \t\r\n"])
def test_no_names(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "made.names").write_bytes(data)
    with pytest.raises(UsageError) as caught:
        read_names(tmp_path / "made.names")
    assert caught.value.message == f"`{tmp_path / 'made.names'}` holds no class names"
    assert caught.value.help


@pytest.mark.parametrize("data", [b"\xff\xd8\xff\xe0\0\x10JFIF\0", bytes(20) + b"cat\n", b"PK\3\4\x14\0\0\0", b"cat\0dog"])
def test_what_is_not_text(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "made.names").write_bytes(data)
    with pytest.raises(UsageError, match="is not text, so it is not a list of class names"):
        read_names(tmp_path / "made.names")


def test_names_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_names(tmp_path / "none.names")
    assert caught.value.message == f"no such file: `{tmp_path / 'none.names'}`"
    with pytest.raises(UsageError, match="is a directory, not a list of class names"):
        read_names(tmp_path)


@pytest.mark.parametrize(("reads", "what"), [(read_names, "a list of class names"), (read_data, "a .data file")])
def test_a_file_is_called_what_it_should_be(tmp_path: Path, reads: Callable[[Path], object], what: str) -> None:
    folder, binary, long = (tmp_path / name for name in ("folder", "binary", "long"))
    folder.mkdir()
    binary.write_bytes(b"a=b\0")
    with long.open("wb") as file:
        file.truncate(2**32)
    for path, said in (
        (folder, f"`{folder}` is a directory, not {what}"),
        (binary, f"`{binary}` is not text, so it is not {what}"),
        (long, f"`{long}` has more than 8,388,608 bytes, so it is not {what}"),
    ):
        with pytest.raises(UsageError) as caught:
            reads(path)
        assert caught.value.message == said
        assert caught.value.help


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no such device here")
def test_a_device_without_end() -> None:
    with pytest.raises(UsageError, match="has more than 8,388,608 bytes, so it is not a list of class names"):
        read_names("/dev/zero")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_names_from_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(path.write_text, "cat\ndog\n")
        assert read_names(path) == ("cat", "dog")
        written.result()


@pytest.mark.reference
@pytest.mark.parametrize("path", reference_files("weights/*/*.names"), ids=lambda path: path.stem)
def test_real_names(path: Path) -> None:
    names = read_names(path)
    expected = path.read_text().split("\n")
    assert list(names) == [name.strip() for name in expected if name.strip()]


# -- data files -------------------------------------------------------------------------------------------------------


def test_the_lines_of_a_data_file(write: Write) -> None:
    text = (
        "classes= 2\ntrain  = data/train list.txt\n# names = a.names\n; names = b.names\n\n  names = data/made.names  \n"
        "a line without a value\nnames = second.names\nbackup =\nurl = a=b=c\n"
    )
    assert read_data(write("made.data", text)) == {
        "classes": "2",
        "train": "data/train list.txt",
        "names": "data/made.names",
        "backup": "",
        "url": "a=b=c",
    }


@pytest.mark.parametrize(
    ("wanted", "place"),
    [
        ("data/made.names", "data/made.names"),
        ("made.names", "cfg/made.names"),
        ("data/made.names", "cfg/data/made.names"),
        ("elsewhere/made.names", "cfg/made.names"),
        ("./data/made.names", "data/made.names"),
    ],
)
@pytest.mark.parametrize("inside", [True, False])
def test_where_the_names_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str, place: str, inside: bool
) -> None:
    """`darknet` is run in its own folder; the path in `cfg/made.data` starts there, wherever we are."""
    home, away = tmp_path / "darknet", tmp_path / "away"
    for folder in (home / "cfg" / "data", home / "data", away):
        folder.mkdir(parents=True)
    (home / place).write_text("cat\ndog\n")
    (home / "cfg" / "made.data").write_text(f"names={wanted}\n")
    monkeypatch.chdir(home if inside else away)
    path = Path("cfg/made.data") if inside else home / "cfg" / "made.data"
    assert names_of_data(path) == ("cat", "dog")


def test_the_working_directory_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cfg").mkdir()
    (tmp_path / "made.names").write_text("here\n")
    (tmp_path / "cfg" / "made.names").write_text("there\n")
    (tmp_path / "cfg" / "made.data").write_text("names=made.names\n")
    monkeypatch.chdir(tmp_path)
    assert names_of_data("cfg/made.data") == ("here",)
    (tmp_path / "cfg" / "made.data").write_text(f"names={tmp_path / 'cfg' / 'made.names'}\n")
    assert names_of_data("cfg/made.data") == ("there",)


@pytest.mark.parametrize("text", ["classes=2\n", "", "names=\n", "names\n", "#names=made.names\n"])
def test_a_data_file_without_names(write: Write, text: str) -> None:
    path = write("made.data", text)
    with pytest.raises(UsageError) as caught:
        names_of_data(path)
    assert caught.value.message == f"`{path}` has no `names=`"
    assert "names = " in caught.value.help


@pytest.mark.parametrize("wanted", ["none.names", ".", "none/", "x" * 300, "x/" * 3000])
def test_a_data_file_that_leads_nowhere(write: Write, wanted: str) -> None:
    path = write("made.data", f"names={wanted}\n")
    with pytest.raises(UsageError) as caught:
        names_of_data(path)
    assert caught.value.message == f"`{path}` points to `{wanted}`, which is not there"
    assert caught.value.help


# -- names and networks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 3])
def test_as_many_names_as_classes(count: int) -> None:
    assert check_names(["cat", "dog"], 2, "it") == ("cat", "dog")
    with pytest.raises(UsageError, match=f"^`made.names` has {count} names?, the network 2 classes\n") as caught:
        check_names(["cat"] * count, 2, "`made.names`")
    assert "trained with" in caught.value.help


def test_names_beside_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.names").write_text("cat\n")
    (tmp_path / "c.names").mkdir()
    paths = (tmp_path / "a.cfg", None, tmp_path / "b.weights", tmp_path / "c.cfg", tmp_path / "a.weights")
    assert list(beside(*paths)) == [tmp_path / "a.names"] * 2


def test_a_detector_finds_its_names(write: Write) -> None:
    cfg = write("made.cfg", CFG)
    assert cspdet.load(cfg).names == ()
    write("made.names", "cat\ndog\n")
    assert cspdet.load(cfg).names == ("cat", "dog")
    assert cspdet.load(cfg, names=["one", "two"]).names == ("one", "two")
    assert cspdet.load(cfg, names=write("other.names", "a\nb\n")).names == ("a", "b")


@pytest.mark.parametrize("given", [["one"], ["one", "two", "three"], []])
def test_a_detector_refuses_other_counts(write: Write, given: list[str]) -> None:
    cfg = write("made.cfg", CFG)
    with pytest.raises(UsageError, match=f"the list has {len(given)} names?, the network 2 classes"):
        cspdet.load(cfg, names=given)
    path = write("made.names", "cat\ndog\nbird\n")
    with pytest.raises(UsageError, match="has 3 names, the network 2 classes") as caught:
        cspdet.load(cfg)
    assert f"`{path}`" in caught.value.message
