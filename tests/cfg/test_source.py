"""Files as text: encodings, lines, places."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cspdet.cfg.source import LARGEST, Edit, Source, Span, edited
from cspdet.errors import UsageError

TEXT = "[net]\nwidth=32 # größe\n"
# Surrogates are no characters and stand in no file.
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


@pytest.mark.parametrize(
    ("data", "encoding", "mark"),
    [
        (TEXT.encode(), "utf-8", b""),
        (b"\xef\xbb\xbf" + TEXT.encode(), "utf-8", b"\xef\xbb\xbf"),
        (b"\xff\xfe" + TEXT.encode("utf-16-le"), "utf-16-le", b"\xff\xfe"),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "utf-16-be", b"\xfe\xff"),
        (TEXT.encode("latin-1"), "latin-1", b""),
    ],
    ids=["utf-8", "utf-8 with a mark", "utf-16-le", "utf-16-be", "latin-1"],
)
def test_encodings(data: bytes, encoding: str, mark: bytes) -> None:
    source = Source.decode("net.cfg", data)
    assert source.text == TEXT
    assert (source.encoding, source.mark) == (encoding, mark)
    assert source.encode(source.text) == data
    assert source.encode(source.text.replace("32", "64")) != data


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=60), st.sampled_from([b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"]))
def test_any_bytes_can_be_read_and_written_back(data: bytes, mark: bytes) -> None:
    source = Source.decode("net.cfg", mark + data)
    assert source.encode(source.text) == mark + data


@settings(deadline=None, max_examples=200)
@given(any_text)
def test_lines_and_places_count_what_came_before(text: str) -> None:
    source = Source("net.cfg", text)
    end = "\r" if "\r" in text and "\n" not in text else "\n"
    lines = text.split(end)
    assert len(source.line_starts) == len(lines)
    for offset in range(len(text) + 1):
        before = text[:offset].split(end)
        assert source.place(offset) == (len(before), len(before[-1]) + 1)
    for number, line in enumerate(lines, 1):
        assert source.line(number) == line.rstrip("\r\n")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["unix", "windows", "old mac"])
def test_line_ends(end: str) -> None:
    source = Source("net.cfg", end.join(["[net]", "width=32", "", "height=32"]))
    assert [source.line(number) for number in range(1, 5)] == ["[net]", "width=32", "", "height=32"]
    assert source.place(source.text.index("32")) == (2, 7)


def test_other_line_ends_of_unicode_end_no_line() -> None:
    source = Source("net.cfg", "a\x0bb\x0cc\x85d\u2028e\nf")
    assert source.line(2) == "f"


def test_span() -> None:
    source = Source("cfg/net.cfg", "[net]\nwidth = 32\n")
    span = Span(source, 14, 16)
    assert (span.text, span.line, str(span)) == ("32", 2, "cfg/net.cfg:2:9")


def test_read(tmp_path: Path) -> None:
    path = tmp_path / "net.cfg"
    path.write_bytes(TEXT.encode())
    source = Source.read(path)
    assert (source.path, source.text) == (str(path), TEXT)
    assert Source.read(str(path)).text == TEXT


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no such file: `.*missing\.cfg`"):
        Source.read(tmp_path / "missing.cfg")
    with pytest.raises(UsageError, match="is a directory, not a cfg file"):
        Source.read(tmp_path)
    with pytest.raises(UsageError, match="cannot read"):
        Source.read("net\0.cfg")
    with pytest.raises(UsageError, match=r"cannot read `.*too long"):
        Source.read(tmp_path / ("n" * 5000))
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot read `.*not a directory"):
        Source.read(tmp_path / "file" / "net.cfg")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is forbidden to the superuser")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "net.cfg"
    path.touch(mode=0)
    with pytest.raises(UsageError, match="permission denied"):
        Source.read(path)


def test_a_weights_file_in_place_of_the_cfg(tmp_path: Path) -> None:
    path = tmp_path / "net.weights"
    with path.open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(UsageError, match="more than 8,388,608 bytes, so it is not a cfg file") as caught:
        Source.read(path)
    assert "weights" in caught.value.help
    assert caught.value.exit_code == 2


@given(any_text, st.lists(st.tuples(st.integers(0, 80), st.integers(1, 9), any_text), max_size=5), st.randoms())
def test_edits_change_their_places_and_nothing_else(text: str, wanted: list[tuple[int, int, str]], random: Random) -> None:
    source, edits, expected, position = Source("x", text), [], "", 0
    for start, length, new in sorted(wanted):
        start = max(start, position)
        if start + length <= len(text):
            edits.append(Edit(Span(source, start, start + length), new))
            expected += text[position:start] + new
            position = start + length
    random.shuffle(edits)
    assert edited(source, edits) == expected + text[position:]


def test_plain_bytes_have_no_mark_and_characters_of_includes() -> None:
    latin = Source.decode("X.cfg", b"# gr\xf6\xdfe")
    assert latin.encode_plain(latin.text) == b"# gr\xf6\xdfe"
    assert latin.encode_plain("ö") == b"\xf6"
    assert latin.encode_plain("ö漢") == "ö漢".encode()
    assert latin.encode_plain("") == b""
    wide = Source.decode("X.cfg", b"\xff\xfe" + "ö".encode("utf-16-le"))
    assert wide.encode_plain("ö") == b"\xff\xfe" + "ö".encode("utf-16-le")
    assert wide.encode_plain("ö\n") == "ö\n".encode()
