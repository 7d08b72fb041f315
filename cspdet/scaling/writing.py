"""Cfg text with layers repeated or left out, all else as it was written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cspdet.cfg.source import Edit, Source, Span, edited
from cspdet.cfg.syntax import Entry, parse
from cspdet.comparison.meaning import REFERENCES
from cspdet.graph import Graph, Node
from cspdet.layers.base import attribute
from cspdet.scaling.stages import Stage


@dataclass(frozen=True, slots=True)
class _Instance:
    """A layer of the new text: which one it was, and which repetition of it this is, 0 being the layer itself."""

    index: int
    copy: int = 0


def repeated(graph: Graph, counts: Mapping[Stage, int]) -> tuple[str, tuple[int, ...]]:
    """The text of a plain cfg with every stage as often as `counts` says; and what each of its layers was before.

    What read the last output of a stage reads its new last output. References that have to change stay relative or absolute, as
    they were written.
    """
    writer = _Writer(graph, counts)
    return writer.text(), tuple(each.index for each in writer.instances)


def with_options(graph: Graph, values: Mapping[tuple[int, str], int]) -> str:
    """The text of a plain cfg with other numbers for options of layers, given by layer and option."""
    edits = []
    for (index, key), value in values.items():
        section = graph.nodes[index].section
        entry = _counting(graph.nodes[index], key)
        if entry:
            edits.append(Edit(entry.value_span, str(value)))
        else:
            end = graph.source.text.index("]", section.name_span.end) + 1
            edits.append(Edit(Span(graph.source, end, end), f"{_line_end(graph.source)}{key}={value}"))
    return edited(graph.source, edits)


def _counting(node: Node, key: str) -> Entry | None:
    """The entry of an option that counts."""
    found = [entry for entry in node.section.entries if entry.key == key]
    return found[0 if node.layer.dialect.duplicates == "first" else -1] if found else None


def _line_end(source: Source) -> str:
    return "\r\n" if "\r\n" in source.text else "\r" if "\r" in source.text and "\n" not in source.text else "\n"


class _Writer:
    def __init__(self, graph: Graph, counts: Mapping[Stage, int]) -> None:
        self.graph = graph
        self.counts = counts
        self.stage = {layer: stage for stage in counts for layer in stage.layers}
        self.joined = {join: stage for stage in counts for join in stage.joins}
        self.instances = [*self.all_instances()]
        self.place = {instance: place for place, instance in enumerate(self.instances)}

    def all_instances(self) -> Iterator[_Instance]:
        for node in self.graph.nodes:
            stage = self.stage.get(node.index)
            if stage is None:
                yield _Instance(node.index)
                continue
            count = self.counts[stage]
            if node.index < stage.first + stage.length * count:
                yield _Instance(node.index)
            if node.index == stage.end - 1:
                unit = range(stage.end - stage.length, stage.end)
                yield from (_Instance(layer, copy) for copy in range(1, count - stage.count + 1) for layer in unit)

    # -- references -----------------------------------------------------------------------------------------------------

    def now(self, index: int, reader: _Instance) -> int:
        """The number of the layer that takes the place of `index`, as `reader` sees it."""
        stage = self.stage.get(index)
        inside = self.stage.get(reader.index)
        if reader.copy and inside:
            start = inside.end - inside.length
            if index >= start:
                return self.place[_Instance(index, reader.copy)]
            if index == start - 1 and reader.copy > 0:
                return self.place[_Instance(inside.end - 1, reader.copy - 1)]
        if stage and (reader.index >= stage.end or reader.index < stage.first):
            return self.last(stage) if index == stage.end - 1 else self.place.get(_Instance(index), self.last(stage))
        return self.place[_Instance(index)]

    def last(self, stage: Stage) -> int:
        """The new last output of a stage."""
        more = self.counts[stage] - stage.count
        if more > 0:
            return self.place[_Instance(stage.end - 1, more)]
        return self.place[_Instance(stage.end - 1 + more * stage.length)]

    def named(self, reader: _Instance, name: str, sources: Sequence[int]) -> list[int]:
        """The new numbers of the layers that an option names."""
        stage = self.joined.get(reader.index)
        if stage is None or name != "layers":
            return [self.now(each, reader) for each in sources]
        # The outputs of all units, in the order in which those that were there stand.
        outputs = [*stage.outputs]
        latest_first = sources.index(outputs[-1]) < sources.index(outputs[-2])
        more = self.counts[stage] - stage.count
        new = [self.place[_Instance(outputs[-1], copy)] for copy in range(1, more + 1)]
        found = []
        for each in sources:
            if each in outputs and outputs.index(each) >= self.counts[stage]:
                continue
            own = self.place[_Instance(each)] if each in outputs else self.now(each, reader)
            if each == outputs[-1]:
                found += [*new[::-1], own] if latest_first else [own, *new]
            else:
                found.append(own)
        return found

    def edits(self, instance: _Instance) -> Iterator[Edit]:
        node = self.graph.nodes[instance.index]
        place = self.place[instance]
        for name, option in node.layer.options.items():
            entry = _counting(node, name) if option.kind in REFERENCES else None
            if entry is None:
                continue
            written = getattr(node.layer, attribute(name))
            now = self.named(instance, name, written.resolve(node.index))
            relative = [each < 0 for each in written]
            if len(now) != len(written):
                relative = [all(relative)] * len(now)
            texts = [str(target - place if back else target) for target, back in zip(now, relative, strict=True)]
            if texts != [str(each) for each in written]:
                comma = ", " if ", " in entry.value_span.text else ","
                yield Edit(entry.value_span, comma.join(texts))

    # -- text -----------------------------------------------------------------------------------------------------------

    def text(self) -> str:
        source = self.graph.source
        document, _ = parse(source, self.graph.dialect)
        end = _line_end(source)
        # Each section from its name to its last entry; what follows belongs to none, and is not repeated.
        bodies: list[tuple[int, int]] = []
        for line in document.lines:
            if line.kind == "header":
                bodies.append((line.span.start, line.span.end))
            elif line.kind in ("entry", "other") and bodies:
                bodies[-1] = bodies[-1][0], line.span.end
        bodies = bodies[1:]  # [net] stays
        parts: list[str] = []
        position = 0
        for instance in self.instances:
            start, stop = bodies[instance.index]
            body = _excerpt(source, start, stop, self.edits(instance))
            if instance.copy:
                parts += [end if parts[-1].endswith(end) else end * 2, body]
                continue
            # What stands before a layer stands before it still, also where the layers before it are left out.
            last = bodies[instance.index - 1][1] if instance.index else position
            parts += [source.text[max(position, last) : start] if instance.index else source.text[:start], body]
            position = stop
        return "".join([*parts, source.text[bodies[-1][1] :]])


def _excerpt(source: Source, start: int, stop: int, edits: Iterable[Edit]) -> str:
    """A part of a text, with edits made to it."""
    part = Source(source.path, source.text[start:stop])
    return edited(part, (Edit(Span(part, span.start - start, span.end - start), text) for span, text in edits))
