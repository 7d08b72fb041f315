"""What each head is trained towards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from cspdet.layers.base import Layer, Shape
from cspdet.layers.gaussian_yolo import GaussianYolo
from cspdet.layers.region import Region
from cspdet.layers.yolo import Yolo
from cspdet.train.losses.base import Loss, Progress
from cspdet.train.losses.gaussian_yolo import gaussian_yolo_loss
from cspdet.train.losses.region import region_loss
from cspdet.train.losses.yolo import yolo_loss

# Head, what it reads, truth, the network's input, progress → its loss; `yolo_loss` says more.
LossFunction = Callable[[Any, Tensor, Tensor, Shape, Progress], Loss]

# The loss of each head. [detection], the head of YOLOv1, and the contrastive embedding have none.
LOSSES: dict[type[Layer], LossFunction] = {Yolo: yolo_loss, GaussianYolo: gaussian_yolo_loss, Region: region_loss}
