"""The language server: `assist` and the diagnostics, as editors ask for them (Language Server Protocol, on pygls)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer
from pygls.uris import from_fs_path, to_fs_path

from cspdet import __version__
from cspdet.assist.completion import Completion, completions
from cspdet.assist.hover import hover
from cspdet.assist.navigation import definition, name_at
from cspdet.assist.outline import outline
from cspdet.assist.page import Page
from cspdet.cfg.diagnostic import Diagnostic, Label
from cspdet.cfg.dialect import Dialect
from cspdet.cfg.source import Edit, Source, Span
from cspdet.errors import CspdetError
from cspdet.rewrite.fixing import reachable
from cspdet.rewrite.formatting import formatted
from cspdet.rewrite.renaming import rename

_SEVERITIES = {
    "error": types.DiagnosticSeverity.Error,
    "warning": types.DiagnosticSeverity.Warning,
    "note": types.DiagnosticSeverity.Information,
}
_KINDS = {
    "section": types.CompletionItemKind.Class,
    "block": types.CompletionItemKind.Struct,
    "option": types.CompletionItemKind.Property,
    "word": types.CompletionItemKind.EnumMember,
    "layer": types.CompletionItemKind.Reference,
    "variable": types.CompletionItemKind.Variable,
    "function": types.CompletionItemKind.Function,
}


class CfgServer(LanguageServer):
    """Holds the pages that are open."""

    def __init__(self, dialect: Dialect, *, notes: bool = False) -> None:
        """Read cfgs as `dialect` has it; show notes among the diagnostics if asked for."""
        super().__init__("cspdet", __version__)
        self.dialect = dialect
        self.notes = notes
        self._pages: dict[str, tuple[int | None, Page]] = {}

    def page(self, uri: str) -> Page:
        """The page of a document as it is now."""
        document = self.workspace.get_text_document(uri)
        known = self._pages.get(uri)
        if known is None or known[0] != document.version or document.version is None:
            known = (document.version, Page(Source(to_fs_path(uri) or uri, document.source), self.dialect))
            self._pages[uri] = known
        return known[1]

    def forget(self, uri: str) -> None:
        """The document was closed."""
        self._pages.pop(uri, None)

    def offset(self, uri: str, position: types.Position) -> int:
        """The place in the text."""
        return self.workspace.get_text_document(uri).offset_at_position(position)

    def location(self, uri: str, span: Span) -> types.Location:
        """Where a span is, be it in this document or another file."""
        here = self.page(uri).source
        if span.source.path == here.path:
            return types.Location(uri, self.range(span))
        return types.Location(from_fs_path(str(Path(span.source.path).resolve())) or uri, self.range(span))

    def range(self, span: Span) -> types.Range:
        """Lines and columns from 0, in the units that the client counts in."""
        (line, column), (end_line, end_column) = (span.source.place(offset) for offset in (span.start, span.end))
        lines = [span.source.line(number + 1) for number in range(end_line)]
        whole = types.Range(types.Position(line - 1, column - 1), types.Position(end_line - 1, end_column - 1))
        return self.workspace.position_codec.range_to_client_units(lines, whole)

    def edit(self, uri: str, edits: Iterable[Edit]) -> types.WorkspaceEdit:
        """Edits of a document, all together."""
        return types.WorkspaceEdit({uri: [types.TextEdit(self.range(span), text) for span, text in edits]})

    def publish(self, uri: str) -> None:
        """Send what is wrong with a document."""
        page = self.page(uri)
        shown = [each for each in page.diagnostics if self.notes or each.severity != "note"]
        found = [self.diagnostic(uri, each) for each in shown]
        document = self.workspace.get_text_document(uri)
        self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, found, document.version))

    def diagnostic(self, uri: str, found: Diagnostic) -> types.Diagnostic:
        """As the protocol has it. What is wrong in another file is said at the first line here."""
        page = self.page(uri)
        span = found.label.span
        related = [Label(use, "in the block that is used here") for use in span.through]
        if span.source.path != page.source.path:
            related.append(Label(span, found.label.text))
            span = span.through[0] if span.through else Span(page.source, 0, 0)
        others = [
            types.DiagnosticRelatedInformation(self.location(uri, each.span), each.text or found.message)
            for each in (*found.others, *related)
        ]
        parts = [found.message, found.label.text, f"help: {found.help}" if found.help else ""]
        return types.Diagnostic(
            self.range(span),
            "\n".join(part for part in parts if part),
            _SEVERITIES[found.severity],
            found.code,
            source="cspdet",
            related_information=others or None,
        )


def serve(dialect: Dialect, *, notes: bool = False) -> CfgServer:
    """A server that is ready to start."""
    server = CfgServer(dialect, notes=notes)

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def opened(ls: CfgServer, asked: types.DidOpenTextDocumentParams) -> None:
        ls.publish(asked.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def changed(ls: CfgServer, asked: types.DidChangeTextDocumentParams) -> None:
        ls.publish(asked.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def closed(ls: CfgServer, asked: types.DidCloseTextDocumentParams) -> None:
        uri = asked.text_document.uri
        ls.forget(uri)
        ls.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, []))

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def hovered(ls: CfgServer, asked: types.HoverParams) -> types.Hover | None:
        uri = asked.text_document.uri
        found = hover(ls.page(uri), ls.offset(uri, asked.position))
        if found is None:
            return None
        return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, found.text), ls.range(found.span))

    @server.feature(types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=["[", "@", "$", "=", "("]))
    def completed(ls: CfgServer, asked: types.CompletionParams) -> types.CompletionList:
        uri = asked.text_document.uri
        offset = ls.offset(uri, asked.position)
        page = ls.page(uri)
        return types.CompletionList(
            is_incomplete=False, items=[_item(ls, page, offset, each) for each in completions(page, offset)]
        )

    @server.feature(types.TEXT_DOCUMENT_DEFINITION)
    def defined(ls: CfgServer, asked: types.DefinitionParams) -> types.Location | None:
        uri = asked.text_document.uri
        span = definition(ls.page(uri), ls.offset(uri, asked.position))
        return ls.location(uri, span) if span else None

    @server.feature(types.TEXT_DOCUMENT_CODE_ACTION, types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.QuickFix]))
    def cured(ls: CfgServer, asked: types.CodeActionParams) -> list[types.CodeAction]:
        uri = asked.text_document.uri
        page, start, end = ls.page(uri), ls.offset(uri, asked.range.start), ls.offset(uri, asked.range.end)
        return [
            types.CodeAction(
                each.help or f"fix `{each.code}`",
                kind=types.CodeActionKind.QuickFix,
                diagnostics=[ls.diagnostic(uri, each)],
                edit=ls.edit(uri, each.edits),
                is_preferred=True,
            )
            for each in page.diagnostics
            if each.edits and reachable(each, page.source) and each.label.span.start <= end and start <= each.label.span.end
        ]

    @server.feature(types.TEXT_DOCUMENT_RENAME)
    def renamed(ls: CfgServer, asked: types.RenameParams) -> types.WorkspaceEdit | None:
        uri = asked.text_document.uri
        page = ls.page(uri)
        name = name_at(page, ls.offset(uri, asked.position))
        if name is None:
            return None
        try:
            found = rename(page.source, name, asked.new_name, ls.dialect)
        except CspdetError as error:
            raise JsonRpcInvalidParams(str(error)) from None
        if found.new:
            raise JsonRpcInvalidParams(f"`{asked.new_name}` would bring an error: {found.new[0].message}")
        return ls.edit(uri, found.edits)

    @server.feature(types.TEXT_DOCUMENT_FORMATTING)
    def laid_out(ls: CfgServer, asked: types.DocumentFormattingParams) -> list[types.TextEdit] | None:
        uri = asked.text_document.uri
        source = ls.page(uri).source
        try:
            text = formatted(source)
        except CspdetError:
            return None
        return [] if text == source.text else [types.TextEdit(ls.range(Span(source, 0, len(source.text))), text)]

    @server.feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    def outlined(ls: CfgServer, asked: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
        uri = asked.text_document.uri
        return [
            types.DocumentSymbol(each.name, types.SymbolKind.Class, ls.range(each.whole), ls.range(each.span), each.detail)
            for each in outline(ls.page(uri))
        ]

    return server


def _item(server: CfgServer, page: Page, offset: int, found: Completion) -> types.CompletionItem:
    place = server.range(Span(page.source, offset - found.begun, offset))
    return types.CompletionItem(
        found.text.rstrip("="),
        kind=_KINDS[found.kind],
        detail=found.detail or None,
        text_edit=types.TextEdit(place, found.text),
    )
