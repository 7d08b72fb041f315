"""Programs that compute the same with fewer steps."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

import numpy as np

from cspdet.program.operations import LINEAR, Activate, Combine, Constant, Convolve, Function, Join, Operation, Part, Program


def simplified(program: Program, functions: Sequence[Function] = (), *, merge: bool = True) -> Program:
    """The program with activations of these functions taken into the convolutions before them.

    With `merge`, convolutions that read the same in the same way become one. What nothing needs goes in any case.
    """
    program = with_activations(pruned(program), functions)
    return merged(program) if merge else program


def pruned(program: Program) -> Program:
    """Only what the outputs need."""
    needed = {*program.outputs}
    for number in range(len(program.operations) - 1, -1, -1):
        if number in needed:
            needed.update(program.operations[number].inputs)
    return _kept(program, lambda number: number in needed)


def with_sums(program: Program) -> Program:
    """Sums are taken into one of the convolutions whose output they add, where nobody else reads that."""
    readers = program.readers()
    outputs = {*program.outputs}
    operations = [*program.operations]
    for number, operation in enumerate(program.operations):
        if not isinstance(operation, Combine) or operation.kind != "add":
            continue
        for source, other in (operation.inputs, operation.inputs[::-1]):
            before = operations[source] if source >= 0 else None
            if (
                isinstance(before, Convolve)
                and before.activation == LINEAR
                and before.inputs[1:] == ()
                and readers[source] == [number]
                and source not in outputs
                and before.dimensions == program.dimensions(other) == operation.dimensions
                and not (other >= 0 and isinstance(operations[other], Constant))
            ):
                operations[number] = replace(before, inputs=(*before.inputs, other))
                break
    return pruned(replace(program, operations=tuple(operations)))


def with_activations(program: Program, functions: Sequence[Function]) -> Program:
    """Activations of these functions are taken into the convolution before, where nobody else reads that."""
    readers = program.readers()
    outputs = {*program.outputs}
    operations = [*program.operations]
    instead: dict[int, int] = {}
    for number, operation in enumerate(program.operations):
        match operation:
            case Activate(inputs=(source,)) if source >= 0 and operation.activation.function in functions:
                before = operations[source]
                alone = len(readers[source]) == 1 and source not in outputs
                if isinstance(before, Convolve) and before.activation == LINEAR and alone:
                    operations[source] = replace(before, activation=operation.activation)
                    instead[number] = source
    return pruned(_redirected(program, operations, instead))


def merged(program: Program) -> Program:
    """Convolutions of the same input with kernels of the same geometry become one, whose output is then parted.

    CSP stages begin with two such. The input is read once, and the matrix product is wider.
    """
    alike: dict[Hashable, list[int]] = {}
    for number, operation in enumerate(program.operations):
        if isinstance(operation, Convolve) and operation.groups == 1 and len(operation.inputs) == 1:
            geometry = (operation.weight.shape[1:], operation.stride, operation.border, operation.dilation)
            alike.setdefault((operation.inputs, geometry, operation.activation), []).append(number)
    groups = {numbers[0]: numbers for numbers in alike.values() if len(numbers) > 1}
    members = {number for numbers in groups.values() for number in numbers}
    operations: list[Operation] = []
    place: dict[int, int] = {-1: -1}
    for number, operation in enumerate(program.operations):
        if number in groups:
            parts = [each for each in (program.operations[one] for one in groups[number]) if isinstance(each, Convolve)]
            weight, bias = (np.concatenate([getattr(each, name) for each in parts]) for name in ("weight", "bias"))
            inputs = tuple(place[source] for source in operation.inputs)
            dimensions = (len(weight), *operation.dimensions[1:])
            operations.append(replace(parts[0], inputs=inputs, dimensions=dimensions, weight=weight, bias=bias))
            whole, start = len(operations) - 1, 0
            for one, part in zip(groups[number], parts, strict=True):
                stop = start + len(part.weight)
                operations.append(Part((whole,), part.dimensions, part.layer, axis=0, start=start, stop=stop))
                place[one] = len(operations) - 1
                start = stop
        elif number not in members:
            operations.append(replace(operation, inputs=tuple(place[source] for source in operation.inputs)))
            place[number] = len(operations) - 1
    return Program(program.input, tuple(operations), tuple(place[number] for number in program.outputs))


def flattened(program: Program) -> Program:
    """Joins of joins along the same axis become one, where nobody else reads the inner ones."""
    readers = program.readers()
    outputs = {*program.outputs}
    operations = [*program.operations]
    for number, operation in enumerate(operations):
        if isinstance(operation, Join):
            inputs: list[int] = []
            for source in operation.inputs:
                inner = operations[source] if source >= 0 else None
                alone = source >= 0 and readers[source] == [number] and source not in outputs
                if isinstance(inner, Join) and inner.axis == operation.axis and alone:
                    inputs.extend(inner.inputs)
                else:
                    inputs.append(source)
            operations[number] = replace(operation, inputs=tuple(inputs))
    return pruned(replace(program, operations=tuple(operations)))


def _redirected(program: Program, operations: Sequence[Operation], instead: dict[int, int]) -> Program:
    """With other values read in place of some."""
    changed = tuple(replace(each, inputs=tuple(instead.get(source, source) for source in each.inputs)) for each in operations)
    return Program(program.input, changed, tuple(instead.get(number, number) for number in program.outputs))


def _kept(program: Program, wanted: Callable[[int], bool]) -> Program:
    """Only the operations of these numbers."""
    place: dict[int, int] = {-1: -1}
    operations: list[Operation] = []
    for number, operation in enumerate(program.operations):
        if wanted(number):
            operations.append(replace(operation, inputs=tuple(place[source] for source in operation.inputs)))
            place[number] = len(operations) - 1
    return Program(program.input, tuple(operations), tuple(place[number] for number in program.outputs))
