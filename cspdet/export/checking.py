"""Whether an exported file computes what the network computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cspdet.boxes import Candidates, suppress
from cspdet.errors import ExportError
from cspdet.export.model import Model, raw_program
from cspdet.export.states import remembering
from cspdet.program.operations import Program
from cspdet.program.states import dimensions_of
from cspdet.rules import load
from cspdet.text import brief

Floats = NDArray[np.float32]
Run = Callable[[Floats], Mapping[str, Floats]]
Opener = Callable[[Path], Callable[..., Mapping[str, Floats]]]

BATCHES = (1, 2)
# Runs of each batch, where the second reads the states that the first has left.
RUNS_WITH_STATES = 2
# Shares of an output's largest value.
TOLERANCE = 1e-3
HALF_TOLERANCE = 2e-2


def check(model: Model, path: Path, runners: Mapping[str, Opener]) -> Iterator[str]:
    """Run a file with every package that can, on fixed random images; a line for each.

    The first of the runners must run it; of others, it is said where they cannot.

    Raises:
        ExportError: it cannot be run, or computes something else.
    """
    cases = [*_cases(model)]
    for place, (package, opener) in enumerate(runners.items()):
        if find_spec(package) is None:
            yield f"{_title(package)} is not installed: not run there"
            continue
        try:
            run: Run = remembering(opener(path), dimensions_of(model.program))
            found = [run(images) for images, _ in cases]
        except Exception as error:  # every package has its own kinds
            reason = brief(" ".join(str(error).split()), 200)
            if place == 0:
                raise ExportError(f"{_title(package)} cannot run the exported file: {reason}") from None
            yield f"{_title(package)} cannot run it: {reason}"
            continue
        yield f"{_title(package)}: {_compared(model, package, cases, found)}"


def _title(package: str) -> str:
    return {"cv2": "opencv"}.get(package, package)


def _cases(model: Model) -> Iterator[tuple[Floats, list[Floats]]]:
    """Images, and the network's own outputs."""
    from cspdet.engines.torch import make

    random = np.random.default_rng(0)
    programs: list[Program] = [model.program]
    if model.options.dynamic_size:
        graph = model.graph
        vertical, horizontal = graph.stride
        width, height = graph.input.width + 2 * horizontal, graph.input.height + vertical
        programs.append(raw_program(load(graph.source, graph.dialect, width=width, height=height)[0], model.arrays))
    for program in programs:
        engine = make(program)
        for batch in np.repeat(BATCHES, RUNS_WITH_STATES if program.states else 1):
            images = random.random((batch, *program.input), np.float32)
            yield images, engine(images)


def _compared(model: Model, package: str, cases: Any, found: list[Mapping[str, Floats]]) -> str:
    """The largest difference in each output, in words."""
    limit = HALF_TOLERANCE if model.options.half else TOLERANCE
    largest: dict[str, float] = {}
    for (_, expected), outputs in zip(cases, found, strict=True):
        for name, right in zip(model.names, expected, strict=True):
            there = outputs[name]
            if there.shape != right.shape:
                raise ExportError(f"{_title(package)} puts out {there.shape} as `{name}`, not {right.shape}")
            apart, scale = difference(right, there)
            # Boxes and scores are shares: of noise, the largest score is next to nothing.
            scale = max(scale, 1.0) if name in ("boxes", "scores") else scale
            if not apart <= limit * scale:
                message = (
                    f"{_title(package)} computes another `{name}`: {apart:.3g} apart, where the largest value is {scale:.3g}"
                )
                cure = f"{'leave `--half` out, or ' if model.options.half else ''}`--no-check` writes the file all the same"
                raise ExportError(message, cure)
            largest[name] = max(largest.get(name, 0.0), apart)
        if "detections" in outputs:
            _check_detections(model, package, outputs)
    words = ", ".join(f"{name} {value:.1e}" for name, value in largest.items())
    return f"largest difference {words}, in batches of {' and '.join(map(str, BATCHES))}"


def difference(right: Floats, there: Floats) -> tuple[float, float]:
    """How far two arrays lie apart at most, and the largest finite value of the first; equal infinite values do not differ."""
    same = (right == there) | (np.isnan(right) & np.isnan(there))
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.where(same, 0, np.abs(right.astype(np.float64) - there))
    scale = np.abs(right[np.isfinite(right)]).max(initial=0)
    return float(np.nan_to_num(apart, nan=np.inf).max(initial=0)), float(scale)


def _check_detections(model: Model, package: str, outputs: Mapping[str, Floats]) -> None:
    """See that the suppression inside leaves what cspdet's leaves of the file's own boxes."""
    threshold = np.float32(model.options.threshold)
    for image, (boxes, scores) in enumerate(zip(outputs["boxes"], outputs["scores"], strict=True)):
        passing = np.where(scores > threshold, scores, np.float32(0))
        left = suppress(Candidates(boxes, passing.max(1, initial=0), passing), model.options.nms)
        row, number = np.nonzero(left.scores)
        expected = np.column_stack([number, left.scores[row, number], left.xywh[row]])
        there = outputs["detections"]
        there = there[there[:, 0] == image, 1:]
        if not np.array_equal(expected[np.lexsort(expected.T)], there[np.lexsort(there.T)]):
            raise ExportError(f"{_title(package)} suppresses other boxes: {len(there)} are left instead of {len(expected)}")
