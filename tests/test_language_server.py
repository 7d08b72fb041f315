"""The language server, asked by a real client over standard input and output."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from lsprotocol import types
from pygls.lsp.client import LanguageClient

from tests.conftest import ROOT

T = TypeVar("T")

TEXT = """[define]
classes=2
[block]
name=cbl
filters=?
[convolutional]
name=inner
filters=$filters
size=3
pad=1
activation=mish
[end]
[net]
width=64
height=32
channels=3
[cbl]
name=stem
filters=16
[convolutional]
filters=$(3*(classes+5))
activation=linear
[route]
layers=-1,@stem
[route]
layers=-2
[yolo]
classes=$classes
mask=0,1,2
num=3
anchors=1,2,3,4,5,6
"""


class Client(LanguageClient):
    """Keeps what the server sends."""

    def __init__(self) -> None:
        super().__init__("tests", "1")
        self.published: asyncio.Queue[types.PublishDiagnosticsParams] = asyncio.Queue()

        @self.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def _(params: types.PublishDiagnosticsParams) -> None:
            self.published.put_nowait(params)

    async def diagnostics(self) -> list[types.Diagnostic]:
        return list((await asyncio.wait_for(self.published.get(), 20)).diagnostics)


def serve(folder: Path, talk: Callable[[Client, str], Awaitable[T]], text: str = TEXT) -> T:
    """Start the server, open a document, and talk."""
    path = folder / "X.cfg"
    path.write_text(text)

    async def session() -> T:
        client = Client()
        await client.start_io(sys.executable, "-m", "cspdet", "lsp", cwd=str(ROOT))
        await client.initialize_async(types.InitializeParams(capabilities=types.ClientCapabilities()))
        client.initialized(types.InitializedParams())
        item = types.TextDocumentItem(path.as_uri(), "darknet", 1, text)
        client.text_document_did_open(types.DidOpenTextDocumentParams(item))
        try:
            return await talk(client, path.as_uri())
        finally:
            await client.shutdown_async(None)
            client.exit(None)
            await client.stop()

    return asyncio.run(session())


def place(text: str, words: str, within: int = 0) -> types.Position:
    """The place of the first of these words, and so many characters further."""
    return position(text, text.index(words) + within)


def position(text: str, offset: int) -> types.Position:
    return types.Position(text.count("\n", 0, offset), offset - text.rfind("\n", 0, offset) - 1)


def at(words: str, within: int = 0, text: str = TEXT) -> Callable[[str], dict[str, Any]]:
    return lambda uri: {"text_document": types.TextDocumentIdentifier(uri), "position": place(text, words, within)}


def test_diagnostics_while_typing(tmp_path: Path) -> None:
    async def talk(client: Client, uri: str) -> list[list[types.Diagnostic]]:
        found = [await client.diagnostics()]
        for version, text in ((2, TEXT.replace("$(3*(classes+5))", "255")), (3, TEXT + "[yollo]\n"), (4, TEXT)):
            change = types.TextDocumentContentChangeWholeDocument(text)
            document = types.VersionedTextDocumentIdentifier(version, uri)
            client.text_document_did_change(types.DidChangeTextDocumentParams(document, [change]))
            found.append(await client.diagnostics())
        client.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri)))
        return [*found, await client.diagnostics()]

    first, changed, misspelt, again, closed = serve(tmp_path, talk)
    (head,) = changed
    assert (head.code, head.severity, head.source) == ("head-filters", types.DiagnosticSeverity.Error, "cspdet")
    assert head.message.startswith("a head with 2 classes and 3 anchors reads 21 channels, not 255\n")
    assert head.range.start == place(TEXT, "yolo]")
    assert head.related_information
    places = [each.location.range.start for each in head.related_information]
    assert place(TEXT, "0,1,2") in places
    assert place(TEXT, "$classes\n") in places
    assert misspelt[-1].code == "unknown-section"
    assert "help: did you mean `[yolo]`?" in misspelt[-1].message
    assert misspelt[-1].range == types.Range(position(TEXT, len(TEXT) + 1), position(TEXT, len(TEXT) + 6))
    assert first == again == []
    assert closed == []


def test_help_and_shapes(tmp_path: Path) -> None:
    places = {
        "a layer": at("[convolutional]\nfilters=$(3", 4),
        "an option": at("activation=linear", 3),
        "a word of choice": at("mish", 1),
        "a number of a layer": at("layers=-2", 8),
        "a name of a layer": at("@stem", 2),
        "a variable": at("$classes\nmask", 3),
        "a value": at("$(3*", 3),
        "a block": at("[cbl]", 2),
        "a parameter": at("filters=16", 2),
        "nothing": at("\n[net]", 0),
    }

    async def talk(client: Client, uri: str) -> dict[str, str]:
        found = {}
        for name, where in places.items():
            answer = await client.text_document_hover_async(types.HoverParams(**where(uri)))
            found[name] = answer.contents.value if answer and isinstance(answer.contents, types.MarkupContent) else ""
        return found

    said = serve(tmp_path, talk)
    assert said["a layer"].startswith("layer 1 `[convolutional]`: 64x32x16 → **64x32x21**")
    assert said["an option"].startswith("`activation=logistic`: ")
    assert said["a word of choice"].startswith("`mish`: ")
    assert said["a number of a layer"].startswith("layer 1 `[convolutional]`")
    assert said["a name of a layer"].startswith("layer 0 `[convolutional]`: 64x32x3 → **64x32x16**")
    assert said["a variable"] == "`classes` = `2`"
    assert said["a value"] == "`filters=21`"
    assert said["a block"].startswith("the block `cbl` with `filters=?`\n- layer 0")
    assert said["a parameter"] == "a parameter of the block `cbl`, which has no default"
    assert not said["nothing"]


@pytest.mark.parametrize(
    ("line", "some", "none"),
    [
        ("[conv", {"convolutional"}, {"maxpool"}),
        ("[", {"convolutional", "cbl", "define", "net"}, set()),
        ("[convolutional]\nfil", {"filters"}, {"size"}),
        ("[convolutional]\nactivation=", {"mish", "leaky"}, {"0"}),
        ("[convolutional]\npad=", {"0", "1"}, {"mish"}),
        ("[convolutional]\nfilters=8\n", {"size", "name", "repeat"}, {"filters"}),
        ("[route]\nlayers=-1,@", {"stem", "stem.inner"}, {"in"}),
        ("[route]\nlayers=@stem.", {"stem.inner"}, {"stem"}),
        ("[convolutional]\nfilters=$(3*cl", {"classes"}, {"max"}),
        ("[convolutional]\nfilters=$(m", {"max", "min"}, {"classes"}),
        ("[cbl]\n", {"filters", "name"}, {"size"}),
        ("# [conv", set(), {"convolutional"}),
    ],
)
def test_completion(tmp_path: Path, line: str, some: set[str], none: set[str]) -> None:
    text = TEXT + line

    async def talk(client: Client, uri: str) -> list[types.CompletionItem]:
        where = at(line, len(line), text)(uri)
        where["position"] = position(text, len(text))
        answer = await client.text_document_completion_async(types.CompletionParams(**where))
        assert isinstance(answer, types.CompletionList)
        return list(answer.items)

    items = serve(tmp_path, talk, text)
    labels = {each.label for each in items}
    assert some <= labels
    assert not none & labels
    for each in items:
        assert isinstance(each.text_edit, types.TextEdit)
        assert each.text_edit.range.end == position(text, len(text))
        begun = len(line) - max(line.rfind(sign) for sign in "[\n=@$(*") - 1
        assert each.text_edit.range.start == position(text, len(text) - begun)


def test_jumps(tmp_path: Path) -> None:
    (tmp_path / "more.inc").write_text("[block]\nname=far\n[dropout]\n[end]\n")
    text = "[include]\nfile=more.inc\n" + TEXT + "[far]\n[route]\nlayers=0\n[route]\nlayers=@stem.inner\n"
    places = {
        "a number": (at("layers=-2", 8, text), "X.cfg", text.index("convolutional]\nfilters=$(3")),
        "a name": (at("@stem", 2, text), "X.cfg", text.index("stem\nfilters=16")),
        "a name within a block": (at("@stem.inner", 9, text), "X.cfg", text.index("inner\n")),
        "a number of a block's layer": (at("layers=0", 7, text), "X.cfg", text.index("cbl]\nname=stem")),
        "a variable": (at("$classes\nmask", 3, text), "X.cfg", text.index("classes=2")),
        "a parameter": (at("=$filters", 3, text), "X.cfg", text.index("filters=?")),
        "a block": (at("[cbl]", 2, text), "X.cfg", text.index("cbl\nfilters=?")),
        "a file": (at("more.inc", 2, text), "more.inc", 0),
        "a block of another file": (at("[far]", 2, text), "more.inc", len("[block]\nname=")),
    }

    async def talk(client: Client, uri: str) -> dict[str, types.Location]:
        found = {}
        for name, (where, _, _) in places.items():
            answer = await client.text_document_definition_async(types.DefinitionParams(**where(uri)))
            assert isinstance(answer, types.Location), name
            found[name] = answer
        return found

    found = serve(tmp_path, talk, text)
    for name, (_, file, offset) in places.items():
        assert found[name].uri == (tmp_path / file).as_uri(), name
        content = (tmp_path / file).read_text()
        assert found[name].range.start == position(content, offset), name


def test_quick_fixes(tmp_path: Path) -> None:
    text = TEXT.replace("activation=linear", "activatoin=linear").replace("$(3*(classes+5))", "255")

    async def talk(client: Client, uri: str) -> list[Any]:
        whole = types.Range(position(text, 0), position(text, len(text)))
        context = types.CodeActionContext(await client.diagnostics())
        asked = types.CodeActionParams(types.TextDocumentIdentifier(uri), whole, context)
        return list(await client.text_document_code_action_async(asked) or [])

    (fix, *_) = serve(tmp_path, talk, text)
    assert "did you mean `activation`?" in fix.title
    ((edit,),) = fix.edit.changes.values()
    assert (edit.range.start, edit.range.end, edit.new_text) == (
        place(text, "activatoin"),
        place(text, "activatoin", 10),
        "activation",
    )


@pytest.mark.parametrize(
    ("where", "within", "new", "count"),
    [("@stem", 2, "root", 2), ("=$filters", 3, "", 0), ("$classes\nmask", 3, "kinds", 3), ("[cbl]", 2, "unit", 2)],
)
def test_renaming(tmp_path: Path, where: str, within: int, new: str, count: int) -> None:
    async def talk(client: Client, uri: str) -> Any:
        asked = types.RenameParams(**at(where, within)(uri), new_name=new or "x")
        try:
            return await client.text_document_rename_async(asked)
        except Exception as error:  # whatever the client makes of it
            return str(error)

    found = serve(tmp_path, talk)
    if not count:
        assert "there is no layer, variable or block" in found, "a parameter of a block is its own"
        return
    (edits,) = found.changes.values()
    assert len(edits) == count, "not the option of [yolo] that is called as a variable is"
    assert {each.new_text for each in edits} == {new}


def test_formatting(tmp_path: Path) -> None:
    text = "[net]\nwidth = 8\nheight=8\nchannels=3\n[dropout]\n"

    async def talk(client: Client, uri: str) -> list[types.TextEdit]:
        asked = types.DocumentFormattingParams(
            types.TextDocumentIdentifier(uri), types.FormattingOptions(4, insert_spaces=True)
        )
        return list(await client.text_document_formatting_async(asked) or [])

    (edit,) = serve(tmp_path, talk, text)
    assert edit.range == types.Range(position(text, 0), position(text, len(text)))
    assert edit.new_text == "[net]\nwidth=8\nheight=8\nchannels=3\n\n[dropout]\n"


def test_the_outline(tmp_path: Path) -> None:
    async def talk(client: Client, uri: str) -> list[Any]:
        asked = types.DocumentSymbolParams(types.TextDocumentIdentifier(uri))
        return list(await client.text_document_document_symbol_async(asked) or [])

    found = serve(tmp_path, talk)
    names = [each.name for each in found]
    assert names[:3] == ["[define]", "[block] cbl", "[convolutional] inner"]
    assert names[5] == "[cbl] stem"
    assert found[5].detail == "1 layer"
    assert found[6].detail.startswith("layer 1 [convolutional]: 64x32x16 → 64x32x21")


def test_without_its_package(run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "cspdet.language_server", raising=False)
    monkeypatch.setitem(sys.modules, "pygls.lsp.server", None)
    code, out, err = run("lsp")
    assert (code, out) == (2, "")
    assert err == "error: the language server needs the package `pygls`, which is not installed\n  help: pip install pygls\n"


def test_characters_outside_the_basic_plane(tmp_path: Path) -> None:
    """Clients count in UTF-16, where such a character has two units."""
    text = "[net]\nwidth=8\nheight=8\nchannels=3\n[dropout]\n\N{GRINNING FACE}\N{GRINNING FACE}=1\n"

    async def talk(client: Client, _: str) -> list[types.Diagnostic]:
        return await client.diagnostics()

    (found,) = serve(tmp_path, talk, text)
    assert found.range == types.Range(types.Position(5, 0), types.Position(5, 4))
