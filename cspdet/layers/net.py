"""The [net] section: input, training schedule, augmentation."""

from __future__ import annotations

from collections.abc import Iterator

from cspdet.layers.base import Layer, Problem, Shape, option
from cspdet.layers.option import LARGEST_SIDE, OWN

POLICIES = ("constant", "steps", "step", "exp", "poly", "sigmoid", "random", "sgdr")


class Net(Layer, names=("net", "network"), common=False):
    """The input of the network and everything about its training. The first section of every cfg.

    Only `width`, `height`, `channels`, `inputs` and `letter_box` matter to detection. Source: `parser.c:parse_net_options`.
    """

    width: int = option(0, "width of the input in pixels", at_least=0, at_most=LARGEST_SIDE)
    height: int = option(0, "height of the input in pixels", at_least=0, at_most=LARGEST_SIDE)
    channels: int = option(0, "channels of the input: 3 for colour, 1 for grey", at_least=0, at_most=LARGEST_SIDE)
    inputs: int = option(0, "length of the input vector, for networks without images; width x height x channels", at_least=0)
    letter_box: bool = option(False, "fit pictures in by padding them instead of stretching")
    batch: int = option(1, "images per training step", at_least=1, training=True)
    subdivisions: int = option(1, "parts of the batch that are processed one after the other", at_least=1, training=True)
    time_steps: int = option(1, "frames per sequence, for recurrent layers", at_least=1, training=True)

    learning_rate: float = option(0.001, "learning rate at the start", training=True)
    learning_rate_min: float = option(0.00001, "learning rate at the end of an `sgdr` cycle", training=True)
    momentum: float = option(0.9, "momentum", training=True)
    decay: float = option(0.0001, "weight decay", training=True)
    max_batches: int = option(0, "training steps", training=True)
    max_epochs: int = option(0, "passes over the data; an old spelling that Darknet no longer reads", training=True)
    policy: str = option(
        "constant", "how the learning rate falls", choices=(*POLICIES, "sig"), fallback="constant", training=True
    )
    burn_in: int = option(0, "steps in which the learning rate rises at the start", training=True)
    power: float = option(4.0, "exponent of `poly` and of the burn-in", training=True)
    steps: tuple[int, ...] = option((), "steps at which the learning rate changes, for `steps`", training=True)
    scales: tuple[float, ...] = option((), "factors on the learning rate at these steps", training=True)
    seq_scales: tuple[float, ...] = option((), "factors on the sequence length at these steps", training=True)
    step: int = option(1, "steps between changes, for `step` and `sigmoid`", training=True)
    scale: float = option(1.0, "factor on the learning rate at each of them", training=True)
    gamma: float = option(1.0, "base of `exp` and `sigmoid`", training=True)
    sgdr_cycle: int = option(0, "steps of the first `sgdr` cycle; `max_batches` if 0", training=True)
    sgdr_mult: int = option(2, "factor from one `sgdr` cycle to the next", training=True)
    adam: bool = option(False, "train with Adam instead of momentum", training=True)
    B1: float = option(0.9, "first Adam rate", training=True)
    B2: float = option(0.999, "second Adam rate", training=True)
    eps: float = option(0.000001, "Adam epsilon", training=True)
    ema_alpha: float = option(0.0, "keep a moving average of the weights with this rate", training=True)
    ema_decay: float = option(
        0.0,
        "keep a moving average of the weights at every step, and write that",
        at_least=0,
        at_most=1,
        training=True,
        known_to=OWN,
    )
    loss_scale: float = option(1.0, "factor on the loss, for half precision", training=True)
    label_smooth_eps: float = option(0.0, "label smoothing", training=True)
    try_fix_nan: bool = option(False, "replace NaN weights during training", training=True)

    angle: float = option(0.0, "largest rotation in degrees (classifiers)", training=True)
    aspect: float = option(1.0, "largest change of the aspect ratio (classifiers)", training=True)
    saturation: float = option(1.0, "largest factor on the saturation", training=True)
    exposure: float = option(1.0, "largest factor on the brightness", training=True)
    hue: float = option(0.0, "largest shift of the hue", training=True)
    flip: int = option(1, "mirror half of the images", training=True)
    blur: int = option(0, "blur the background of half of the images", training=True)
    gaussian_noise: int = option(0, "add noise to half of the images", training=True)
    max_crop: int = option(0, "longer side of a random crop (classifiers); twice the width if absent", training=True)
    min_crop: int = option(0, "shorter side of a random crop (classifiers); the width if absent", training=True)
    center: bool = option(False, "crop the centre instead", training=True, known_to=("pjreddie",))
    random: int = option(0, "resize the network during training (classifiers)", training=True)
    resize_step: int = option(32, "step between the sizes of multi-scale training", training=True)
    mosaic: int = option(0, "join four images into one", training=True)
    mosaic_bound: int = option(0, "limit the parts of a mosaic by their objects", training=True)
    least_visible: float = option(
        0.0, "share of a box that must be seen for it to count", at_least=0, at_most=1, training=True, known_to=OWN
    )
    mixup: int = option(0, "blend two images", training=True)
    cutmix: int = option(0, "paste a part of another image in (classifiers)", training=True)

    track: bool = option(False, "train on sequences", training=True)
    augment_speed: int = option(2, "largest step between the frames of a sequence", training=True)
    sequential_subdivisions: int = option(1, "subdivisions that continue one sequence", training=True)
    contrastive: int = option(0, "contrastive training", training=True)
    contrastive_jit_flip: int = option(0, "mirror one of a contrastive pair", training=True)
    contrastive_color: int = option(0, "recolour one of a contrastive pair", training=True)
    unsupervised: int = option(0, "training without labels", training=True)
    attention: int = option(0, "show what the network looks at during training", training=True)
    adversarial_lr: float = option(0.0, "rate of adversarial training", training=True)
    weights_reject_freq: int = option(0, "steps between rejections of weights", training=True)
    equidistant_point: int = option(0, "step from which an equidistant loss is used", training=True)
    badlabels_rejection_percentage: float = option(0.0, "share of labels to reject as bad", training=True)
    num_sigmas_reject_badlabels: float = option(0.0, "deviations beyond which a label is bad", training=True)
    dynamic_minibatch: bool = option(False, "enlarge the batch where the image is small", training=True)
    max_chart_loss: float = option(20.0, "top of the loss chart", training=True)
    optimized_memory: int = option(0, "keep parts of training outside the GPU", training=True)
    workspace_size_limit_MB: float = option(1024.0, "memory for cuDNN", training=True)  # noqa: N815 - Darknet's spelling
    use_cuda_graph: bool = option(False, "record the network as a CUDA graph", training=True)
    show_receptive_field: bool = option(False, "print the receptive field of every layer")
    seen: int = option(0, "images seen; Darknet keeps it in the weights file and ignores it here", training=True)

    def input_shape(self) -> Shape | None:
        """What the first layer reads; None where the section does not say."""
        if self.width and self.height and self.channels:
            return Shape(self.channels, self.height, self.width)
        return Shape.vector(self.inputs) if self.inputs else None

    def check(self, *inputs: Shape) -> Iterator[Problem]:
        """What the section lacks, and what of its training schedule does not fit together."""
        if self.input_shape() is None and not self.refused & {"width", "height", "channels", "inputs"}:
            missing = [name for name in ("width", "height", "channels") if not getattr(self, name)]
            given = [name for name in missing if name in self.given]
            message = f"the network has no input: `{'`, `'.join(missing)}` {'are' if len(missing) > 1 else 'is'} missing or 0"
            yield Problem(
                "no-input", given[0] if given else None, message, "for example `width=416`, `height=416`, `channels=3`"
            )
        yield from self._check_schedule()

    def _check_schedule(self) -> Iterator[Problem]:
        if self.batch % self.subdivisions:
            message = f"`batch={self.batch}` does not divide into {self.subdivisions} subdivisions"
            steps = self.batch // self.subdivisions * self.subdivisions
            consequence = f"Darknet trains on {steps} images a step" if steps else "Darknet trains on 1 image at a time"
            yield Problem(
                "batch-subdivisions",
                "subdivisions" if "subdivisions" in self.given else "batch",
                message,
                "make `batch` a multiple of `subdivisions`",
                "warning",
                consequence,
            )
        if self.policy == "sig":
            cure = "write `policy=sigmoid`"
            yield Problem(
                "unknown-word",
                "policy",
                "Darknet spells this policy `sigmoid`",
                cure,
                "warning",
                "Darknet keeps the learning rate constant",
                cures=(("policy", "sigmoid"),),
            )
        if self.policy == "steps":
            yield from self._check_steps()

    def _check_steps(self) -> Iterator[Problem]:
        for name in ("steps", "scales"):
            if name not in self.given:
                yield Problem(
                    "steps-scales",
                    "policy",
                    f"`policy=steps` needs `{name}`",
                    f"add `{name}=…`",
                    "warning",
                    "Darknet refuses to train or load the file",
                )
        if not self.steps or not self.scales:
            return
        if len(self.steps) != len(self.scales):
            message = f"{len(self.steps)} `steps` but {len(self.scales)} `scales`"
            consequence = (
                "Darknet reads past the end of `scales`" if len(self.steps) > len(self.scales) else "Darknet ignores the rest"
            )
            yield Problem("steps-scales", "scales", message, "give one scale for each step", "warning", consequence)
        falling = [each for before, each in zip(self.steps, self.steps[1:], strict=False) if each <= before]
        if falling:
            yield Problem(
                "steps-order",
                "steps",
                f"step {falling[0]} comes after a later one",
                "sort `steps`",
                "warning",
                "Darknet applies the scales in the order written and stops at the first step to come",
            )
        beyond = [each for each in self.steps if self.max_batches and each >= self.max_batches]
        if beyond:
            yield Problem(
                "steps-beyond-end",
                "steps",
                f"step {beyond[0]} is not reached: `max_batches={self.max_batches}`",
                "80 % and 90 % of `max_batches` are usual",
                "warning",
                "the learning rate does not fall there",
            )
