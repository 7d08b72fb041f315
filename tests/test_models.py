"""Models by name, and the catalogue of official weights."""

from __future__ import annotations

import json
import os
import re
import struct
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import cspdet
from cspdet import shipped
from cspdet.cfg.source import Source
from cspdet.errors import UsageError
from cspdet.layers.head import Head
from cspdet.models import DEFAULT, find, known
from cspdet.names import read_names
from cspdet.rules import load as load_graph
from tests.conftest import ROOT, SHIPPED

CATALOGUE: dict[str, dict[str, Any]] = tomllib.loads((ROOT / "weights" / "official.toml").read_text("utf-8"))


def test_every_shipped_cfg_can_be_named() -> None:
    assert {name: model.cfg for name, model in known().items()} == {path.stem: path for path in SHIPPED}
    assert len({path.stem for path in SHIPPED}) == len(SHIPPED), "two cfgs of one name"


def test_the_default_has_everything() -> None:
    """Weights that are there after installation, and names of its classes."""
    model = known()[DEFAULT]
    assert model.weights is not None
    assert model.names is not None
    graph, _ = load_graph(Source.read(model.cfg))
    assert model.weights.stat().st_size == 20 + 4 * graph.parameters
    (classes,) = {node.layer.classes for node in graph.heads if isinstance(node.layer, Head)}
    assert len(read_names(model.names)) == classes


@pytest.mark.parametrize("name", CATALOGUE)
def test_an_official_file_belongs_to_its_cfg(name: str) -> None:
    entry = CATALOGUE[name]
    assert entry.keys() == {"file", "bytes", "sha256", "names", "urls"}
    assert name in known(), "no cfg of that name"
    model = known()[name]
    graph, _ = load_graph(Source.read(model.cfg))
    # The header, and four bytes for each number.
    assert entry["bytes"] == 20 + 4 * graph.parameters
    assert re.fullmatch("[0-9a-f]{64}", entry["sha256"])
    assert entry["file"] == f"{name}.weights"
    assert entry["urls"]
    for url in entry["urls"]:
        parts = urlsplit(url)
        assert parts.scheme == "https"
        assert parts.netloc
        assert parts.path.rsplit("/", 1)[1] == entry["file"]
    assert len(set(entry["urls"])) == len(entry["urls"])
    heads = [node.layer.classes for node in graph.heads if isinstance(node.layer, Head)]
    assert heads
    assert model.names == ROOT / "cfg" / entry["names"]
    names = read_names(model.names)
    assert {len(names)} == set(heads)
    assert len(set(names)) == len(names)
    assert all(names)


def test_no_two_entries_are_the_same_file() -> None:
    digests = [entry["sha256"] for entry in CATALOGUE.values()]
    assert len(set(digests)) == len(digests)


def test_the_names_of_coco() -> None:
    names = read_names(ROOT / "cfg" / "coco.names")
    assert (names[0], names[16], names[79]) == ("person", "dog", "toothbrush")


# -- finding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_find_by_name(name: str) -> None:
    found = find(name)
    assert found == known()[name]
    assert found.official is not None
    assert found.official.file == CATALOGUE[name]["file"]


@pytest.mark.parametrize("as_text", [True, False])
def test_find_by_path(write: Callable[[str, str], Path], as_text: bool) -> None:
    path = write("made.cfg", "[net]")
    found = find(str(path) if as_text else path)
    assert (found.name, found.cfg) == ("made", path)
    assert found.names is None
    assert found.official is None


def test_a_file_needs_no_ending(write: Callable[[str, str], Path]) -> None:
    path = write("made.txt", "[net]")
    assert find(path).cfg == path


def test_the_path_of_a_shipped_cfg_is_only_a_path() -> None:
    """Whoever names a file gets that file, and no download."""
    found = find(known()[DEFAULT].cfg)
    assert found.official is None


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("yolov4tiny", "yolov4-tiny"),
        ("yolov4_tiny", "yolov4-tiny"),
        ("YOLOv4-Tiny", "yolov4-tiny"),
        ("YOLOV4", "yolov4"),
        ("yolov3-tinny", "yolov3-tiny"),
        ("yolo3", "yolov3"),
    ],
)
def test_a_misspelt_name(name: str, meant: str) -> None:
    with pytest.raises(UsageError) as caught:
        find(name)
    assert caught.value.message == f"`{name}` is neither a file nor the name of a model"
    assert caught.value.help == f"did you mean `{meant}`?"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["transformer", "a/b/c", "-", "a\0b", "", "x" * 300, "x/" * 3000])
