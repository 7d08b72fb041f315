"""`cspdet summary`, `cspdet layers` and `cspdet explain`."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cspdet.cfg import codes
from cspdet.data import codes as data_codes
from cspdet.layers import BY_NAME
from cspdet.layers.base import REQUIRED, Layer
from cspdet.rules import RULES
from tests.conftest import ROOT

Run = Callable[..., tuple[int, str, str]]
Write = Callable[[str, str], Path]

# What Darknet prints for these cfgs, and what their weights files hold: layers, BFLOPs, parameters.
TOTALS = [
    ("yolov4", 162, "128.459", 64_429_405),
    ("yolov4-tiny", 38, "6.910", 6_062_814),
    ("yolov3", 107, "65.879", 62_001_757),
    ("yolov3-tiny", 24, "5.571", 8_858_734),
]
NET = "[net]\nwidth=32\nheight=16\nchannels=3\n"
CONV = "[convolutional]\nfilters=4\nsize=3\nstride=2\npad=1\nactivation=linear\n"

EXPLANATIONS = codes.EXPLANATIONS | data_codes.EXPLANATIONS
RULE_TEXTS = {rule.__name__.replace("_", "-"): inspect.cleandoc(rule.__doc__ or "") for rule in RULES}


# -- summary --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "layers", "bflops", "parameters"), TOTALS, ids=[each[0] for each in TOTALS])
def test_totals(run: Run, name: str, layers: int, bflops: str, parameters: int) -> None:
    code, out, err = run("summary", name)
    assert (code, err) == (0, "")
    rows = out.splitlines()
    assert rows[-2] == f"Total BFLOPS {bflops}"
    assert rows[-1] == f"Total parameters {parameters:,} (weights file of {20 + 4 * parameters:,} bytes)"
    assert [int(row.split()[0]) for row in rows[1:-2]] == list(range(layers))
    (path,) = (ROOT / "cfg").rglob(f"{name}.cfg")
    assert run("summary", path)[:2] == (0, out)


@pytest.mark.parametrize(("name", "layers", "bflops", "parameters"), TOTALS, ids=[each[0] for each in TOTALS])
def test_totals_in_json(run: Run, name: str, layers: int, bflops: str, parameters: int) -> None:
    code, out, err = run("summary", name, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (f"{found['bflops']:.3f}", found["parameters"]) == (bflops, parameters)
    assert [row["index"] for row in found["layers"]] == list(range(layers))
    assert sum(row["bflops"] for row in found["layers"]) == pytest.approx(found["bflops"])
    assert sum(row["parameters"] for row in found["layers"]) == parameters
    for row in found["layers"]:
        channels, height, width = row["shape"]
        assert row["outputs"] == channels * height * width
        assert all(-1 <= source < row["index"] for source in row["sources"])


def test_rows(run: Run, write: Write) -> None:
    text = (
        NET
        + CONV
        + "[route]\nlayers=0\ngroups=2\ngroup_id=1\n[maxpool]\nsize=2\n[shortcut]\nfrom=-2\n"
        + "[avgpool]\n[softmax]\n[connected]\noutput=5\n"
    )
    code, out, _ = run("summary", write("net.cfg", text))
    assert code == 0
    assert out.splitlines() == [
        "   layer             filters  size/strd(dil)      input                output",
        "   0 convolutional           4        3 x 3/ 2     32 x  16 x   3 ->     16 x   8 x   4 0.000 BF",
        "   1 route                   0             1/2     16 x   8 x   4 ->     16 x   8 x   2",
        "   2 maxpool                          2 x 2/ 1     16 x   8 x   2 ->     16 x   8 x   2 0.000 BF",
        "   3 shortcut                1                     16 x   8 x   2 ->     16 x   8 x   2 0.000 BF",
        "   4 avgpool                                       16 x   8 x   2 ->      1 x   1 x   2",
        "   5 softmax                                        1 x   1 x   2 ->                  2",
        "   6 connected               5                                  2 ->      1 x   1 x   5",
        "Total BFLOPS 0.000",
        # 4 kernels of 3x3x3 with a bias each; 5 outputs of 2 inputs with a bias each.
        "Total parameters 127 (weights file of 528 bytes)",
    ]


def test_operations_by_hand(run: Run, write: Write) -> None:
    _, out, _ = run("summary", "--json", write("net.cfg", NET + CONV + "[maxpool]\nsize=2\n[shortcut]\nfrom=-2\n"))
    rows = json.loads(out)["layers"]
    assert [row["bflops"] * 1e9 for row in rows] == pytest.approx([2 * 27 * 4 * 16 * 8, 4 * 4 * 16 * 8, 4 * 16 * 8])
    assert [row["shape"] for row in rows] == [[4, 8, 16]] * 3
    assert [row["sources"] for row in rows] == [[-1], [0], [1, 0]]
    assert [row["type"] for row in rows] == ["convolutional", "maxpool", "shortcut"]


@pytest.mark.parametrize(("width", "height"), [(320, 320), (608, 416), (32, 64)])
def test_another_size(run: Run, width: int, height: int) -> None:
    code, out, err = run("summary", "yolov4-tiny", "--width", width, "--height", height, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["parameters"] == 6_062_814
    assert found["bflops"] == pytest.approx(6.910 * width * height / 416**2, rel=1e-3)
    assert found["layers"][-1]["shape"] == [255, height // 16, width // 16]


def test_warnings_are_told_of_in_one_line_on_the_error_stream(run: Run, write: Write) -> None:
    path = write("net.cfg", NET + CONV + "foo=1\nbar=2\nbatch_normalize=1\n")
    code, out, err = run("summary", path)
    assert code == 0
    assert out.splitlines()[-1].startswith("Total parameters")
    assert err == f"{path}: 2 warnings; `cspdet check {path}` shows them\n"


def test_errors_are_shown_on_the_error_stream(run: Run, write: Write) -> None:
    path = write("net.cfg", NET + CONV + "foo=1\nbatch_normalize=1\n[foo]\n")
    for words in ([], ["--json"]):
        code, out, err = run("summary", path, *words)
        assert (code, out) == (1, "")
        assert "error[unknown-section]" in err
        assert "warning[unknown-option]" in err
        assert "note[" not in err


@pytest.mark.parametrize("words", [["missing.cfg"], [], ["yolov4", "--width", "wide"], ["yolov9000"]])
def test_a_call_that_is_wrong(run: Run, words: list[str]) -> None:
    code, out, err = run("summary", *words)
    assert (code, out) == (2, "")
    assert err


@pytest.mark.parametrize("width", [0, -1, 65_537])
def test_a_width_that_cannot_be(run: Run, width: int) -> None:
    code, out, err = run("summary", "yolov4-tiny", f"--width={width}")
    assert (code, out) == (2, "")
    assert f"a width of {width} was asked for" in err
    assert "from 1 to 65536" in err


# -- layers ---------------------------------------------------------------------------------------------------------------


def test_all_sections_are_listed(run: Run) -> None:
    code, out, err = run("layers")
    assert (code, err) == (0, "")
    assert {name for line in out.splitlines() for name in re.findall(r"\[(\w+)\]", line.split("  ")[0])} == BY_NAME.keys()
    assert all(re.fullmatch(r"\[.+\]  +\S.*[^.]", line) for line in out.splitlines())


@pytest.mark.parametrize("name", BY_NAME)
def test_one_section(run: Run, name: str) -> None:
    code, out, err = run("layers", name)
    assert (code, err) == (0, "")
    kind = BY_NAME[name]
    assert out.splitlines()[0] == " or ".join(f"[{each}]" for each in kind.names)
    assert inspect.cleandoc(kind.__doc__ or "") in out
    assert "Known to: " in out
    written = {re.split(r"[= ]", line.strip())[0]: line for line in out.splitlines() if re.match(r"  \w", line)}
    # What every section has is of no use in [net].
    expected = set(kind.options) - (set(Layer.options) if name in ("net", "network") else set())
    assert expected <= written.keys()
    for each in kind.options.values():
        if each.name in expected:
            assert each.doc in written[each.name]
            assert ("required" in written[each.name]) == (each.default is REQUIRED)
            assert all(choice in out for choice in each.choices)


def test_brackets_may_be_written(run: Run) -> None:
    assert run("layers", "[yolo]") == run("layers", "yolo")
    assert run("layers", "conv") == run("layers", "convolutional")


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("convolutional", ["filters=1 ", "stride_x ", "pad=0 ", "activation=logistic ", "Known to: every Darknet"]),
        ("route", ["layers ", "groups=1 ", "whole number, at least 1"]),
        ("shortcut", ["from ", "required", "alpha=1 ", "pjreddie's Darknet only"]),
        ("partial_split", ["Known to: cspdet"]),
        ("l2norm", ["Known to: pjreddie's Darknet"]),
        ("net", ["width=0 ", "policy=constant ", "decay=0.0001 "]),
    ],
)
def test_what_is_said_of_options(run: Run, name: str, lines: list[str]) -> None:
    _, out, _ = run("layers", name)
    assert all(line in out for line in lines)


@pytest.mark.parametrize(
    ("name", "cure"),
    [("Yolo", "did you mean `yolo`?"), ("convolution", "did you mean `convolutional`?"), ("zzz", "`cspdet layers` lists")],
)
def test_a_section_that_is_not_there(run: Run, name: str, cure: str) -> None:
    code, out, err = run("layers", name)
    assert (code, out) == (2, "")
    assert f"there is no section `[{name}]`" in err
    assert cure in err


# -- explain --------------------------------------------------------------------------------------------------------------


def test_no_code_means_two_things() -> None:
    assert len({*EXPLANATIONS, *RULE_TEXTS}) == sum(map(len, (codes.EXPLANATIONS, data_codes.EXPLANATIONS, RULE_TEXTS)))


def test_all_codes_are_listed(run: Run) -> None:
    code, out, err = run("explain")
    assert (code, err) == (0, "")
    assert out.splitlines() == sorted({*EXPLANATIONS, *RULE_TEXTS})


@pytest.mark.parametrize("code", sorted({*EXPLANATIONS, *RULE_TEXTS}))
def test_one_code(run: Run, code: str) -> None:
    found, out, err = run("explain", code)
    assert (found, err) == (0, "")
    head, blank, *lines = out.splitlines()
    assert (head, blank) == (code, "")
    assert " ".join(" ".join(lines).split()) == " ".join((EXPLANATIONS | RULE_TEXTS)[code].split())
    assert max(map(len, lines)) <= 100


def test_the_code_may_stand_in_brackets(run: Run) -> None:
    assert run("explain", "[silu]") == run("explain", "silu")


@pytest.mark.parametrize(
    ("code", "cure"),
    [("head-filter", "did you mean `head-filters`?"), ("zzz", "`cspdet explain` lists all"), ("", "lists all")],
)
def test_a_code_that_is_not_there(run: Run, code: str, cure: str) -> None:
    found, out, err = run("explain", code)
    assert (found, out) == (2, "")
    assert f"there is no code `{code}`" in err
    assert cure in err
