"""`cspdet weights info` and `cspdet weights convert`."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.conftest import REFERENCE

Run = Callable[..., tuple[int, str, str]]

HEADER = struct.pack("<iiiQ", 0, 2, 5, 32_013_312)
NET = "[net]\nwidth=8\nheight=8\nchannels=3\n"
CONV = "[convolutional]\nfilters=4\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n"
HEAD = "[convolutional]\nfilters=21\nsize=1\nactivation=linear\n[yolo]\nclasses=2\nnum=3\nanchors=1,2,3,4,5,6\n"
FIRST, SECOND = 4 * 4 + 4 * 27, 21 + 21 * 4
TOTAL = FIRST + SECOND


@pytest.fixture
def cfg(tmp_path: Path) -> Path:
    path = tmp_path / "made.cfg"
    path.write_text(NET + CONV + HEAD)
    return path


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """A weights file of halves, or of given numbers, and bytes behind them."""

    def call(count: int = TOTAL, rest: bytes = b"", name: str = "made.weights", **changes: float) -> Path:
        numbers = np.full(count, 0.5, "<f4")
        for place, value in changes.items():
            numbers[int(place.strip("_"))] = value
        (tmp_path / name).write_bytes(HEADER + numbers.tobytes() + rest)
        return tmp_path / name

    return call


Make = Callable[..., Path]


def table(out: str) -> dict[str, str]:
    """The rows of the text form."""
    return {line[:28].strip(): line[28:].strip() for line in out.splitlines()}


# -- info -------------------------------------------------------------------------------------------------------------


def test_what_a_file_is(run: Run, make: Make) -> None:
    path = make()
    code, out, err = run("weights", "info", path, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "file": str(path),
        "bytes": 20 + 4 * TOTAL,
        "version": "0.2.5",
        "header_bytes": 20,
        "images_seen": 32_013_312,
        "numbers": TOTAL,
        "not_finite": 0,
    }
    code, out, err = run("weights", "info", path)
    assert (code, err) == (0, "")
    assert table(out) == {
        "file": str(path),
        "bytes": f"{20 + 4 * TOTAL:,}",
        "version": "0.2.5",
        "header bytes": "20",
        "images seen": "32,013,312",
        "numbers": f"{TOTAL:,}",
        "not finite": "0",
    }


def test_a_file_that_fits(run: Run, make: Make, cfg: Path) -> None:
    code, out, err = run("weights", "info", make(), "--cfg", cfg, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["cfg"] == str(cfg)
    assert found["expected_numbers"] == TOTAL
    assert found["fits"] is True
    assert not {"partial", "reason", "note"} & found.keys()
    code, out, _ = run("weights", "info", make(), "--cfg", cfg)
    assert code == 0
    assert table(out)["fits"] == "yes"


def test_a_partial_file(run: Run, make: Make, cfg: Path) -> None:
    code, out, _ = run("weights", "info", make(FIRST, name="made.conv.1"), "--cfg", cfg, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["fits"] is True
    assert found["numbers"] == FIRST
    assert found["expected_numbers"] == TOTAL
    assert "`.conv.1` file" in found["partial"]
    assert found["first_layer_without"] == "1 [convolutional], line 11"


@pytest.mark.parametrize(
    ("count", "rest", "fact"),
    [
        (0, b"", f"which takes {FIRST} and finds 0"),
        (TOTAL - 1, b"", f"which takes {SECOND} and finds {SECOND - 1}"),
        (TOTAL + 9, b"", "9 numbers are left over"),
        (TOTAL - 1, b"abc", "and 3 bytes that make no number"),
        (FIRST + 3 * 8 * 5, b"", "these weights have 3 classes, the cfg 2"),
    ],
)
def test_a_file_that_does_not_fit(run: Run, make: Make, cfg: Path, count: int, rest: bytes, fact: str) -> None:
    code, out, err = run("weights", "info", make(count, rest), "--cfg", cfg, "--json")
    assert (code, err) == (1, "")
    found = json.loads(out)
    assert found["fits"] is False
    assert fact in found["reason"]
    assert "help: " in found["reason"]
    assert found.get("left_over_bytes", 0) == len(rest)
    assert found["bytes"] == 20 + 4 * count + len(rest)
    code, out, _ = run("weights", "info", make(count, rest), "--cfg", cfg)
    assert code == 1
    assert table(out)["fits"] == "no"
    assert fact in out


def test_numbers_that_are_none(run: Run, make: Make, cfg: Path) -> None:
    path = make(_5=float("nan"), _7=float("inf"), _9=float("-inf"))
    code, out, _ = run("weights", "info", path, "--json")
    assert code == 1
    assert json.loads(out)["not_finite"] == 3
    code, out, _ = run("weights", "info", path, "--cfg", cfg)
    assert code == 1
    assert table(out)["not finite"] == "3"


def test_left_over_bytes(run: Run, make: Make) -> None:
    code, out, _ = run("weights", "info", make(3, b"x"))
    assert code == 1
    assert table(out)["left over bytes"] == "1"


@pytest.mark.parametrize(("value", "said"), [(-1.0, "a variance is negative"), (float("nan"), "a variance is not a number")])
def test_a_file_of_the_right_length_may_still_be_another(run: Run, make: Make, cfg: Path, value: float, said: str) -> None:
    path = make(_12=value)
    code, out, _ = run("weights", "info", path, "--cfg", cfg, "--json")
    assert code == 1
    found = json.loads(out)
    assert found["fits"] is True
    assert found["doubt"] == (f"`{path}` is damaged or belongs to another cfg: at layer 0 (`[convolutional]`, line 5) {said}")
    assert "doubt" not in json.loads(run("weights", "info", make(_11=-1.0), "--cfg", cfg, "--json")[1])


def test_a_short_header(run: Run, tmp_path: Path) -> None:
    (tmp_path / "old.weights").write_bytes(struct.pack("<iiiI2f", 0, 1, 0, 99, 1, 2))
    found = json.loads(run("weights", "info", tmp_path / "old.weights", "--json")[1])
    assert (found["version"], found["header_bytes"], found["images_seen"], found["numbers"]) == ("0.1.0", 16, 99, 2)


def test_the_dialect_counts(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.weights").write_bytes(struct.pack("<iiiI2f", 0, 1001, 0, 99, 1, 2))
    for dialect, size, numbers in (("alexeyab", 20, 1), ("pjreddie", 16, 2)):
        found = json.loads(run("weights", "info", tmp_path / "a.weights", "--json", "--dialect", dialect)[1])
        assert (found["header_bytes"], found["numbers"]) == (size, numbers)


@pytest.mark.parametrize("as_json", [True, False])
def test_a_safetensors_file(run: Run, make: Make, cfg: Path, tmp_path: Path, as_json: bool) -> None:
    path = tmp_path / "made.safetensors"
    assert run("weights", "convert", cfg, make(), path)[0] == 0
    code, out, err = run("weights", "info", path)
    assert (code, out) == (2, "")
    assert "add `--cfg CFG`" in err
    code, out, err = run("weights", "info", path, "--cfg", cfg, *(["--json"] if as_json else []))
    assert (code, err) == (0, "")
    found = json.loads(out) if as_json else table(out)
    assert found["version"] == "0.2.5"
    assert found["numbers"] == (TOTAL if as_json else f"{TOTAL:,}")
    assert found["fits"] == (True if as_json else "yes")
    assert found["bytes"] == (path.stat().st_size if as_json else f"{path.stat().st_size:,}")
    assert found["images_seen" if as_json else "images seen"] == (32_013_312 if as_json else "32,013,312")
    assert found["expected_numbers" if as_json else "expected numbers"] == (TOTAL if as_json else f"{TOTAL:,}")
    assert found["not_finite" if as_json else "not finite"] == (0 if as_json else "0")


def test_numbers_that_are_none_in_a_safetensors_file(run: Run, make: Make, cfg: Path, tmp_path: Path) -> None:
    path = tmp_path / "made.safetensors"
    assert run("weights", "convert", cfg, make(_0=float("nan"), _9=float("inf")), path)[0] == 0
    code, out, _ = run("weights", "info", path, "--cfg", cfg, "--json")
    assert code == 1
    assert json.loads(out)["not_finite"] == 2


def test_a_model_can_be_named(run: Run, make: Make) -> None:
    code, out, _ = run("weights", "info", make(), "--cfg", "yolov4-tiny", "--json")
    found = json.loads(out)
    assert code == 1
    assert found["fits"] is False
    # 24,251,276 bytes of the official file, without the header.
    assert found["expected_numbers"] == (24_251_276 - 20) // 4


def test_a_cfg_with_warnings(run: Run, make: Make, cfg: Path) -> None:
    cfg.write_text(cfg.read_text() + "colour=blue\n")
    code, out, err = run("weights", "info", make(), "--cfg", cfg, "--json")
    assert code == 0
    assert json.loads(out)["fits"] is True
    assert f"{cfg}: 1 warning; `cspdet check {cfg}` shows them" in err


# -- convert ----------------------------------------------------------------------------------------------------------


def test_convert_says_what_it_wrote(run: Run, make: Make, cfg: Path, tmp_path: Path) -> None:
    path = tmp_path / "made.safetensors"
    code, out, err = run("weights", "convert", cfg, make(), path)
    assert (code, err) == (0, "")
    assert out == f"{path}: 7 arrays, {TOTAL} numbers\n"
    assert path.is_file()


def test_convert_a_partial_file(run: Run, make: Make, cfg: Path, tmp_path: Path) -> None:
    source = make(FIRST, name="made.conv.1")
    code, _, err = run("weights", "convert", cfg, source, tmp_path / "made.safetensors")
    assert code == 2
    assert f"`{source}` ends before layer 1" in err
    assert not (tmp_path / "made.safetensors").exists()
    assert run("weights", "convert", cfg, source, tmp_path / "again.weights")[0] == 0
    assert (tmp_path / "again.weights").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("target", ["made", "made.pt", "made.conv.29", "made.onnx"])
def test_convert_to_an_unknown_form(run: Run, make: Make, cfg: Path, tmp_path: Path, target: str) -> None:
    code, _, err = run("weights", "convert", cfg, make(), tmp_path / target)
    assert code == 2
    assert f"cannot tell the form of `{tmp_path / target}`" in err
    assert "`.weights` or `.safetensors`" in err
    assert not (tmp_path / target).exists()


@pytest.mark.parametrize("ending", [".weights", ".safetensors"])
def test_convert_to_where_nothing_can_be_written(run: Run, make: Make, cfg: Path, tmp_path: Path, ending: str) -> None:
    target = tmp_path / "none" / f"made{ending}"
    code, _, err = run("weights", "convert", cfg, make(), target)
    assert code == 2
    assert f"cannot write `{target}`" in err
    assert "mkdir -p" in err


@pytest.mark.parametrize("ending", [".weights", ".safetensors"])
def test_convert_to_a_full_disk(
    run: Run, make: Make, cfg: Path, tmp_path: Path, small_disk: Callable[[int], AbstractContextManager[None]], ending: str
) -> None:
    source, target = make(), tmp_path / f"other{ending}"
    with small_disk(200):
        code, out, err = run("weights", "convert", cfg, source, target)
    assert (code, out, err) == (2, "", f"error: cannot write `{target}`: file too large\n")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["made.cfg", "made.weights"]


def test_convert_what_does_not_fit(run: Run, make: Make, cfg: Path, tmp_path: Path) -> None:
    target = tmp_path / "made.safetensors"
    target.write_bytes(b"as it was")
    code, out, err = run("weights", "convert", cfg, make(TOTAL - 1), target)
    assert (code, out) == (1, "")
    assert "does not fit" in err
    assert target.read_bytes() == b"as it was"


# -- cut --------------------------------------------------------------------------------------------------------------


def test_cut_keeps_the_first_layers(run: Run, make: Make, cfg: Path, tmp_path: Path) -> None:
    path = tmp_path / "made.conv.1"
    assert run("weights", "cut", cfg, make(), path, 1) == (0, f"{path}: 5 arrays, {FIRST} numbers\n", "")
    whole = make().read_bytes()
    assert path.read_bytes() == struct.pack("<iiiQ", 0, 2, 5, 0) + whole[len(HEADER) :][: 4 * FIRST], "and no images seen"
    assert run("weights", "cut", cfg, path, tmp_path / "again.conv.1", 1)[0] == 0
    assert run("weights", "cut", cfg, make(), tmp_path / "all.weights", 3)[0] == 0
    assert (tmp_path / "all.weights").read_bytes()[20:] == whole[20:]


def test_cut_more_than_there_is(run: Run, make: Make, cfg: Path, tmp_path: Path) -> None:
    code, _, err = run("weights", "cut", cfg, make(), tmp_path / "out.weights", 4)
    assert code == 2
    assert "has 3 layers, not 4" in err
    code, _, err = run("weights", "cut", cfg, make(FIRST, name="made.conv.1"), tmp_path / "out.weights", 2)
    assert code == 2
    assert "ends before layer 1" in err
    assert not (tmp_path / "out.weights").exists()


def test_cut_layers_without_weights(run: Run, tmp_path: Path) -> None:
    cfg, weights = tmp_path / "pool.cfg", tmp_path / "pool.weights"
    cfg.write_text(NET + "[maxpool]\n" + CONV)
    weights.write_bytes(HEADER + bytes(4 * FIRST))
    code, _, err = run("weights", "cut", cfg, weights, tmp_path / "out.weights", 1)
    assert code == 2
    assert "the first layer of" in err
    assert "has no weights" in err


# -- calls that cannot work -------------------------------------------------------------------------------------------

BAD_CALLS: dict[str, tuple[list[str], int, str]] = {
    "no verb": ([], 2, "required: info|convert|cut"),
    "another verb": (["look"], 2, "invalid choice: 'look'"),
    "no file": (["info"], 2, "required: FILE"),
    "one file": (["convert", "{cfg}", "{weights}"], 2, "required: OUT"),
    "missing file": (["info", "{folder}/none.weights"], 2, "no such file: `{folder}/none.weights`"),
    "missing safetensors": (["info", "{folder}/none.safetensors", "--cfg", "{cfg}"], 2, "no such file"),
    "folder": (["info", "{folder}"], 2, "is a directory"),
    "missing cfg": (["info", "{weights}", "--cfg", "{folder}/none.cfg"], 2, "no such file: `{folder}/none.cfg`"),
    "misspelt model": (["info", "{weights}", "--cfg", "yolov4tiny"], 2, "did you mean `yolov4-tiny`?"),
    "misspelt dialect": (["info", "{weights}", "--dialect", "alexey"], 2, "invalid choice: 'alexey'"),
    "cfg for weights": (["info", "{cfg}"], 1, "it is cfg text"),
    "cfg twice": (["convert", "{cfg}", "{cfg}", "{folder}/out.weights"], 1, "it is cfg text"),
    "weights for cfg": (["convert", "{weights}", "{cfg}", "{folder}/out.weights"], 1, "so it is not cfg text"),
    "broken cfg": (["info", "{weights}", "--cfg", "{broken}"], 1, "there is no section `[convolution]`"),
    "no layers": (["cut", "{cfg}", "{weights}", "{folder}/out.weights", "0"], 2, "is no number from 1 on"),
    "broken cfg to convert": (["convert", "{broken}", "{weights}", "{folder}/out.weights"], 1, "{broken}: 1 error"),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_calls(run: Run, make: Make, cfg: Path, tmp_path: Path, name: str) -> None:
    words, expected, said = BAD_CALLS[name]
    broken = tmp_path / "broken.cfg"
    broken.write_text(NET + CONV.replace("convolutional", "convolution"))
    places: dict[str, Any] = {"cfg": cfg, "weights": make(), "folder": tmp_path, "broken": broken}
    before = {path.name for path in tmp_path.iterdir()}
    code, out, err = run("weights", *(word.format(**places) for word in words))
    assert (code, out) == (expected, "")
    assert said.format(**places) in err
    assert {path.name for path in tmp_path.iterdir()} == before


# -- real weights -----------------------------------------------------------------------------------------------------


@pytest.mark.reference
def test_info_of_real_weights(run: Run) -> None:
    folder = REFERENCE / "weights" / "yolo-fastest-1.1"
    weights, cfg = folder / "yolo-fastest-1.1.weights", folder / "yolo-fastest-1.1.cfg"
    code, out, _ = run("weights", "info", weights, "--cfg", cfg, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["fits"] is True
    assert found["bytes"] == weights.stat().st_size
    assert found["images_seen"] > 0
    assert found["numbers"] == found["expected_numbers"] == (weights.stat().st_size - 20) // 4


@pytest.mark.reference
def test_info_of_a_real_partial_file(run: Run) -> None:
    folder = REFERENCE / "weights"
    cfg = folder / "MobileNetV2-YOLOv3-Nano-voc" / "MobileNetV2-YOLOv3-Nano-voc.cfg"
    code, out, _ = run("weights", "info", folder / "MobileNetV2-Nano.conv.57", "--cfg", cfg, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["fits"] is True
    assert "partial" in found


# -- safetensors ------------------------------------------------------------------------------------------------------


def test_a_safetensors_file_that_does_not_fit(run: Run, make: Make, cfg: Path, tmp_path: Path) -> None:
    path = tmp_path / "made.safetensors"
    assert run("weights", "convert", cfg, make(), path)[0] == 0
    cfg.write_text(NET + CONV.replace("filters=4", "filters=5") + HEAD)
    code, out, _ = run("weights", "info", path, "--cfg", cfg, "--json")
    assert code == 1
    found = json.loads(out)
    assert found["fits"] is False
    assert "(4,) of F32, not (5,)" in found["reason"]


def test_a_safetensors_file_with_a_variance_that_cannot_be(run: Run, make: Make, cfg: Path, tmp_path: Path) -> None:
    path = tmp_path / "made.safetensors"
    code, _, err = run("weights", "convert", cfg, make(_13=-1.0), path)
    assert code == 0
    assert "warning: " in err
    assert "a variance is negative" in err
    code, out, _ = run("weights", "info", path, "--cfg", cfg, "--json")
    assert (code, json.loads(out)["fits"]) == (1, True)
    assert "a variance is negative" in json.loads(out)["doubt"]


def test_a_safetensors_file_of_everything_to_a_cfg_that_skips_a_layer(run: Run, make: Make, cfg: Path, tmp_path: Path) -> None:
    """What is written can be read again with the same cfg."""
    path, again = tmp_path / "made.safetensors", tmp_path / "again.weights"
    assert run("weights", "convert", cfg, make(), path)[0] == 0
    save_file(load_file(path), path)  # without what says how much of the network it holds
    cfg.write_text(NET + CONV.replace("[convolutional]\n", "[convolutional]\ndontload=1\n") + HEAD)
    code, out, err = run("weights", "convert", cfg, path, again)
    assert (code, err) == (0, "")
    assert f"{SECOND} numbers" in out
    assert run("weights", "info", again, "--cfg", cfg)[0] == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no such device here")
def test_a_safetensors_file_on_a_full_disk(run: Run, make: Make, cfg: Path, tmp_path: Path) -> None:
    (tmp_path / "full.safetensors").symlink_to("/dev/full")
    code, out, err = run("weights", "convert", cfg, make(), tmp_path / "full.safetensors")
    assert (code, out) == (2, "")
    assert "no space left on device" in err