def test_an_unknown_name_is_answered_with_where_they_are_listed(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        find(name)
    assert "neither a file nor the name of a model" in caught.value.message
    assert "`cspdet models` lists" in (caught.value.help or "")


def test_a_missing_cfg_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        cspdet.load(tmp_path / "none.cfg")
    assert caught.value.message == f"no such file: `{tmp_path / 'none.cfg'}`"


@pytest.mark.parametrize("folder", ["", "cfg/", "/none/"])
def test_the_cfg_of_a_model_that_is_not_there(folder: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        find(f"{folder}{DEFAULT}.cfg")
    assert caught.value.message == f"no such file: `{folder}{DEFAULT}.cfg`"
    assert caught.value.help == f"cspdet ships this model: name it `{DEFAULT}`"


def test_a_directory_is_no_model_and_hides_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (DEFAULT, "mine"):
        Path(name).mkdir()
    assert find(DEFAULT) == known()[DEFAULT]
    for name in ("mine", ".", str(tmp_path), tmp_path):
        with pytest.raises(UsageError) as caught:
            find(name)
        assert caught.value.message == f"`{name}` is a directory, not a cfg file"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_what_is_no_ordinary_file_may_be_a_cfg(tmp_path: Path) -> None:
    """A pipe, as `<(…)` in a shell makes one."""
    os.mkfifo(tmp_path / "made")
    assert find(tmp_path / "made").cfg == tmp_path / "made"


def test_a_cfg_without_official_weights_says_so(write: Callable[[str, str], Path]) -> None:
    with pytest.raises(UsageError) as caught:
        find(write("made.cfg", "[net]")).fetch_weights()
    assert caught.value.message == "there are no official weights for `made`"
    assert "weights file" in caught.value.help


def test_weights_that_ship_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A cfg, weights of its name and a list of names: nothing is asked of the web."""
    for name in ("cfg", "weights"):
        (tmp_path / name).mkdir()
    (tmp_path / "weights" / "official.toml").write_text("")
    (tmp_path / "cfg" / "own.cfg").write_text("[net]\nwidth=8\nheight=8\nchannels=3\n[convolutional]\n")
    (tmp_path / "cfg" / "own.names").write_text("thing\n")
    (tmp_path / "cfg" / "other.cfg").write_text("[net]\n")
    (tmp_path / "weights" / "own.weights").write_bytes(struct.pack("<iiiQ", 0, 2, 5, 0) + bytes(4 * 4))
    monkeypatch.setattr(shipped, "_HOMES", (tmp_path,))
    own, other = find("own"), find("other")
    assert own.trained
    assert own.fetch_weights() == tmp_path / "weights" / "own.weights"
    assert own.names == tmp_path / "cfg" / "own.names"
    assert (other.trained, other.names) == (False, None)
    detector = cspdet.load("own")
    assert detector.names == ("thing",)
    assert float(detector.network.state_dict()["layers.0.conv.weight"].abs().sum()) == 0


def test_the_list_of_models(run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = run("models", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert (code, rows.keys()) == (0, known().keys())
    assert rows["yolov4-tiny"]["about"]["title"].startswith("YOLOv4-tiny")
    assert rows["yolov4-tiny"]["parameters"] == 6_062_814
    assert rows["yolov4-tiny"]["weights"]["bytes"] == CATALOGUE["yolov4-tiny"]["bytes"]
    code, out, _ = run("models")
    assert code == 0
    assert {line.split()[0] for line in out.splitlines() if line.startswith(" ")} == known().keys()
    assert len([line for line in out.splitlines() if line.endswith("(default)")]) == 1


def test_official_weights_are_looked_for_in_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file of the right name and another content is not taken for it; with no server to ask, that is an error."""
    monkeypatch.setenv("CSPDET_CACHE", str(tmp_path))
    monkeypatch.setenv("CSPDET_MIRROR", "")
    model = known()["yolov4-tiny"]
    assert model.official is not None
    model = model._replace(official=model.official._replace(sha256="0" * 64, urls=()))
    (tmp_path / "yolov4-tiny.weights").write_bytes(b"something else")
    with pytest.raises(cspdet.DownloadError, match=r"cannot download `yolov4-tiny\.weights`"):
        model.fetch_weights()
    assert (tmp_path / "yolov4-tiny.weights").read_bytes() == b"something else"
