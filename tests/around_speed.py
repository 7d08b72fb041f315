"""How fast everything around the network is: `python -m tests.around_speed [MODEL FOLDER]`.

Prints the minimum and median, in milliseconds, of rounds in which all versions take turns: suppression, decoding of heads, and
JPEG to tensor. With a model and a folder of images, also how busy the network is while `cspdet detect` looks at all of them:
the time in it by the time from the first image to the last.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from cspdet import boxes
from cspdet.boxes import Candidates
from cspdet.cfg.source import Source
from cspdet.cli import main as cspdet
from cspdet.image import decode_image
from cspdet.layers.base import Shape
from cspdet.layers.head import Head
from cspdet.models import find
from cspdet.preprocess import PROFILES, prepare, scaled
from cspdet.rules import load
from cspdet.stages import Stages
from tests import slow

SIDE = 416


def race(about: str, rounds: int = 7, **versions: Callable[[], Any]) -> None:
    """Let versions take turns, after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in versions}
    for _ in range(rounds + 1):
        for name, version in versions.items():
            started = time.perf_counter()
            version()
            times[name].append(1000 * (time.perf_counter() - started))
    found = [f"{name} {min(each[1:]):.2f} (median {statistics.median(each[1:]):.2f})" for name, each in times.items()]
    print(f"{about}: {', '.join(found)} ms")


def crowd(count: int, objects: int, classes: int = 80) -> Candidates:
    """Boxes around objects, each of the object's class, a tenth of another one; or anywhere, where there are no objects."""
    generator = np.random.default_rng(1)
    places = generator.uniform(0, 1, (objects or count, 4)) * [1, 1, 0.3, 0.3] + [0, 0, 0.03, 0.03]
    number = generator.integers(0, classes, len(places))
    at = generator.integers(0, objects, count) if objects else np.arange(count)
    one = np.where(generator.uniform(size=count) < 0.1, generator.integers(0, classes, count), number[at])
    scores = np.zeros((count, classes), np.float32)
    scores[np.arange(count), one] = generator.uniform(0.25, 1, count)
    xywh = (places[at] * (1 + 0.08 * generator.normal(size=(count, 4)))).astype(np.float32)
    return Candidates(xywh, scores.max(1), scores)


def suppression() -> None:
    for count, objects in ((25_000, 200), (25_000, 0), (2_000, 40), (300, 10), (100, 5)):
        found = crowd(count, objects)
        for kind in ("default", "greedynms"):
            where = f"around {objects} objects" if objects else "anywhere"
            race(
                f"suppression, {kind}, {count} boxes {where}",
                3 if count > 9999 else 15,
                slow=lambda found=found, kind=kind: slow.suppress(found, 0.45, kind),
                fast=lambda found=found, kind=kind: boxes.suppress(found, 0.45, kind),
            )


def decoding() -> None:
    """The heads of YOLOv4, which see little."""
    graph, _ = load(Source.read(find("yolov4").cfg))
    generator = np.random.default_rng(1)
    heads: list[tuple[Head, Any]] = []
    for node in graph.heads:
        assert isinstance(node.layer, Head)
        heads.append((node.layer, generator.normal(-9, 2.5, node.output.dimensions).astype(np.float32)))

    def decoded(objects: Any, threshold: float) -> None:
        boxes.objects = objects
        for head, raw in heads:
            head.decode(raw, graph.input, threshold)

    fast = boxes.objects
    for threshold in (0.25, 0.005):
        race(
            f"decoding, YOLOv4 at {graph.input}, above {threshold}",
            15,
            slow=lambda threshold=threshold: decoded(slow.objects, threshold),
            fast=lambda threshold=threshold: decoded(fast, threshold),
        )
    boxes.objects = fast


def pictures() -> None:
    """A picture of 1920x1080 with some structure and some noise."""
    generator = np.random.default_rng(1)
    coarse = generator.integers(0, 256, (68, 120, 3), np.uint8)
    picture = cv2.resize(coarse, (1920, 1080), interpolation=cv2.INTER_CUBIC)
    picture = cv2.add(picture, generator.integers(0, 12, picture.shape, np.uint8))
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
    shape, reverse = Shape(3, SIDE, SIDE), picture[:, :, ::-1]
    race(
        f"JPEG of {len(data) // 1024} KiB decoded",
        opencv=lambda: decode_image(data, "x"),
        exact=lambda: decode_image(data, "x", exact=True),
    )
    for name in ("alexeyab-opencv", "alexeyab"):
        profile = PROFILES[name]
        race(
            f"scaled to {SIDE}, {name}",
            slow=lambda profile=profile: np.ascontiguousarray(slow.scale(reverse, SIDE, SIDE, profile).transpose(2, 0, 1)),
            fast=lambda profile=profile: scaled(reverse, SIDE, SIDE, profile),
        )
    tensors = {
        name.replace("-", "_"): lambda profile=profile: prepare(
            decode_image(data, "x", exact=profile.scaling == "darknet"), shape, profile
        )
        for name, profile in PROFILES.items()
    }
    race("JPEG to tensor", **tensors)


def busy(model: str, folder: str) -> None:
    """Run the command, with a clock around the network."""
    infer, spans = Stages.infer, []

    def timed(self: Stages, prepared: Any) -> Any:
        started = time.perf_counter()
        found = infer(self, prepared)
        spans.append((started, time.perf_counter()))
        return found

    for like in ("alexeyab-opencv", "alexeyab"):
        spans.clear()
        Stages.infer = timed  # type: ignore[method-assign]
        with contextlib.redirect_stdout(io.StringIO()):
            code = cspdet(["detect", "--model", model, folder, "--no-save", "--like", like])
        Stages.infer = infer  # type: ignore[method-assign]
        wall = spans[-1][1] - spans[0][0]
        share = sum(end - start for start, end in spans) / wall
        each = 1000 * statistics.median(end - start for start, end in spans)
        rate = len(spans) / wall
        print(f"{model}, {like}: {rate:.1f} images/s, network busy {share:.1%}, {each:.2f} ms each (exit {code})")


def main(words: list[str]) -> None:
    if words:
        busy(*words)
        return
    suppression()
    decoding()
    pictures()


if __name__ == "__main__":
    main(sys.argv[1:])
