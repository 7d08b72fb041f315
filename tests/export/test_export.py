"""Files for other programs compute what the network computes, and nothing bad comes of bad input."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cspdet
from cspdet.boxes import Candidates, suppress
from cspdet.export import checking, open_file
from cspdet.image import read_image
from tests.conftest import ROOT, reference_files
from tests.export.conftest import PICTURE, RECURRENT, REGION, SMALL, alike, with_weights

Run = Callable[..., tuple[int, str, str]]

CASES = [
    ("raw.onnx",),
    ("boxes.onnx", "--outputs", "boxes"),
    ("nms.onnx", "--outputs", "nms", "--thresh", ".1"),
    ("raw.xml",),
    ("boxes.xml", "--outputs", "boxes"),
    ("free.onnx", "--dynamic-size"),
    ("free.xml", "--dynamic-size"),
]


@pytest.mark.parametrize("words", CASES, ids=lambda words: words[0])
def test_a_file_finds_what_the_network_finds(
    run: Run, small: tuple[Path, Path], tmp_path: Path, words: tuple[str, ...]
) -> None:
    out = tmp_path / words[0]
    code, printed, err = run("export", *small, out, *words[1:])
    assert (code, err) == (0, "")
    names = ("boxes", "scores") if "--outputs" in words else ("output_0", "output_1")
    packages = ["onnxruntime", "opencv"] if out.suffix == ".onnx" else ["openvino"]
    assert [line.split(":")[0] for line in printed.splitlines()] == [*packages, str(out)]
    assert all(f"{name} " in line for line in printed.splitlines()[:-1] for name in names)
    expected = cspdet.load(*small)(PICTURE, threshold=0.2)
    alike(cspdet.load(out)(PICTURE, threshold=0.2), expected)
    assert not [*tmp_path.glob(".cspdet*")]


@pytest.mark.parametrize("outputs", ["raw", "boxes"])
def test_torch_export(run: Run, small: tuple[Path, Path], tmp_path: Path, outputs: str) -> None:
    out = tmp_path / "x.pt2"
    # PyTorch's own machinery warns of itself.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert run("export", *small, out, "--outputs", outputs)[0] == 0
        alike(cspdet.load(out)(PICTURE, threshold=0.2), cspdet.load(*small)(PICTURE, threshold=0.2))
    for flag in ("--half", "--dynamic-size"):
        code, _, err = run("export", *small, tmp_path / "y.pt2", flag)
        assert code == 2
        assert f"cannot be written with `{flag}`" in err
    assert not (tmp_path / "y.pt2").exists()


HEAD = "[net]\nwidth=32\nheight=32\nchannels=3\n[convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n"


@pytest.mark.parametrize(
    "rest",
    [
        "[avgpool]\n[softmax]\ngroups=2\n",
        "[local]\nfilters=4\nsize=3\nstride=1\npad=1\nactivation=leaky\n",
        "[maxpool]\nmaxpool_depth=1\nout_channels=4\n",
        "[connected]\noutput=32\nactivation=linear\n[detection]\nclasses=3\nside=2\nnum=1\ncoords=4\nsoftmax=1\n",
    ],
    ids=["softmax", "local", "maxpool", "detection"],
)
@pytest.mark.filterwarnings("ignore")  # of PyTorch's own machinery
def test_torch_export_of_layers_that_count_images(run: Run, tmp_path: Path, rest: str) -> None:
    """The check runs it in two batches; the file takes any."""
    code, printed, err = run("export", *with_weights(tmp_path / "x.cfg", HEAD + rest), tmp_path / "x.pt2")
    assert (code, err) == (0, "")
    assert printed.startswith("torch: largest difference output_0 ")
    assert len(open_file(tmp_path / "x.pt2").run(np.zeros((5, 3, 32, 32), np.float32))["output_0"]) == 5


def test_region_of_one_channel(run: Run, tmp_path: Path) -> None:
    files = with_weights(tmp_path / "region.cfg", REGION)
    for dialect in ("alexeyab", "pjreddie"):
        assert run("export", *files, tmp_path / "x.onnx", "--outputs", "boxes", "--dialect", dialect)[0] == 0
        alike(cspdet.load(tmp_path / "x.onnx")(PICTURE), cspdet.load(*files, dialect=dialect)(PICTURE))


@pytest.mark.parametrize("name", ["x.onnx", "x.xml"])
@pytest.mark.parametrize("outputs", ["raw", "boxes"])
def test_half(run: Run, small: tuple[Path, Path], tmp_path: Path, name: str, outputs: str) -> None:
    sizes = []
    for words in ((), ("--half",)):
        assert run("export", *small, tmp_path / name, "--outputs", outputs, *words)[0] == 0
        weights = (tmp_path / name).with_suffix(".bin" if name == "x.xml" else ".onnx")
        sizes.append(weights.stat().st_size)
    assert sizes[1] < sizes[0]
    one, other = cspdet.load(tmp_path / name)(PICTURE), cspdet.load(*small)(PICTURE)
    assert len(one) == len(other) > 0
    # Scores that are nearly the same change places.
    np.testing.assert_allclose(np.sort(one.confidence), np.sort(other.confidence), atol=0.001)


def test_half_of_onnx_has_no_other_weights(run: Run, small: tuple[Path, Path], tmp_path: Path) -> None:
    import onnx

    assert run("export", *small, tmp_path / "x.onnx", "--half")[0] == 0
    model = onnx.load(tmp_path / "x.onnx")
    onnx.checker.check_model(model, full_check=True)
    kinds = {each.data_type for each in model.graph.initializer if len(each.dims) == 4}
    assert kinds == {onnx.TensorProto.FLOAT16}
    ends = [*model.graph.input, *model.graph.output]
    assert {each.type.tensor_type.elem_type for each in ends} == {onnx.TensorProto.FLOAT}


def test_the_shipped_model_by_name(run: Run, tmp_path: Path) -> None:
    code, printed, _ = run("export", "cspdet-nano", tmp_path / "x.onnx", "--outputs", "nms")
    assert code == 0
    assert "images (batch, 3, 288, 288) → detections, boxes, scores" in printed
    alike(cspdet.load(tmp_path / "x.onnx")(PICTURE), cspdet.load("cspdet-nano")(PICTURE))
    code, printed, _ = run("detect", tmp_path / "x.onnx", PICTURE, "--no-save")
    assert code == 0
    assert "cat: " in printed


def test_from_python(run: Run, small: tuple[Path, Path], tmp_path: Path) -> None:
    """A detector writes what the command writes, and its weights as they are by then."""
    detector, said = cspdet.load(*small), []
    detector.export(tmp_path / "x.onnx", outputs="nms", threshold=0.3, like="pjreddie", say=said.append)
    words = ("--outputs", "nms", "--thresh", ".3", "--like", "pjreddie")
    code, printed, _ = run("export", *small, tmp_path / "y.onnx", *words)
    assert code == 0
    assert (tmp_path / "x.onnx").read_bytes() == (tmp_path / "y.onnx").read_bytes()
    assert [line.replace("x.onnx", "y.onnx") for line in said] == printed.splitlines()
    detector.network.load_state_dict({key: 0 * value for key, value in detector.network.state_dict().items()})
    detector.export(tmp_path / "x.onnx")
    images = np.ones((1, 3, 96, 64), np.float32)
    assert [(found == 0.5).all() for found in open_file(tmp_path / "x.onnx").run(images).values()] == [True, False]
    for wrong, message in (
        ({"outputs": "masks"}, "there are no outputs `masks`"),
        ({"outputs": "nms", "nms": 1.5}, "`--nms` is 1.5; it goes from 0 to 1"),
        ({"threshold": 0.5}, "`--thresh` has no effect with `--outputs raw`"),
        ({"like": "keras"}, "there is no preprocessing `keras`"),
    ):
        with pytest.raises(cspdet.UsageError, match=message):
            detector.export(tmp_path / "z.onnx", **wrong)
    with pytest.raises(cspdet.UsageError, match="is an exported network"):
        cspdet.load(tmp_path / "x.onnx").export(tmp_path / "z.onnx")
    with pytest.raises(cspdet.UsageError, match="is no format of exported networks"):
        detector.export(tmp_path / "z.pt")
    assert not [*tmp_path.glob("z.*")]


def test_suppression_inside(run: Run, small: tuple[Path, Path], tmp_path: Path) -> None:
    """In a batch, and at the threshold and overlap that were asked for."""
    out = tmp_path / "x.onnx"
    assert run("export", *small, out, "--outputs", "nms", "--thresh", ".3", "--nms", ".2")[0] == 0
    opened = open_file(out)
    assert (opened.notes["cspdet.threshold"], opened.notes["cspdet.nms"]) == ("0.3", "0.2")
    found = opened.run(np.random.default_rng(3).random((3, 3, 96, 64), np.float32))
    there = found["detections"]
    assert there.shape[1] == 7
    assert {*there[:, 0]} == {0, 1, 2}
    for image in range(3):
        passing = np.where(found["scores"][image] > np.float32(0.3), found["scores"][image], 0)
        left = suppress(Candidates(found["boxes"][image], passing.max(1), passing), 0.2)
        assert np.count_nonzero(passing) > np.count_nonzero(left.scores) == (there[:, 0] == image).sum()
        rows = {(number, *left.xywh[row]) for row, number in zip(*np.nonzero(left.scores), strict=True)}
        assert rows == {(each[1], *each[3:]) for each in there[there[:, 0] == image]}


def test_another_size_of_a_free_one(run: Run, small: tuple[Path, Path], tmp_path: Path) -> None:
    for name in ("x.onnx", "x.xml"):
        assert run("export", *small, tmp_path / name, "--dynamic-size")[0] == 0
        alike(cspdet.load(tmp_path / name, width=128, height=64)(PICTURE), cspdet.load(*small, width=128, height=64)(PICTURE))


def test_what_the_file_says(run: Run, small: tuple[Path, Path], tmp_path: Path) -> None:
    for name in ("x.onnx", "x.xml"):
        out = tmp_path / name
        assert run("export", *small, out, "--like", "ultralytics", "--width", "128", "--dialect", "hank-ai")[0] == 0
        notes = {key.removeprefix("cspdet."): value for key, value in open_file(out).notes.items()}
        assert notes == {
            "version": cspdet.__version__,
            "cfg": SMALL,
            "dialect": "hank-ai",
            "names": "cat\ndog\nbird",
            "width": "128",
            "height": "96",
            "channels": "3",
            "like": "ultralytics",
            "letterbox": "1",
            "heads": "yolo yolo",
            "outputs": "raw",
        }
        expected = cspdet.load(*small, width=128, dialect="hank-ai")(PICTURE, like="ultralytics")
        alike(cspdet.load(out)(PICTURE), expected)
        assert cspdet.load(out, names=["a", "b", "c"]).names == ("a", "b", "c")


def test_the_authoring_language(run: Run, tmp_path: Path) -> None:
    """The file needs neither the variables nor the included files of the cfg."""
    text = SMALL.replace("filters=8", "filters=$(wide)", 1).replace("[net]", "[define]\nwide=4\n[net]", 1)
    files = with_weights(tmp_path / "x.cfg", text)
    assert run("export", *files, tmp_path / "x.onnx")[0] == 0
    expected = cspdet.load(*files)(PICTURE)
    files[0].unlink()
    alike(cspdet.load(tmp_path / "x.onnx")(PICTURE), expected)


@pytest.mark.filterwarnings("ignore:.*this head has 1 class")
def test_a_head_with_fewer_classes(run: Run, tmp_path: Path) -> None:
    text = SMALL.replace("filters=8\nsize=1", "filters=6\nsize=1").replace("classes=3\nnms_kind", "classes=1\nnms_kind")
    files = with_weights(tmp_path / "x.cfg", text)
    assert run("export", *files, tmp_path / "x.onnx", "--outputs", "boxes")[0] == 0
    alike(cspdet.load(tmp_path / "x.onnx")(PICTURE), cspdet.load(*files)(PICTURE))


@pytest.mark.parametrize(
    "words",
    [
        ("x.onnx",),
        ("x.xml",),
        ("x.pt2",),
        ("boxes.onnx", "--outputs", "nms"),
        ("boxes.xml", "--outputs", "boxes"),
        ("boxes.pt2", "--outputs", "boxes"),
    ],
    ids=lambda words: words[0],
)
def test_states_go_in_and_out(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    """And `cspdet` keeps them: picture after picture, and until a batch has another size."""
    files = with_weights(tmp_path / "a.cfg", RECURRENT)
    out = tmp_path / words[0]
    code, printed, err = run("export", *files, out, *words[1:])
    assert (code, err) == (0, "")
    given = "state_0 (batch, 4, 24, 16), state_1 (batch, 6, 12, 8), state_2 (batch, 6, 12, 8)"
    ends = printed.splitlines()[-1].split(" → ")
    assert ends[0] == f"{out}: images (batch, 3, 96, 64), {given}"
    assert ends[1].endswith("next_state_0, next_state_1, next_state_2")
    assert open_file(out).notes["cspdet.states"] == "4 24 16\n6 12 8\n6 12 8"
    detector, network = cspdet.load(out), cspdet.load(*files, engine="torch")
    assert network.network is not None  # the module runs
    pictures = [read_image(PICTURE), read_image(PICTURE)[::-1], read_image(ROOT / "docs" / "chelsea.jpg")]
    calls = [[0], [0], [1], [2, 0], [1, 1], [0]]
    expected = [network.detect([pictures[each] for each in call], threshold=0.2) for call in calls]
    assert not np.allclose(expected[0][0].confidence.max(), expected[1][0].confidence.max(), rtol=1e-3)
    for call, right in zip(calls, expected, strict=True):
        for one, other in zip(detector.detect([pictures[each] for each in call], threshold=0.2), right, strict=True):
            alike(one, other)


def test_states_of_vectors(run: Run, tmp_path: Path) -> None:
    """Those of the last layer are its output, too."""
    text = "[net]\ninputs=6\n[gru]\noutput=5\n[rnn]\noutput=3\nhidden=4\n[lstm]\noutput=4\n"
    files = with_weights(tmp_path / "a.cfg", text)
    for name in ("x.onnx", "x.xml", "x.pt2"):
        code, printed, err = run("export", *files, tmp_path / name)
        assert (code, err) == (0, "")
        ends = "state_2 (batch, 4), state_3 (batch, 4) → output_0, next_state_0, next_state_1, next_state_2, next_state_3"
        assert printed.splitlines()[-1].endswith(ends)
        compute = open_file(tmp_path / name).run
        x = np.ones((1, 6), np.float32)
        first, second = compute(x), compute(x)
        assert {*first} == {"output_0", *(f"next_state_{place}" for place in range(4))}
        np.testing.assert_array_equal(first["output_0"], first["next_state_3"])
        assert np.abs(first["output_0"] - second["output_0"]).max() > 0.01
        np.testing.assert_array_equal(open_file(tmp_path / name).run(x)["output_0"], first["output_0"])


def test_a_state_that_is_not_kept_is_found_out(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = with_weights(tmp_path / "a.cfg", RECURRENT)

    def forgetting(compute: Any, dimensions: Any) -> Any:
        return lambda images: compute(images, *(np.zeros((len(images), *each), np.float32) for each in dimensions))

    monkeypatch.setattr(checking, "remembering", forgetting)
    code, _, err = run("export", *files, tmp_path / "x.xml")
    assert code == 1
    assert "openvino computes another `output_0`" in err


def test_states_have_one_size(run: Run, tmp_path: Path) -> None:
    files = with_weights(tmp_path / "a.cfg", RECURRENT)
    code, _, err = run("export", *files, tmp_path / "x.onnx", "--dynamic-size")
    assert code == 2
    assert "layer 1, `[crnn]` in " in err
    assert "is computed for one size" in err


def test_networks_without_heads(run: Run, tmp_path: Path) -> None:
    text = SMALL[: SMALL.index("[yolo]")] + "[avgpool]\n[softmax]\n"
    files = with_weights(tmp_path / "x.cfg", text)
    code, _, err = run("export", *files, tmp_path / "x.onnx")
    assert (code, err) == (0, "")
    code, _, err = run("export", *files, tmp_path / "y.onnx", "--outputs", "boxes")
    assert code == 2
    assert "has no detection head" in err
    assert "--outputs raw" in err
    code, _, err = run("detect", tmp_path / "x.onnx", PICTURE)
    assert code == 2
    assert "has no detection head" in err


@pytest.mark.reference
@pytest.mark.parametrize("weights", reference_files("weights/*/*.weights"), ids=lambda path: path.stem)
def test_trained_networks(run: Run, weights: Path, tmp_path: Path) -> None:
    code, printed, err = run("export", weights.with_suffix(".cfg"), weights, tmp_path / "x.onnx", "--outputs", "boxes")
    assert code == 0, err
    assert "opencv: largest difference" in printed
    alike(cspdet.load(tmp_path / "x.onnx")(PICTURE), cspdet.load(weights.with_suffix(".cfg"), weights)(PICTURE))
