"""Notes of exported files that were changed or lost, and networks that are not what their notes say."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

import cspdet
from tests.export.conftest import PICTURE, RECURRENT, SMALL, with_weights

Run = Callable[..., tuple[int, str, str]]


def with_notes(path: Path, target: Path, **notes: str | None) -> Path:
    """A copy of an ONNX file with other notes, or without some."""
    import onnx

    model = onnx.load(path)
    there = {each.key: each.value for each in model.metadata_props}
    there |= {f"cspdet.{key}": value for key, value in notes.items() if value is not None}
    del model.metadata_props[:]
    for key, value in there.items():
        if notes.get(key.removeprefix("cspdet."), "") is not None:
            model.metadata_props.add(key=key, value=value)
    onnx.save(model, target)
    return target


@pytest.mark.parametrize("outputs", ["raw", "boxes"])
@pytest.mark.parametrize(
    ("key", "value", "fact", "cure"),
    [
        ("width", "128", "has the note `cspdet.width` as `128`, but its network takes 64", "set it to `64`"),
        ("height", "64", "has the note `cspdet.height` as `64`, but its network takes 96", "set it to `96`"),
        ("width", "abc", "has the note `cspdet.width` as `abc`, which is no number from 1 to 65536", "export it again"),
        ("width", "0", "has the note `cspdet.width` as `0`, which is no number from 1", "export it again"),
        ("height", "9" * 5000, "has the note `cspdet.height` as `" + "9" * 40 + "…`, which is no number", "export it again"),
        ("height", "", "has an empty note `cspdet.height`, which is no number from 1", "export it again"),
        ("width", None, "lacks the note `cspdet.width`", "export it again"),
        ("channels", "1", "has the note `cspdet.channels` as `1`, where its other notes make it `3`", "set it to `3`"),
        ("heads", "region", "has the note `cspdet.heads` as `region`, where its other", "set it to `yolo yolo`"),
        ("letterbox", "1", "has the note `cspdet.letterbox` as `1`, where its other notes make it `0`", "set it to `0`"),
        ("names", "cat\ndog", "has 2 names, the network 3 classes", "a line for each class"),
        ("names", "a\nb\nc\nd", "has 4 names, the network 3 classes", "a line for each class"),
        (
            "dialect",
            "tensorflow",
            "has the note `cspdet.dialect` as `tensorflow`, which this cspdet",
            "it knows alexeyab,",
        ),
        ("like", "keras", "has the note `cspdet.like` as `keras`, which this cspdet does not know", "it knows alexeyab,"),
        (
            "outputs",
            "masks",
            "has the note `cspdet.outputs` as `masks`, which this cspdet",
            "it knows raw, boxes, nms",
        ),
        (
            "dynamic_size",
            "1",
            "has the note `cspdet.dynamic_size`, but its network takes only a height of",
            "remove the note",
        ),
        ("cfg", "[net]\nwidth=no", "holds a cfg that cannot be run", "help"),
        ("cfg", SMALL.replace("channels=3", "channels=1"), "has the note `cspdet.channels` as `3`", "set it to `1`"),
    ],
)
def test_notes_that_were_changed(
    run: Run,
    small: tuple[Path, Path],
    tmp_path: Path,
    outputs: str,
    key: str,
    value: str | None,
    fact: str,
    cure: str,
) -> None:
    """The message names the file, the note and the cure."""
    assert run("export", *small, tmp_path / "x.onnx", "--outputs", outputs, "--no-check")[0] == 0
    path = with_notes(tmp_path / "x.onnx", tmp_path / "y.onnx", **{key: value})
    code, printed, err = run("detect", path, PICTURE, "--no-save")
    assert (code, printed) == (1, "")
    said, helped = err.splitlines()
    assert f"`{path}`" in said
    assert fact in said
    assert f"cspdet.{key}" in said or key == "cfg"
    assert cure in helped


def test_outputs_that_are_not_those_of_the_notes(run: Run, small: tuple[Path, Path], tmp_path: Path) -> None:
    for name, outputs, there, wanted in (("x", "raw", "boxes", "boxes"), ("y", "boxes", "raw", "output_0")):
        assert run("export", *small, tmp_path / f"{name}.onnx", "--outputs", outputs, "--no-check")[0] == 0
        path = with_notes(tmp_path / f"{name}.onnx", tmp_path / "z.onnx", outputs=there)
        code, _, err = run("detect", path, PICTURE, "--no-save")
        assert code == 1
        assert f"`{path}` has no output `{wanted}`, of which its notes `cspdet.outputs` and `cspdet.cfg` tell\n" in err
    fewer = (
        SMALL.replace("filters=16", "filters=14").replace("filters=8\nsize=1", "filters=7\nsize=1").replace("s=3\nn", "s=2\nn")
    )
    for name, output, right in (
        ("x", "`output_0` (…, 16, 12, 8)", "(…, 14, 12, 8)"),
        ("y", "`scores` (…, 576, 3)", "(…, …, 2)"),
    ):
        path = with_notes(tmp_path / f"{name}.onnx", tmp_path / "z.onnx", cfg=fewer, names="")
        code, _, err = run("detect", path, PICTURE, "--no-save")
        assert code == 1
        assert f"`{path}` has the output {output}, which its note `cspdet.cfg` makes {right}\n" in err


@pytest.mark.parametrize("ending", [".xml", ".pt2"])
@pytest.mark.filterwarnings("ignore")  # of PyTorch's own machinery
def test_notes_of_other_formats_that_were_changed(run: Run, small: tuple[Path, Path], tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"x{ending}"
    assert run("export", *small, path, "--no-check")[0] == 0
    data = path.read_bytes()

    def said(width: str) -> str:
        if ending == ".xml":
            path.write_bytes(data.replace(b'<cspdet.width value="64" />', width.encode()))
        else:
            value = width.partition('"')[2].rpartition('"')[0]
            with ZipFile(BytesIO(data)) as before, ZipFile(path, "w") as after:
                for name in before.namelist():
                    after.writestr(name, value.encode() if name.endswith("/cspdet.width") else before.read(name))
        code, _, err = run("detect", path, PICTURE, "--no-save")
        assert (code, len(err.splitlines())) == (1, 2)
        return err

    assert f"`{path}` has the note `cspdet.width` as `128`, but its network takes 64" in said('<cspdet.width value="128" />')
    assert f"`{path}` has the note `cspdet.width` as `abc`, which is no number" in said('<cspdet.width value="abc" />')
    if ending == ".xml":
        for none in ("", "<cspdet.width />", '<cspdet.width><a value="1" /></cspdet.width>'):
            assert f"`{path}` lacks the note `cspdet.width`" in said(none)
    else:
        assert f"`{path}` has an empty note `cspdet.width`" in said('""')


def test_notes_that_are_no_text(small: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.onnx"
    cspdet.load(*small).export(path, check=False)
    path.write_bytes(path.read_bytes().replace(b"cat\ndog", b"c\xfft\ndog"))
    with pytest.raises(cspdet.ExportError, match="has notes or names that are no text in UTF-8"):
        cspdet.load(path)
    path.write_bytes(path.read_bytes().replace(b"output_1", b"output_\xff"))
    with pytest.raises(cspdet.ExportError):
        cspdet.load(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("notes", ["", '<notes value="x" />', "<notes />"])
def test_xml_without_notes(run: Run, small: tuple[Path, Path], tmp_path: Path, notes: str) -> None:
    path = tmp_path / "x.xml"
    assert run("export", *small, path, "--no-check")[0] == 0
    path.write_text(re.sub("<notes>.*</notes>", notes, path.read_text(), flags=re.DOTALL))
    code, _, err = run("detect", path, PICTURE, "--no-save")
    assert code == 1
    assert f"`{path}` does not say how boxes come out of it: it was not written by `cspdet export`" in err


JOINED = """[net]
width=64
height=64
channels=3
[convolutional]
filters=8
size=3
stride=2
pad=1
activation=leaky
[maxpool]
size=2
stride=2
[upsample]
stride=2
[route]
layers=-1,0
[convolutional]
filters=8
size=1
activation=linear
[yolo]
mask=0
anchors=4,6
num=1
classes=3
"""


def test_sizes_that_the_layers_cannot_have(run: Run, tmp_path: Path) -> None:
    """Of the notes it is the file's fault, of the call the call's."""
    files, path = with_weights(tmp_path / "x.cfg", JOINED), tmp_path / "x.onnx"
    for words, message in (
        ((), f"`{path}` has the note `cspdet.width` as `66`, but its network takes 64\n"),
        (("--dynamic-size",), f"`{path}` has the notes `cspdet.width` and `cspdet.height` of another network: "),
    ):
        assert run("export", *files, path, "--no-check", *words)[0] == 0
        with_notes(path, path, width="66")
        code, _, err = run("detect", path, PICTURE, "--no-save")
        assert code == 1
        assert message in err
    with_notes(path, path, width="64")
    code, _, err = run("detect", path, PICTURE, "--no-save", "--width", "66")
    assert code == 2
    assert "66" in err


def test_a_size_that_was_not_asked_for(run: Run, small: tuple[Path, Path], tmp_path: Path) -> None:
    assert run("export", *small, tmp_path / "x.onnx", "--no-check")[0] == 0
    code, _, err = run("detect", tmp_path / "x.onnx", PICTURE, "--width", "32")
    assert code == 2
    assert "has a width of 64, not 32" in err


def test_a_network_that_stops_while_it_runs(run: Run, small: tuple[Path, Path], tmp_path: Path) -> None:
    import onnx

    path = tmp_path / "x.onnx"
    assert run("export", *small, path, "--no-check")[0] == 0
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    model.graph.node.insert(0, onnx.helper.make_node("Cast", ["images"], ["single"], to=onnx.TensorProto.FLOAT))
    model.graph.node[1].input[0] = "single"
    onnx.save(model, path)
    code, _, err = run("detect", path, PICTURE, "--no-save")
    assert code == 1
    assert err.startswith(f"error: `{path}` cannot be run: Unexpected input data type")
    assert len(err.splitlines()) == 2


def test_states_that_were_changed(run: Run, tmp_path: Path) -> None:
    import onnx

    files = with_weights(tmp_path / "a.cfg", RECURRENT)
    assert run("export", *files, tmp_path / "x.onnx", "--no-check")[0] == 0
    model = onnx.load(tmp_path / "x.onnx")
    (note,) = (each for each in model.metadata_props if each.key == "cspdet.states")
    for value, message in (
        ("4 24 x", "has the note `cspdet.states` as `4 24 x`, which is not numbers"),
        ("4 24 16\n6 12 8", "has other states than its note `cspdet.states` says"),
        ("4 24 16\n6 12 8\n6 12 8\n6 12 8", "has other states than its note `cspdet.states` says"),
        ("4 24 16\n6 12 8\n6 12 9", "has other states than its note `cspdet.states` says"),
    ):
        note.value = value
        onnx.save(model, tmp_path / "y.onnx")
        code, _, err = run("detect", tmp_path / "y.onnx", PICTURE, "--no-save")
        assert code == 1
        assert message in err
