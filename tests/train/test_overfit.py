"""Training works: eight photographs are learnt by heart, from nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from cspdet.data.description import read_description
from cspdet.data.labels import read_labels
from cspdet.data.pictures import Picture, read_list
from cspdet.network import Network
from cspdet.train.loader import batches
from cspdet.train.processes import Team
from cspdet.train.score import Scorer
from cspdet.train.tasks import Detecting
from cspdet.train.trainer import Settings, Trainer
from tests.train.material import graph_of

NET = """[net]
width=128
height=128
channels=3
batch=8
subdivisions=1
learning_rate=.01
learning_rate_min=.0001
policy=sgdr
momentum=.9
decay=.0001
burn_in=20
power=1
max_batches=180
flip=0
"""
CONVOLUTION = "[convolutional]\nbatch_normalize=1\nfilters={}\nsize=3\nstride={}\npad=1\nactivation=leaky\n"
HEAD = """[convolutional]
filters=33
size=1
activation=linear
[yolo]
mask=0,1,2
anchors=20,25, 50,60, 95,110
num=3
classes=6
ignore_thresh=.7
iou_loss=ciou
iou_normalizer=.2
iou_thresh=.3
jitter=0
"""
LAYERS = ((16, 2), (32, 2), (64, 2), (64, 1), (128, 2), (128, 1))


def eight(pictures: list[Picture]) -> list[Picture]:
    """Eight pictures that show every class."""
    chosen: list[Picture] = []
    shown: set[int] = set()
    for picture in pictures:
        here = {int(number) for number in read_labels(picture.labels).rows[:, 0]}
        if here - shown or len(shown) == 6:
            chosen.append(picture)
            shown |= here
        if len(chosen) == 8:
            break
    assert len(shown) == 6
    return chosen


@pytest.mark.reference
def test_eight_photographs_are_learnt_by_heart(reference: Path, tmp_path: Path) -> None:
    description = read_description(reference / "data" / "animals6" / "animals6.data")
    pictures = eight(read_list(description.list_of("train")))
    graph = graph_of(NET + "".join(CONVOLUTION.format(*each) for each in LAYERS) + HEAD)
    trainer = Trainer(graph, Network(graph), Detecting(graph, pictures, 0), Settings(tmp_path, "X", workers=0))
    feed = batches(trainer.task.samples, trainer.jobs(0), 0)
    score = Scorer(pictures, description.names, Team())
    assert score(Network(graph)) < 0.2
    for _ in range(graph.net.max_batches):
        trainer.step(feed)
    network = Network(graph)
    network.load_state_dict(trainer.result())
    assert score(network.eval()) >= 0.95
