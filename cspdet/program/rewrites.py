"""Programs that compute the same with fewer steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from cspdet.program.operations import LINEAR, Activate, Combine, Constant, Convolve, Function, Join, Operation, Program


def simplified(program: Program, functions: Sequence[Function] = ()) -> Program:
    """What outputs and states need, with activations of these functions taken into the convolutions before, and joins flat.

    To make one of convolutions that read the same, as the two at the start of a CSP stage do, was tried: yolov4 took 1 %
    longer by PyTorch and by OpenVINO, yolov4-csp 4 % less by the one and 1 % longer by the other. The output has to be parted
    again.
    """
    return flattened(with_activations(pruned(program), functions))


def pruned(program: Program) -> Program:
    """Only what the outputs and states need."""
    needed = {*program.results, *(before for before, _ in program.states)}
    for number in range(len(program.operations) - 1, -1, -1):
        if number in needed:
            needed.update(program.operations[number].inputs)
    return _kept(program, lambda number: number in needed)


def with_sums(program: Program) -> Program:
    """Sums are taken into one of the convolutions whose output they add, where nobody else reads that."""
    readers = program.readers()
    results = {*program.results}
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
                and source not in results
                and before.dimensions == program.dimensions(other) == operation.dimensions
                and not (other >= 0 and isinstance(operations[other], Constant))
            ):
                operations[number] = replace(before, inputs=(*before.inputs, other))
                break
    return pruned(replace(program, operations=tuple(operations)))


def with_activations(program: Program, functions: Sequence[Function]) -> Program:
    """Activations of these functions are taken into the convolution before, where nobody else reads that."""
    readers = program.readers()
    results = {*program.results}
    operations = [*program.operations]
    instead: dict[int, int] = {}
    for number, operation in enumerate(program.operations):
        match operation:
            case Activate(inputs=(source,)) if source >= 0 and operation.activation.function in functions:
                before = operations[source]
                alone = len(readers[source]) == 1 and source not in results
                if isinstance(before, Convolve) and before.activation == LINEAR and alone:
                    operations[source] = replace(before, activation=operation.activation)
                    instead[number] = source
    return pruned(_redirected(program, operations, instead))


def flattened(program: Program) -> Program:
    """Joins of joins along the same axis become one, where nobody else reads the inner ones."""
    readers = program.readers()
    results = {*program.results}
    operations = [*program.operations]
    for number, operation in enumerate(operations):
        if isinstance(operation, Join):
            inputs: list[int] = []
            for source in operation.inputs:
                inner = operations[source] if source >= 0 else None
                alone = source >= 0 and readers[source] == [number] and source not in results
                if isinstance(inner, Join) and inner.axis == operation.axis and alone:
                    inputs.extend(inner.inputs)
                else:
                    inputs.append(source)
            operations[number] = replace(operation, inputs=tuple(inputs))
    return pruned(replace(program, operations=tuple(operations)))


def _redirected(program: Program, operations: Sequence[Operation], instead: dict[int, int]) -> Program:
    """With other values read in place of some."""
    changed = tuple(replace(each, inputs=tuple(instead.get(source, source) for source in each.inputs)) for each in operations)
    return _renumbered(program, changed, lambda number: instead.get(number, number))


def _kept(program: Program, wanted: Callable[[int], bool]) -> Program:
    """Only the operations of these numbers."""
    place: dict[int, int] = {-1: -1}
    operations: list[Operation] = []
    for number, operation in enumerate(program.operations):
        if wanted(number):
            operations.append(replace(operation, inputs=tuple(place[source] for source in operation.inputs)))
            place[number] = len(operations) - 1
    return _renumbered(program, tuple(operations), place.__getitem__)


def _renumbered(program: Program, operations: tuple[Operation, ...], number: Callable[[int], int]) -> Program:
    """Other operations, among which outputs and states have other numbers."""
    states = tuple((number(before), number(after)) for before, after in program.states)
    return Program(program.input, operations, tuple(map(number, program.outputs)), states)
