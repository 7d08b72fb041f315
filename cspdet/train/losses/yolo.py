"""The loss of [yolo], as Darknet computes it or as its formulas have it.

What is trained (`yolo_layer.c:process_batch`), for every image:

- The objectness of a box is trained towards 0, unless one of its classes is likelier than .25 and its best overlap with a
  truth exceeds `ignore_thresh`. Then it is left alone; with `objectness_smooth`, it is trained towards that overlap.
- A box that overlaps a truth by more than `truth_thresh` is trained towards that truth in all it has: place, class, and
  objectness 1, or with `objectness_smooth` the square of the overlap, for the class too.
- A truth is assigned the box of the cell its centre is in and of the anchor, among those of all heads, that is most alike in
  size, if this head has it; with `iou_thresh` below 1 also the boxes of all anchors more alike than that. These learn its
  place, its class, and objectness 1.

`delta` is minus the gradient. Darknet's differs from what its formulas say in these ways, which `gradient=darknet` keeps:

- With `objectness_smooth`, assigned boxes keep what their objectness was to learn before: 0, where their overlap is small.
  (`exact` keeps this, too.)
- Of several truths in one box, all train its place, and their gradients are added up; all their classes are to be found. With
  `iou_thresh` below 1, the sum is divided by the number of classes whose delta is positive: those assigned, and with
  `label_smooth_eps` those that are less likely than half of it. (`exact`: by the number of classes assigned.)
- Without `counters_per_class`, `cls_normalizer` does nothing. With them, it is a factor on the delta of the first class that a
  box is assigned, unless that is assigned twice. (`exact`: it is a factor on the class loss.)
- What the box loss says of x, in cells for `mse` and in images for the others, goes to the raw x, without the derivative of
  the logistic and `scale_x_y`; what it says of the width is multiplied by e^t, not by the anchor's share of the image, and with
  `new_coords` by nothing. `overlap_gradient` says more. (`exact`: all derivatives are there.)
- With `new_coords`, objectness and classes are probabilities already; their delta is target - p, that of half the squared
  error. (`exact`: that of the cross-entropy, which times the derivative of the logistic before is target - p again.)
- `focal_loss` is the derivative of one through a softmax, which is not there. It counts for the first class of a box only,
  knows neither smoothing nor multipliers, and a second class gets target - p. (`exact`: the focal loss through the logistic.)
- `max_delta` limits what each truth asks of a box's place, but not with `mse`. (`exact`: all of it.)

What is not finite counts as 0. Darknet lets some through: what `mse` makes of it, and the objectness, if the image has no
truths. Left out is what comes of rounding: where p equals its target in single precision, Darknet takes a class, or a box,
for one that is not trained yet, and an overlap may exceed a `truth_thresh` of 1. So is what other kinds of training use: the
options of tracking and embeddings, adversarial training, and the rejection of labels that [net] can ask for.
"""

from __future__ import annotations

from torch import Tensor

from cspdet.layers.base import Shape
from cspdet.layers.yolo import Yolo
from cspdet.train.losses.base import Loss, Progress
from cspdet.train.losses.objective import Objective


def yolo_loss(head: Yolo, raw: Tensor, truth: Tensor, network: Shape, progress: Progress) -> Loss:  # noqa: ARG001 - as all losses
    """The loss of a [yolo] head.

    Args:
        head: the head; its options say everything about the loss.
        raw: what it reads, (N, anchors (5 + classes), H, W).
        truth: (N, M, 5) rows of class, x, y, width, height, relative to the image, in the labels' order; class -1 fills up.
        network: the network's input, now.
        progress: not used.

    Returns:
        The loss. `parts` holds `count` and `iou`, the number of assigned boxes and the sum of their intersection over union,
        and what of the loss is due to `objectness`, `class` and `box`: sums of squares of the delta, or with `gradient=exact`
        the terms themselves. `cost` is what Darknet prints: the sum of all squares; but if `iou_loss` is not `mse` and
        `show_details` not 0, what assigned boxes lack of the overlap, on average, times `iou_normalizer`, plus the squares of
        objectness and classes times `obj_normalizer`. With `gradient=exact` it is the sum of the terms.

    Raises:
        UsageError: the file that `map` names was not found.
    """
    return Objective(head, raw, truth, network).loss()
