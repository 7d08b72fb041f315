"""`cspdet summary --cost`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cspdet.analysis.table import short

Run = Callable[..., tuple[int, str, str]]
Write = Callable[[str, str], Path]

NET = "[net]\nwidth=16\nheight=8\nchannels=4\n"
CONV = "[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=linear\n"
TEXT = (
    NET + CONV + CONV + "[shortcut]\nfrom=0\n[maxpool]\nsize=2\nstride=2\n[implicit]\nfilters=2\n[route]\nlayers=3\n[avgpool]\n"
)


def test_rows(run: Run, write: Write) -> None:
    code, out, err = run("summary", write("net.cfg", TEXT), "--cost")
    assert (code, err) == (0, "")
    cells = [" ".join(row.split()) for row in out.splitlines()]
    assert cells == [
        "layer output BFLOPs params MAC /least CIO live MiB field stride path",
        "0 convolutional 16 x 8 x 4 0.000 148 1.17k 1.00 1.02k 0.00 3 x 3 1 0 - 1",
        "1 convolutional 16 x 8 x 4 0.000 148 1.17k 1.00 1.02k 0.01 5 x 5 1 0 - 0",
        "2 shortcut 16 x 8 x 4 0.000 0.01 5 x 5 1 0 - 0",
        "3 maxpool 8 x 4 x 4 0.000 640 0.00 6 x 6 2 0 - 0",
        # Nothing needs it.
        "4 implicit 1 x 1 x 2 2",
        "5 route 8 x 4 x 4 0.00 6 x 6 2 0 - 0",
        "6 avgpool 1 x 1 x 4 132 0.00 20 x 12 0 - 0",
        "Total BFLOPS 0.000, the most in layer 0 (convolutional): 0.0000, 49.3 %",
        "Total parameters 298",
        "Memory access cost (MAC) 2,336, 1.000 times the least for as much computation",
        "Convolutional input and output (CIO) 2,820, of convolutions alone 2,048",
        "Activations of 1 image: 0.01 MiB, in training at least 0.01 MiB",
        "Receptive field 20 x 12 pixels, of layer 6",
        "Gradient paths: longest 1, longest of the shortest 0",
    ]
    assert max(map(len, out.splitlines())) <= 128


def test_json(run: Run, write: Write) -> None:
    path = write("net.cfg", TEXT)
    _, out, _ = run("summary", path, "--cost", "--json", "--batch", 3)
    found = json.loads(out)
    plain = json.loads(run("summary", path, "--json")[1])
    layers = found.pop("layers")
    assert {key: found[key] for key in ("bflops", "parameters")} == {key: plain[key] for key in ("bflops", "parameters")}
    assert [{key: row[key] for key in plain["layers"][0]} for row in layers] == plain["layers"]
    assert [row["mac"] for row in layers] == [1168, 1168, 0, 0, 0, 0, 0]
    assert [row["mac_bound"] for row in layers] == [1168, 1168, 0, 0, 0, 0, 0]
    assert [row["cio"] for row in layers] == [1024, 1024, 0, 640, 0, 0, 132]
    assert [row["receptive_field"] for row in layers] == [[3, 3], [5, 5], [5, 5], [6, 6], None, [6, 6], [12, 20]]
    assert [row["gradient_path"] for row in layers] == [[0, 1], [0, 0], [0, 0], [0, 0], None, [0, 0], [0, 0]]
    pixels = 3 * 4 * 4 * 8 * 16
    live = [2 * pixels, 3 * pixels, 4 * pixels, 2.25 * pixels, None, 1.25 * pixels, 1.25 * pixels + 48]
    assert [row["live_bytes"] for row in layers] == live
    assert (found["live_bytes"], found["training_bytes"]) == (4 * pixels, 4.25 * pixels + 48)
    assert (found["batch"], found["mac"], found["cio"], found["cio_convolutions"]) == (3, 2336, 2820, 2048)
    assert (found["longest_gradient_path"], found["longest_shortest_gradient_path"]) == (1, 0)
    assert found["bottleneck"] == {"layer": 0, "bflops": 2 * 36 * 4 * 128 / 1e9}
    assert found["receptive_field"] == [12, 20]


def test_the_size_counts(run: Run) -> None:
    small, large = (
        json.loads(run("summary", "yolov4-tiny", "--cost", "--json", "--width", side, "--height", side)[1])
        for side in (320, 640)
    )
    assert large["cio"] == 4 * small["cio"]
    assert large["live_bytes"] == 4 * small["live_bytes"]
    assert large["receptive_field"] == small["receptive_field"] == [331, 331]


def test_a_network_of_vectors(run: Run, write: Write) -> None:
    text = "[net]\ninputs=6\n[gru]\noutput=5\n[connected]\noutput=4\n[softmax]\n"
    code, out, err = run("summary", write("net.cfg", text), "--cost")
    assert (code, err) == (0, "")
    assert "MAC" not in out.splitlines()[-5]
    assert out.splitlines()[-1] == "Gradient paths: longest 1, longest of the shortest 1"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--batch", "4"], "`--batch` without `--cost`"),
        (["--cost", "--batch", "0"], "a batch of 0 was asked for"),
        (["--cost", "--batch", "x"], "invalid int value"),
    ],
)
def test_a_call_that_is_wrong(run: Run, words: list[str], message: str) -> None:
    code, out, err = run("summary", "yolov4-tiny", *words)
    assert (code, out) == (2, "")
    assert message in err


def test_a_cfg_with_errors(run: Run, write: Write) -> None:
    code, out, err = run("summary", write("net.cfg", NET + "[foo]\n"), "--cost")
    assert (code, out) == (1, "")
    assert "error[unknown-section]" in err


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (862, "862"),
        (999, "999"),
        (1000, "1k"),
        (9996, "10k"),
        (86_200, "86.2k"),
        (3_680_000, "3.68M"),
        (2e12, "2000G"),
    ],
)
def test_short_numbers(number: float, text: str) -> None:
    assert short(number) == text
