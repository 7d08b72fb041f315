"""Text into sections and options, as Darknet's reader sees it, without losing a character."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cspdet.cfg.diagnostic import Diagnostic, render
from cspdet.cfg.source import Source
from cspdet.cfg.syntax import Document, parse

# Of the characters that Python takes for blanks and Darknet does not, only those within a line of other characters.
_ALPHABET = st.characters(exclude_categories=["Cs"])
_PIECES = st.sampled_from(
    [
        "[net]",
        "[",
        "]",
        "[yolo",
        "=",
        "==",
        "#",
        ";",
        "\n",
        "\r\n",
        "\r",
        " ",
        "\t",
        "\0",
        "width",
        "32",
        ",",
        "é",
        "１",
        "\ufeff",
        "\xa0",
        "\u2028",
        "\x0b",
        "\x85",
    ]
)
texts = st.one_of(
    st.text(st.one_of(_ALPHABET, st.sampled_from("[]=#; \t\r\n")), max_size=80),
    st.lists(st.one_of(_PIECES, st.text(_ALPHABET, max_size=4)), max_size=30).map("".join),
)


def read(text: str) -> tuple[Document, tuple[Diagnostic, ...]]:
    return parse(Source("net.cfg", text))


def as_dictionaries(document: Document) -> list[tuple[str, dict[str, str]]]:
    return [(section.name, {entry.key: entry.value for entry in section.entries}) for section in document.sections]


def darknet(text: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """What `read_cfg` of Darknet's parser.c makes of lines that it does not crash on; values with their comments."""
    sections: list[tuple[str, list[tuple[str, str]]]] = []
    for line in text.split("\n"):
        line = "".join(each for each in line if each not in " \t\r\n")
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            sections.append((line, []))
        elif "=" in line[:-1] and line[0] != "=" and sections:
            key, value = line.split("=", 1)
            sections[-1][1].append((key, value))
    return sections


@settings(deadline=None, max_examples=300)
@given(texts)
def test_nothing_is_lost_and_nothing_raises(text: str) -> None:
    document, diagnostics = read(text)
    assert document.text == text
    position = 0
    for line in document.lines:
        assert line.span.start == position
        assert line.span.end > position
        position = line.span.end
    for each in diagnostics:
        assert 0 <= each.label.span.start <= each.label.span.end <= len(text)
        assert "\n" not in each.message
        render(each)


@settings(deadline=None, max_examples=300)
@given(texts)
def test_spans_point_at_what_was_written(text: str) -> None:
    document, _ = read(text)
    for section in document.sections:
        assert "".join(section.name_span.text.split()) == "".join(section.name.split())
        for entry in section.entries:
            assert entry.key_span.text.translate({32: None, 9: None, 13: None}) == entry.key
            assert entry.value_span.text.translate({32: None, 9: None, 13: None}) == entry.value
            assert entry.key_span.line == entry.value_span.line
            assert entry.key_span.end <= entry.value_span.start


@settings(deadline=None, max_examples=300)
@given(texts.map(lambda text: text.replace("\0", "") + "\n").filter(lambda text: not text.lstrip().startswith("<")))
def test_the_same_entries_as_darknet(text: str) -> None:
    """Of what is text at all: zero bytes and web pages are not, and are refused."""
    document, _ = read(text)
    expected = darknet(text)
    assert len(document.sections) == len(expected)
    for section, (header, entries) in zip(document.sections, expected, strict=True):
        assert header.removeprefix("[").split("]")[0] == section.name
        # A line with `=` first or last is none of Darknet's options, and is reported; a comment alone is a value there.
        assert [(entry.key, entry.value + entry.comment) for entry in section.entries] == entries


