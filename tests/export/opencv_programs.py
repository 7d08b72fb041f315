"""What programs do with `cv2.dnn.readNetFromDarknet`: they run in OpenCV 4 with it, and in OpenCV 5 with what is in its place.

As a script it runs them in OpenCV 4.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np


class Case(NamedTuple):
    """How the net is read, and what it sees."""

    read: Callable[..., Any]
    cfg: str
    weights: str
    size: tuple[int, int]
    picture: Any
    # Another size, each side a multiple of the network's stride.
    other: tuple[int, int]

    @property
    def net(self) -> Any:
        return self.read(self.cfg, self.weights)

    def blob(self, size: tuple[int, int] | None = None) -> Any:
        return cv2.dnn.blobFromImage(self.picture, 1 / 255, size or self.size, swapRB=True, crop=False)


def ordered(net: Any) -> list[Any]:
    """All outputs, by their names."""
    return list(net.forward(sorted(net.getUnconnectedOutLayersNames())))


def names(case: Case) -> list[Any]:
    net = case.net
    net.setInput(case.blob())
    return ordered(net)


def names_of_indices(case: Case) -> list[Any]:
    net = case.net
    names = net.getLayerNames()
    net.setInput(case.blob())
    return list(net.forward([names[index - 1] for index in net.getUnconnectedOutLayers()]))


def names_of_flat_indices(case: Case) -> list[Any]:
    net = case.net
    names = np.array(net.getLayerNames())
    net.setInput(case.blob(), "data")
    return list(net.forward(names[net.getUnconnectedOutLayers().flatten() - 1].tolist()))


def no_name(case: Case) -> list[Any]:
    net = case.net
    net.setInput(case.blob(), name="data", scalefactor=1.0, mean=0)
    return [net.forward()]


def one_name_after_another(case: Case) -> list[Any]:
    net = case.net
    net.setInput(case.blob())
    return [net.forward(name) for name in sorted(net.getUnconnectedOutLayersNames())]


def keywords(case: Case) -> list[Any]:
    net = case.read(cfgFile=case.cfg, darknetModel=case.weights)
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    net.setPreferableTarget(cv2.dnn.DNN_TARGET_CPU)
    net.setInput(case.blob())
    return ordered(net)


def buffers(case: Case) -> list[Any]:
    net = case.read(np.fromfile(case.cfg, np.uint8), np.fromfile(case.weights, np.uint8))
    net.setInput(case.blob())
    return ordered(net)


def keywords_of_buffers(case: Case) -> list[Any]:
    net = case.read(bufferCfg=np.fromfile(case.cfg, np.uint8), bufferModel=np.fromfile(case.weights, np.uint8))
    net.setInput(case.blob())
    return ordered(net)


def batch(case: Case) -> list[Any]:
    net = case.net
    net.setInput(cv2.dnn.blobFromImages([case.picture, case.picture[:, ::-1]], 1 / 255, case.size, swapRB=True))
    found = ordered(net)
    net.setInput(case.blob())
    return [*found, *ordered(net)]


def other_size(case: Case) -> list[Any]:
    net = case.net
    net.setInput(case.blob(case.other))
    found = ordered(net)
    net.setInput(case.blob())
    return [*found, *ordered(net)]


def last_layer(case: Case) -> list[Any]:
    net = case.net
    layer = net.getLayer(net.getLayerId(net.getLayerNames()[-1]))
    assert layer.type == "Region"
    return []


def detection_model(case: Case) -> list[Any]:
    model = cv2.dnn_DetectionModel(case.net)
    model.setInputParams(size=case.size, scale=1 / 255, swapRB=True)
    return list(model.detect(case.picture, confThreshold=0.2, nmsThreshold=0.6))


def detection_model_across_classes(case: Case) -> list[Any]:
    model = cv2.dnn.DetectionModel(case.net)
    model.setInputParams(1 / 255, case.size, (0, 0, 0), True, False)
    model.setNmsAcrossClasses(True)
    return list(model.detect(case.picture, 0.1, 0.2))


def classification_model(case: Case) -> list[Any]:
    model = cv2.dnn.ClassificationModel(case.net)
    model.setInputParams(size=case.size, scale=1 / 255, swapRB=True)
    return [np.array(each) for each in model.classify(case.picture)]


ANY = (
    names,
    names_of_indices,
    names_of_flat_indices,
    no_name,
    one_name_after_another,
    keywords,
    buffers,
    keywords_of_buffers,
    batch,
    other_size,
)
PROGRAMS = {
    "detector": (*ANY, last_layer, detection_model, detection_model_across_classes),
    "classifier": (*ANY, classification_model),
    # Networks of one size.
    "fixed": tuple(program for program in ANY if program is not other_size),
}


def run(kind: str, case: Case) -> dict[str, Any]:
    """What each program gets, by its name and a number; of one that OpenCV 4 fails at, nothing."""
    found = {}
    for program in PROGRAMS[kind]:
        try:
            results = program(case)
        except cv2.error:
            if not cv2.__version__.startswith("4."):
                raise
        else:
            found |= {f"{program.__name__}.{number}": np.array(each) for number, each in enumerate(results)}
    return found


def main(kind: str, cfg: str, weights: str, picture: str, output: str, *sides: str) -> None:
    """All programs of a kind with OpenCV 4."""
    assert cv2.__version__.startswith("4.")
    width, height, *other = map(int, sides)
    case = Case(cv2.dnn.readNetFromDarknet, cfg, weights, (width, height), cv2.imread(picture), (other[0], other[1]))
    np.savez(output, **run(kind, case))


if __name__ == "__main__":
    main(*sys.argv[1:])
