"""Small cfgs that say, in comments, what must be said of them; and that every code there is has such a case.

`#> error[head-filters] reads 21 channels, not 255` stands above the line that the diagnostic's label must point at: severity,
code, and words of the message. `#: dialect pjreddie` names the dialect, where it is not AlexeyAB's. What is not announced must
not be said, notes included. `#: plain` asks for what plain text cannot say, too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import cspdet
from cspdet.cfg.codes import EXPLANATIONS
from cspdet.cfg.diagnostic import Diagnostic
from cspdet.cfg.dialect import ALEXEYAB, DIALECTS, PJREDDIE, Dialect
from cspdet.cfg.source import Source
from cspdet.plain import plain_problems
from cspdet.rules import RULES, examine
from tests.conftest import PJREDDIES, SHIPPED

CASES = sorted((Path(__file__).parent / "cases").glob("*.cfg"))
NET = "[net]\nwidth=32\nheight=32\nchannels=3\n"

_EXPECTED = re.compile(r"#> (error|warning|note)\[([a-z0-9-]+)\] (.+)")


class Expected(NamedTuple):
    severity: str
    code: str
    line: int
    words: str


def read_case(path: Path) -> tuple[Dialect, list[Expected]]:
    dialect, expected, pending = ALEXEYAB, [], []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.startswith("#: dialect "):
            dialect = DIALECTS[line.removeprefix("#: dialect ")]
        elif line.startswith("#>"):
            found = _EXPECTED.fullmatch(line)
            assert found, f"{path.name}:{number} is no expectation"
            pending.append(found.groups())
        else:
            expected += [Expected(severity, code, number, words) for severity, code, words in pending]
            pending = []
    assert not pending, f"{path.name} ends in expectations of nothing"
    return dialect, expected


def fits(diagnostic: Diagnostic, expected: Expected) -> bool:
    place = (diagnostic.severity, diagnostic.code, diagnostic.label.span.line)
    return place == expected[:3] and expected.words in diagnostic.message


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    dialect, expected = read_case(path)
    graph, diagnostics = examine(Source.read(path), dialect)
    left = list(diagnostics)
    if "#: plain\n" in path.read_text("utf-8"):
        assert graph is not None
        left += plain_problems(graph)
    for each in expected:
        found = next((diagnostic for diagnostic in left if fits(diagnostic, each)), None)
        assert found is not None, f"missing: {each}; there is {left}"
        left.remove(found)
    assert not left, f"not announced: {left}"
    assert (graph is None) == any(each.severity == "error" and each.code != "not-plain" for each in expected)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_case_that_runs_becomes_a_network(path: Path) -> None:
    graph, _ = examine(Source.read(path), read_case(path)[0])
    if graph is None:
        return
    network = cspdet.Network(graph)
    assert [name.split(".")[0] for name, _ in network.named_children()] == ["layers"]
    assert len(network.layers) == len(graph.nodes)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_nothing_but_notes_is_said_of_what_ships(path: Path) -> None:
    graph, diagnostics = examine(Source.read(path), PJREDDIE if path.stem in PJREDDIES else ALEXEYAB)
    assert graph is not None
    assert {each.severity for each in diagnostics} <= {"note"}


# What a text file with expectations in it cannot show: (bytes, severity, code, line, words).
DIRECT: dict[str, tuple[bytes, str, int, str]] = {
    "byte-order-mark": (b"\xef\xbb\xbf" + (NET + "[avgpool]\n").encode(), "warning", 1, "byte-order mark"),
    "not-utf-8": ((NET + "# caf\xe9\n[avgpool]\n").encode("latin-1"), "note", 1, "Latin-1"),
    "old-mac-line-ends": ((NET + "[avgpool]\n").replace("\n", "\r").encode(), "warning", 1, "carriage returns"),
    "not-text": ((NET + "[avgpool]\n# \0\n").encode(), "error", 6, "zero bytes"),
    "no-sections": (b"# nothing but a remark\n", "error", 1, "no section"),
    "too-many-layers": ((NET + "[dropout]\n" * 20_001).encode(), "error", 20_005, "20,001 layers"),
}


@pytest.mark.parametrize("code", DIRECT)
def test_what_no_case_file_can_hold(code: str) -> None:
    data, severity, line, words = DIRECT[code]
    graph, diagnostics = examine(Source.decode("net.cfg", data))
    (found,) = diagnostics
    assert (found.severity, found.code, found.label.span.line) == (severity, code, line)
    assert words in found.message
    assert (graph is None) == (severity == "error")


@pytest.mark.parametrize("data", [b"", b"\n", b"\r\n\r\n", b"; x", b" \t\n#\n"], ids=repr)
def test_a_file_without_sections(data: bytes) -> None:
    _, diagnostics = examine(Source.decode("net.cfg", data))
    assert [(each.severity, each.code) for each in diagnostics] == [("error", "no-sections")]


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ("a -1\nb -1\nc 0\n", "has 3 classes, the layer 4"),
        ("a -1\nb 7\n", "is not a class tree"),
        ("a -1\nb x\n", "is not a class tree"),
        ("", "is not a class tree"),
    ],
)
def test_a_tree_must_fit_its_layer(tmp_path: Path, tree: str, message: str) -> None:
    (tmp_path / "classes.tree").write_text(tree)
    cfg = tmp_path / "net.cfg"
    cfg.write_text("[net]\nwidth=1\nheight=1\nchannels=4\n[softmax]\ntree=classes.tree\n")
    _, diagnostics = examine(Source.read(cfg))
    (found,) = diagnostics
    assert (found.severity, found.code, found.label.span.line) == ("error", "bad-tree", 6)
    assert message in found.message


@pytest.mark.parametrize("place", ["beside", "from the folder above"])
def test_a_tree_that_fits_needs_no_remark(tmp_path: Path, place: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "classes.tree").write_text("a -1\nb -1\nc 0\nd 0\n")
    folder = tmp_path / ("data" if place == "beside" else "cfg")
    folder.mkdir(exist_ok=True)
    cfg = folder / "net.cfg"
    cfg.write_text("[net]\nwidth=1\nheight=1\nchannels=4\n[softmax]\ntree=data/classes.tree\n")
    graph, diagnostics = examine(Source.read(cfg))
    assert graph is not None
    assert not diagnostics


def emitted() -> Iterator[str]:
    """The codes that stand in the source where diagnostics are made."""
    package = Path(cspdet.__file__).parent
    places = {"Problem": 0, "ExpressionError": 0, "mismatch": 0, "Diagnostic": 1, "report": 1}
    for path in package.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            place = places.get(name)
            if place is None or len(call.args) <= place:
                continue
            code = call.args[place]
            # What is not a constant passes on a code that was made elsewhere.
            if isinstance(code, ast.Constant):
                yield str(code.value)


def rule_codes() -> set[str]:
    return {rule.__name__.replace("_", "-") for rule in RULES}


def test_every_code_is_explained_and_every_explanation_is_of_a_code() -> None:
    codes = set(emitted())
    assert len(codes) > 70
    assert codes == EXPLANATIONS.keys() | rule_codes()
    assert not EXPLANATIONS.keys() & rule_codes()
    assert all(text.endswith(".") for text in EXPLANATIONS.values())


def test_every_rule_has_its_own_name_as_code() -> None:
    for rule in RULES:
        assert rule.__doc__
    cases = [case for path in CASES for case in read_case(path)[1]]
    assert rule_codes() <= {case.code for case in cases}


def test_every_code_has_a_case() -> None:
    covered = {case.code for path in CASES for case in read_case(path)[1]}
    assert not covered & DIRECT.keys()
    assert covered | DIRECT.keys() == EXPLANATIONS.keys() | rule_codes()
