"""Detector and pictures → report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cspdet.data.pictures import Picture
from cspdet.evaluate.collect import Find, collect, finder
from cspdet.evaluate.judge import check_arguments, judge
from cspdet.evaluate.looking import Advance, Say, ignore, say
from cspdet.evaluate.report import Report

if TYPE_CHECKING:
    from cspdet.detector import Detector


def evaluate(
    detector: Detector | Find,
    pictures: Sequence[Picture],
    names: Sequence[str] = (),
    *,
    protocol: str = "darknet",
    iou_threshold: float = 0.5,
    threshold: float = 0.25,
    points: int | None = None,
    difficult: Mapping[int, Path] | None = None,
    batch: int = 1,
    like: str = "",
    letterbox: bool | None = None,
    advance: Advance = ignore,
    warn: Say = say,
) -> Report:
    """How good a detector is: `collect`, then `judge`, which say what the arguments are.

    Raises:
        UsageError: as they do.
    """
    check_arguments(protocol, iou_threshold, threshold, points)
    names = finder(detector, names).names
    seen = collect(
        detector,
        pictures,
        names,
        difficult=difficult,
        batch=batch,
        like=like,
        letterbox=letterbox,
        advance=advance,
        warn=warn,
    )
    return judge(seen, names, protocol=protocol, iou_threshold=iou_threshold, threshold=threshold, points=points)
