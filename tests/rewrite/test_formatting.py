"""The layout of cfg text: what it looks like, that it settles, and that nothing means anything else afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cspdet.cfg.dialect import DIALECTS, Dialect
from cspdet.cfg.source import Source
from cspdet.cfg.syntax import parse
from cspdet.errors import CfgError
from cspdet.rewrite.formatting import formatted
from cspdet.rules import examine
from tests.cfg.test_syntax import texts
from tests.conftest import SHIPPED, reference_files


def read(text: str, dialect: Dialect = DIALECTS["alexeyab"]) -> list[tuple[str, ...]]:
    """All that any reader takes from a text, in order, with the blanks that stand within values."""
    rows: list[tuple[str, ...]] = []
    for section in parse(Source("X.cfg", text), dialect)[0].sections:
        rows.append((section.name,))
        rows += [(each.key, each.value, each.comment, each.key_span.text, each.value_span.text) for each in section.entries]
    return rows


def remarks(text: str) -> list[str]:
    """The comments, and the lines that are nothing."""
    document, _ = parse(Source("X.cfg", text))
    return [line.span.text.strip(" \t\r\n") for line in document.lines if line.kind in ("comment", "other")]


def check(source: Source) -> str:
    text = formatted(source)
    for dialect in (DIALECTS["alexeyab"], DIALECTS["hank-ai"]):  # without and with comments behind values
        assert read(text, dialect) == read(source.text, dialect)
    assert remarks(text) == remarks(source.text)
    again = Source.decode("X.cfg", source.encode(text))
    assert (again.text, again.mark) == (text, source.mark)
    assert formatted(again) == text
    return text


BEFORE = """

# Small network
#   by hand
[net]

width = 416
  height=416\t
#batch=64


channels =3   # RGB
[ convolutional ]   ; first
filters=32
layers = -1,  3
#stride=2
# the second stage
[maxpool]
size=2


# Downsample


[dropout]
lonely
empty =

# the end

"""

AFTER = """# Small network
#   by hand
[net]
width=416
height=416
#batch=64

channels=3 # RGB

[convolutional] ; first
filters=32
layers=-1,  3
#stride=2

# the second stage
[maxpool]
size=2

# Downsample

[dropout]
lonely
empty =

# the end
"""


def test_what_it_looks_like() -> None:
    assert check(Source("X.cfg", BEFORE)) == AFTER


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_stay(end: str) -> None:
    assert check(Source("X.cfg", BEFORE.replace("\n", end))) == AFTER.replace("\n", end)


def test_lines_that_end_otherwise_end_as_most_do() -> None:
    assert check(Source("X.cfg", "[net]\r\nwidth=1\nheight=1\r\nchannels=1\r\n")).count("\r\n") == 4
    assert check(Source("X.cfg", "[net]\nwidth=1\r\nheight=1\n")) == "[net]\nwidth=1\nheight=1\n"
    assert check(Source("X.cfg", "[net]\nwidth=1")) == "[net]\nwidth=1\n"


@pytest.mark.parametrize("data", [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"])
def test_encodings_stay(data: bytes) -> None:
    encoding = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}[data]
    source = Source.decode("X.cfg", data + "[net]\nwidth = 1 # é\n".encode(encoding))
    assert source.encode(check(source)) == data + "[net]\nwidth=1 # é\n".encode(encoding)
    source = Source.decode("X.cfg", "[net]\nwidth = 1 # é\n".encode("latin-1"))
    assert source.encode(check(source)) == "[net]\nwidth=1 # é\n".encode("latin-1")


def test_what_is_no_text() -> None:
    with pytest.raises(CfgError, match="zero bytes"):
        formatted(Source("X.cfg", "[net]\n\0"))


@pytest.mark.parametrize("data", [b"\n\xef\xbb\xbf[net]\n", b" \xff\xfe[net]\n"])
def test_what_becomes_no_byte_order_mark(data: bytes) -> None:
    source = Source.decode("X.cfg", data)
    assert source.encode(check(source)) == b"\n" + data.lstrip()


@settings(deadline=None, max_examples=500)
@given(texts.filter(lambda text: "\0" not in text and not text.lstrip().startswith("<")))
@example("[a]\n# b\n[c]")
@example("a\r\n[b]\r#c=1\r[d]\r")
@example("[a]x=1\n[b]\n\n\n#c=\n#d\n\n[e]\n#f")
def test_any_text_keeps_its_meaning(text: str) -> None:
    check(Source("X.cfg", text))


_LINES = st.sampled_from(
    [
        "[net]",
        "[route]",
        " [ route ] # x",
        "[end",
        "layers=-1, -2",
        "a = b;c",
        "x = $(1 + 2)  # y",
        "#k=1",
        "; note",
        "",
        "  ",
        "word",
    ]
)


@settings(deadline=None, max_examples=500)
@given(st.lists(_LINES, max_size=25), st.sampled_from(["\n", "\r\n", "\r", " \n", "\r\r\n"]))
def test_any_lines_keep_their_meaning(lines: list[str], end: str) -> None:
    check(Source("X.cfg", end.join(lines)))


@pytest.mark.reference
@pytest.mark.parametrize("path", reference_files("corpus/*.cfg"), ids=lambda path: path.stem)
def test_public_cfgs_keep_their_meaning(path: Path) -> None:
    check(Source.read(path))


@pytest.mark.parametrize(
    "path", [*SHIPPED, *sorted((Path(__file__).parent.parent / "cases").glob("*.cfg"))], ids=lambda path: path.stem
)
def test_the_same_is_said_of_what_is_formatted(path: Path) -> None:
    source = Source.read(path)
    said, again = (
        sorted((each.severity, each.code, each.message) for each in examine(each)[1])
        for each in (source, Source(str(path), formatted(source)))
    )
    assert said == again
