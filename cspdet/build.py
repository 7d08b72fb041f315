"""Sections + layers → the graph: references resolved, shapes known. The one place where text and layers meet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cspdet.binding import bind
from cspdet.cfg.definitions import KEYWORDS
from cspdet.cfg.diagnostic import Diagnostic, Findings, Label, Severity
from cspdet.cfg.dialect import ALEXEYAB, DIALECTS, Dialect
from cspdet.cfg.expand import Expansion, expand
from cspdet.cfg.source import Edit, Source, Span
from cspdet.cfg.syntax import Section, parse
from cspdet.errors import UsageError
from cspdet.graph import Graph, Node, place, setting
from cspdet.layers import BY_NAME
from cspdet.layers.base import Layer, Problem, Shape, attribute
from cspdet.layers.head import Head
from cspdet.layers.net import Net
from cspdet.layers.option import LARGEST_SIDE
from cspdet.layers.route import Route
from cspdet.layers.tree import WithTree
from cspdet.text import brief, nearest, slip

# Darknet counts in 32 bits. These bounds lie below that, so that whatever passes can also be allocated on ordinary machines.
LARGEST_OUTPUT = 2**29
LARGEST_ARRAYS = 2**29
LARGEST_TOTAL = 2**30
LARGEST_DEPTH = 20_000


def build(
    source: Source,
    dialect: Dialect = ALEXEYAB,
    *,
    width: int | None = None,
    height: int | None = None,
    channels: int | None = None,
) -> tuple[Graph | None, tuple[Diagnostic, ...]]:
    """The graph, and what is wrong with the text and its sections.

    `width`, `height` and `channels` replace those of [net]. Where there are errors, the graph has only the layers that are
    known, or is None where there is no input: good for further checks, not for running. `rules.load` is the way to a graph
    that runs.

    Raises:
        UsageError: `width`, `height` or `channels` is impossible, or the source sets a variable that is not there.
    """
    size = {name: value for name, value in (("width", width), ("height", height), ("channels", channels)) if value is not None}
    for name, value in size.items():
        if not 1 <= value <= LARGEST_SIDE:
            raise UsageError(f"a {name} of {value} was asked for", f"from 1 to {LARGEST_SIDE} is possible")
    document, diagnostics = parse(source, dialect)
    expansion, found = expand(document, dialect, BY_NAME, Net.names)
    if not expansion.complete:
        return None, (*diagnostics, *found)
    whole = all(each.severity != "error" for each in found)
    builder = _Builder(expansion, dialect, size, whole)
    graph = builder.build()
    return graph, (*diagnostics, *found, *builder.diagnostics)


def net_of(sections: Sequence[Section]) -> Section | None:
    """The section about the input; all others are layers. It is the first, or else the first that has its name."""
    if sections and sections[0].name.lower() in Net.names:
        return sections[0]
    return next((section for section in sections if section.name in Net.names), None)


class _Builder(Findings):
    """Binds and shapes one section after the other; goes on after an error, so that all are found at once."""

    def __init__(self, expansion: Expansion, dialect: Dialect, size: dict[str, int], whole: bool) -> None:
        super().__init__()
        self.expansion = expansion
        self.document = expansion.document
        self.dialect = dialect
        self.size = size
        # Whether blocks and includes became all that they stand for.
        self.whole = whole
        self.input: Shape | None = None
        self.nodes: list[Node] = []
        self.layers: dict[int, Layer] = {}
        self.sections: list[Section] = []
        # Of each layer so far, the output and its stride; None where they are unknown.
        self.outputs: list[tuple[Shape, tuple[float, float]] | None] = []
        self.parameters = 0

    def place(self, section: Section, option: str | None) -> Span:
        """Where an option was written, or the section's name."""
        return place(section, option, self.dialect) if option else section.name_span

    def report_problem(self, problem: Problem, section: Section) -> None:
        """A problem that a layer found with itself."""
        others = tuple(
            Label(self.place(self.sections[index], option), text)
            for index, option, text in problem.others
            if 0 <= index < len(self.sections)
        )
        span = self.place(section, problem.option)
        edits = tuple(setting(section, option, text, self.dialect) for option, text in problem.cures)
        self.report(problem.severity, problem.code, problem.message, span, problem.consequence, problem.help, others, edits)

    # -- sections -----------------------------------------------------------------------------------------------------

    def build(self) -> Graph | None:
        sections = self.document.sections
        if not sections:
            if self.expansion.authored and self.whole:
                start = Span(self.document.source, 0, 1)
                cure = "a network starts with `[net]`; files of definitions are for `[include]`"
                self.report("error", "no-sections", "there are definitions, and no section of a network", start, "", cure)
            return None
        net_section = self.find_net(sections)
        net = self.bind_net(net_section) if net_section and not net_section.spoilt else None
        self.sections = [section for section in sections if section is not net_section]
        if len(self.sections) > LARGEST_DEPTH:
            message, last = f"{len(self.sections):,} layers", self.sections[LARGEST_DEPTH]
            self.report("error", "too-many-layers", message, last.name_span, "", f"at most {LARGEST_DEPTH:,} are possible")
            return None
        for index, section in enumerate(self.sections):
            self.outputs.append(self.add(index, section))
        if not self.sections and self.whole:
            cure = "add a section, say `[convolutional]`"
            self.report("error", "no-layers", "the file has no layer", sections[0].name_span, "", cure)
        if net is None or net_section is None or self.input is None:
            return None
        names = self.expansion.names if self.expansion.authored else None
        return Graph(net, net_section, self.input, tuple(self.nodes), self.document.source, self.dialect, names)

    def find_net(self, sections: tuple[Section, ...]) -> Section | None:
        """The section about the input, which must be the first."""
        first, later = sections[0], net_of(sections)
        if later and first.name not in BY_NAME and slip(first.name, KEYWORDS):
            return later  # it is no layer that stands before [net]; its name is looked at with those of the others
        if later is first:
            if first.name not in Net.names:
                self.report_unknown_section(first)
            return first
        message = "the first section must be `[net]`"
        if later:
            others = (Label(later.name_span, "here it is"),)
            self.report("error", "net-first", message, first.name_span, "Darknet stops here", "move `[net]` to the top", others)
        else:
            cure = "put `[net]` with `width`, `height` and `channels` before it"
            self.report("error", "net-first", message, first.name_span, "Darknet stops here", cure)
        return later

    def bind_net(self, section: Section) -> Net:
        net = bind(Net, section, -1, self.dialect, self)
        assert isinstance(net, Net)
        for name, value in self.size.items():
            setattr(net, name, value)
        for problem in net.check():
            self.report_problem(problem, section)
        self.input = net.input_shape()
        if self.input and self.input.size > LARGEST_OUTPUT:
            message = f"the input would have {self.input.size:,} numbers"
            cure = f"at most {LARGEST_OUTPUT:,} are possible; is a number mistyped?"
            self.report("error", "too-large", message, section.name_span, "", cure)
            self.input = None
        return net

    def add(self, index: int, section: Section) -> tuple[Shape, tuple[float, float]] | None:
        """Bind and shape one layer; its output and stride, or None where they are unknown."""
        kind = BY_NAME.get(section.name)
        if kind is Net:
            consequence = "Darknet makes a layer without meaning of it"
            self.report("error", "net-twice", "a second `[net]`", section.name_span, consequence, "keep one, at the top")
            return None
        if kind is None:
            self.report_unknown_section(section)
            return None
        if section.spoilt:
            return None
        if self.dialect.name not in kind.known_to:
            self.report_foreign_section(kind, section)
        errors = self.errors
        layer = bind(kind, section, index, self.dialect, self)
        if isinstance(layer, WithTree):
            layer.find_tree(Path(self.document.source.path))
        if isinstance(layer, Head):
            layer.find_map(Path(self.document.source.path))
        self.check_references(layer, section)
        if self.errors > errors:
            return None
        layer.look_back(self.layers)
        sources = layer.sources()
        read = [(self.input, (1.0, 1.0)) if source < 0 else self.outputs[source] for source in sources]
        inputs = tuple(each[0] for each in read if each and each[0])
        if len(inputs) < len(sources):
            return None  # what it reads is in error already
        for problem in self.problems(layer, section, sources, inputs):
            self.report_problem(problem, section)
        if self.errors > errors:
            return None
        (down, right), (more_down, more_right) = read[0][1] if read[0] else (1.0, 1.0), layer.reduction()
        shares = next((refs[0] for name, refs in layer.mentions() if name == "share_index"), None)
        output, stride = layer.shape(*inputs), (down * more_down, right * more_right)
        node = Node(index, layer, section, sources, inputs, output, shares, stride)
        if not self.fits_memory(node):
            return None
        self.nodes.append(node)
        self.layers[index] = layer
        return output, stride

    def problems(self, layer: Layer, section: Section, sources: tuple[int, ...], inputs: tuple[Shape, ...]) -> list[Problem]:
        """What is wrong with the layer, given what it reads."""
        for source, x in zip(sources, inputs, strict=True):
            if layer.reads_images and not x.image:
                message = f"`[{section.name}]` reads images, but gets a vector of {x.channels}"
                cure = "put the layer before the one that makes a vector of the image"
                if any(node.index == source and isinstance(node.layer, Route) for node in self.nodes):
                    cure = "make the maps that are joined there equal in width and height"
                others = ((source, None, "this layer puts out a vector"),)
                return [Problem("needs-image", None, message, cure, "error", "Darknet stops here", others)]
        return list(layer.check(*inputs))

    def report_unknown_section(self, section: Section) -> None:
        known = [*BY_NAME, *KEYWORDS, *self.expansion.blocks]
        near = nearest(section.name, known)
        cure = f"did you mean `[{near}]`?" if near else "`cspdet layers` lists all sections"
        if near and near.lower() == section.name.lower():
            cure += " names are case-sensitive"
        message = f"there is no section `[{brief(section.name)}]`"
        consequence = "Darknet does not know it and crashes"
        certain = near and near == slip(section.name_span.text.strip(), known)
        edits = (Edit(section.name_span, near),) if near and certain else ()
        self.report("error", "unknown-section", message, section.name_span, consequence, cure, edits=edits)

    def report_foreign_section(self, kind: type[Layer], section: Section) -> None:
        homes = [DIALECTS[name].title if name in DIALECTS else name for name in kind.known_to]
        message = f"`[{section.name}]` is a section of {' and '.join(homes)}"
        consequence = f"{self.dialect.title} does not know it"
        severity: Severity = "error" if self.dialect.strict else "note"
        self.report(severity, "foreign-section", message, section.name_span, consequence)

    def check_references(self, layer: Layer, section: Section) -> None:
        """Every layer that the options name must lie before this one."""
        for name, resolved in layer.mentions():
            written = getattr(layer, attribute(name))
            for raw, index in zip(written, resolved, strict=True):
                if 0 <= index < layer.index:
                    continue
                if index == layer.index:
                    message = f"`{name}` names the layer itself"
                elif index < 0:
                    message = f"`{name}={raw}` of layer {layer.index} is layer {index}, before the first"
                else:
                    message = f"`{name}` names layer {index}, but this is layer {layer.index} and can only read earlier ones"
                cure = f"absolute numbers go from 0 to {layer.index - 1}, relative ones from -1 to -{layer.index}"
                cure = cure if layer.index else "the first layer can only read the input; remove it"
                consequence = "Darknet reads memory that is not the network's"
                self.report("error", "bad-reference", message, self.place(section, name), consequence, cure)

    def fits_memory(self, node: Node) -> bool:
        """Whether the layer stays within the bounds."""
        arrays = node.parameters
        self.parameters += arrays
        for amount, what, limit in (
            (max(node.output.size, node.listed.size), "outputs", LARGEST_OUTPUT),
            (arrays, "weights", LARGEST_ARRAYS),
            (self.parameters, "weights in all", LARGEST_TOTAL),
        ):
            if amount > limit:
                cure = f"at most {limit:,} are possible; is a number mistyped?"
                self.report("error", "too-large", f"the layer would have {amount:,} {what}", node.section.name_span, "", cure)
                return False
        return True