@pytest.mark.parametrize(
    ("line", "key", "value", "comment"),
    [
        ("filters=32", "filters", "32", ""),
        ("  filters\t=  32\t", "filters", "32", ""),
        ("fil ters=3 2", "filters", "32", ""),
        ("mask = 0, 1,\t2", "mask", "0,1,2", ""),
        ("filters=32 # coco", "filters", "32", "#coco"),
        ("filters=32; coco # 80", "filters", "32", ";coco#80"),
        ("filters=#32", "filters", "", "#32"),
        ("a=b=c", "a", "b=c", ""),
        ("a==", "a", "=", ""),
        ("größe=１", "größe", "１", ""),
        ("tree=[a]", "tree", "[a]", ""),
        ("a#b=1", "a#b", "1", ""),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", ""], ids=["unix", "windows", "no end"])
def test_one_option(line: str, key: str, value: str, comment: str, end: str) -> None:
    text = f"[net]{end or chr(10)}{line}{end}"
    document, diagnostics = read(text)
    assert not diagnostics
    ((entry,),) = (section.entries for section in document.sections)
    assert (entry.key, entry.value, entry.comment) == (key, value, comment)
    assert entry.key_span.text.replace(" ", "") == key
    assert entry.value_span.text.replace(" ", "").replace("\t", "") == value
    assert entry.key_span.source.place(entry.key_span.start) == (2, len(line) - len(line.lstrip()) + 1)


@pytest.mark.parametrize(
    ("line", "name", "written"),
    [
        ("[net]", "net", "net"),
        ("  [ n et ]\t", "net", " n et "),
        ("[net]# c", "net", "net"),
        ("[]", "", ""),
        ("[net", "net", "net"),
    ],
)
def test_one_section(line: str, name: str, written: str) -> None:
    document, _ = read(line + "\r\nwidth=32\r\n")
    (section,) = document.sections
    assert section.name == name
    assert section.name_span.text == written
    assert [entry.key for entry in section.entries] == ["width"]


@pytest.mark.parametrize(
    ("text", "code", "severity", "place", "marked"),
    [
        ("", "no-sections", "error", (1, 1), ""),
        ("# x\n", "no-sections", "error", (1, 1), "#"),
        ("[net\n", "unclosed-section", "error", (1, 1), "[net"),
        ("[net] # x\n", "section-comment", "warning", (1, 6), " # x"),
        ("[net];x\n", "section-comment", "warning", (1, 6), ";x"),
        ("[net] x\n", "section-trailer", "error", (1, 6), " x"),
        ("[net]]\n", "section-trailer", "error", (1, 6), "]"),
        ("width=3\n[net]\n", "option-outside-section", "error", (1, 1), "width=3"),
        ("\n  width=3\n[net]\n", "option-outside-section", "error", (2, 3), "width=3"),
        ("[net]\n  adam\n", "missing-equals", "warning", (2, 3), "adam"),
        ("[net]\n = 3\n", "missing-key", "warning", (2, 2), "= 3"),
        ("[net]\n=\n", "missing-key", "warning", (2, 1), "="),
        ("[net]\nadam=\n", "empty-value", "warning", (2, 1), "adam="),
        ("[net]\nadam = \t\r\n", "empty-value", "warning", (2, 1), "adam ="),
        ("[net]\n# a\0b\n", "not-text", "error", (2, 4), "\0"),
        ("\n<!DOCTYPE html>\n<title>a=b</title>\n", "not-text", "error", (1, 1), "\n"),
        ("[net]\radam=1\r", "old-mac-line-ends", "warning", (1, 1), "["),
    ],
)
def test_one_finding(text: str, code: str, severity: str, place: tuple[int, int], marked: str) -> None:
    document, diagnostics = read(text)
    (found,) = diagnostics
    span = found.label.span
    assert (found.code, found.severity) == (code, severity)
    assert span.source.place(span.start) == place
    assert span.text == marked
    assert document.text == text


def test_kinds_of_lines() -> None:
    document, _ = read("# a\n\n[net]\n width=3\nadam\n;b\n \t\r\n=1\nx=")
    assert [line.kind for line in document.lines] == [
        "comment",
        "blank",
        "header",
        "entry",
        "other",
        "comment",
        "blank",
        "other",
        "other",
    ]


def test_old_mac_line_ends_are_line_ends() -> None:
    document, _ = read("[net]\rwidth=3 # x\r# y\r[yolo]\rmask=0\r")
    assert as_dictionaries(document) == [("net", {"width": "3"}), ("yolo", {"mask": "0"})]


def test_a_carriage_return_within_a_line_is_a_blank() -> None:
    document, _ = read("[net]\nwidth=3\r2\n")
    assert as_dictionaries(document) == [("net", {"width": "32"})]


@pytest.mark.parametrize("blank", ["\xa0", "\u2003", "\ufeff", "\u200b"], ids=ascii)
def test_what_only_looks_like_a_blank_stays(blank: str) -> None:
    document, diagnostics = read(f"[net]\nwidth={blank}3{blank}2 x\n")
    assert not diagnostics
    assert as_dictionaries(document) == [("net", {"width": f"{blank}3{blank}2x"})]


def test_every_entry_is_kept_in_order() -> None:
    document, diagnostics = read("[net]\na=1\nb=2\na=3\n[net]\na=4\n")
    assert not diagnostics
    assert [[(entry.key, entry.value) for entry in section.entries] for section in document.sections] == [
        [("a", "1"), ("b", "2"), ("a", "3")],
        [("a", "4")],
    ]


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"], ids=["utf-8", "utf-16-le", "utf-16-be"])
def test_a_byte_order_mark_is_told_and_skipped(mark: bytes) -> None:
    encoding = {3: "utf-8"}.get(len(mark), "utf-16-le" if mark == b"\xff\xfe" else "utf-16-be")
    document, diagnostics = parse(Source.decode("net.cfg", mark + "[net]\nwidth=3\n".encode(encoding)))
    assert [(each.severity, each.code) for each in diagnostics] == [("warning", "byte-order-mark")]
    assert as_dictionaries(document) == [("net", {"width": "3"})]


def test_latin_1_is_told_and_read() -> None:
    document, diagnostics = parse(Source.decode("net.cfg", b"[net]\n# gr\xf6\xdfe\nwidth=3\n"))
    assert [(each.severity, each.code) for each in diagnostics] == [("note", "not-utf-8")]
    assert document.text == "[net]\n# größe\nwidth=3\n"
