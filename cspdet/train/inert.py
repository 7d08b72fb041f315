"""Training options that are read and checked, but that this trainer does nothing with, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cspdet.cfg.source import Span
from cspdet.graph import Graph, place
from cspdet.layers.base import Layer, attribute

_TRACKING = "tracking is not trained here"
_CONTRASTIVE = "contrastive training is not part of this trainer"
_CLASSIFIERS = "it acts on classifiers only"
_SEQUENCES = "sequences of frames are not trained here"
_MEMORY = "PyTorch manages its memory itself"
_GPU = "PyTorch schedules the GPU itself"
_REJECTION = "no labels or weights are rejected"

# What acts on one kind of network only: options of [net] that detectors, and that classifiers do not use.
NOT_OF_DETECTORS = {
    "angle": _CLASSIFIERS,
    "aspect": _CLASSIFIERS,
    "max_crop": _CLASSIFIERS,
    "min_crop": _CLASSIFIERS,
    "random": "heads have an option of that name; [net]'s acts on classifiers only",
    "cutmix": _CLASSIFIERS,
    "label_smooth_eps": "heads have an option of that name; [net]'s acts on classifiers only",
}
NOT_OF_CLASSIFIERS = dict.fromkeys(("blur", "gaussian_noise", "letter_box", "least_visible"), "it acts on detectors only")

# By section ("" stands for all): option and reason. Options that nothing reads in Darknet either are not listed.
INERT: dict[str, dict[str, str]] = {
    "net": {
        "center": "crops are drawn at random",
        "max_epochs": "write `max_batches`",
        "loss_scale": "bfloat16 needs no scaled loss",
        "mosaic_bound": "boxes are always cut at the edges of their part of the mosaic",
        "track": _SEQUENCES,
        "augment_speed": _SEQUENCES,
        "sequential_subdivisions": _SEQUENCES,
        "time_steps": _SEQUENCES,
        "seq_scales": _SEQUENCES,
        "contrastive": _CONTRASTIVE,
        "contrastive_jit_flip": _CONTRASTIVE,
        "contrastive_color": _CONTRASTIVE,
        "unsupervised": _CONTRASTIVE,
        "attention": "nothing is shown during training",
        "adversarial_lr": "self-adversarial training is not part of this trainer",
        "weights_reject_freq": _REJECTION,
        "equidistant_point": _REJECTION,
        "badlabels_rejection_percentage": _REJECTION,
        "num_sigmas_reject_badlabels": _REJECTION,
        "dynamic_minibatch": "the batch stays as it is",
        "optimized_memory": _MEMORY,
        "workspace_size_limit_MB": _MEMORY,
        "use_cuda_graph": _GPU,
    },
    "convolutional": {
        "binary": "weights are trained as they are",
        "assisted_excitation": "nothing is excited",
        "sway": "kernels are not rotated",
        "rotate": "kernels are not rotated",
        "stretch": "kernels are not stretched",
        "stretch_sway": "kernels are not rotated",
        "angle": "kernels are not rotated",
        "coordconv": "no coordinates are added",
        "grad_centr": "gradients are not centred",
        "reverse": "gradients are not reversed",
        "dot": "there is no such penalty",
        "stream": _GPU,
        "wait_stream": _GPU,
    },
    "Gaussian_yolo": {
        "focal_loss": "Darknet's code of this head has none",
        "new_coords": "Darknet's code of this head has none",
    },
    "region": {
        "absolute": "no code reads it",
        "log": "no code reads it",
        "sqrt": "no code reads it",
        "max_delta": "no code of this head reads it",
        "mask_scale": "there are no masks",
    },
    "softmax": {"noloss": "the last one is what is trained"},
    "crop": dict.fromkeys(("flip", "angle", "saturation", "exposure", "shift"), "[net] has options of these names"),
    "cost": dict.fromkeys(("type", "scale", "ratio", "noobj", "thresh"), "the loss follows from what stands before it"),
    "route": {"stream": _GPU, "wait_stream": _GPU},
    "shortcut": {"assisted_excitation": "nothing is excited"},
    "maxpool": {"maxpool_zero_nonmax": "gradients go to the largest input, as always"},
    "yolo": {
        "embedding_layer": _TRACKING,
        "track_history_size": _TRACKING,
        "sim_thresh": _TRACKING,
        "dets_for_track": _TRACKING,
        "dets_for_show": _TRACKING,
        "track_ciou_norm": _TRACKING,
    },
}


class Idle(NamedTuple):
    """An option that was given and does nothing."""

    place: Span
    section: str
    option: str
    reason: str


def idle(graph: Graph) -> Iterator[Idle]:
    """The options of a cfg that do nothing here, one of each kind, where they were first written, in the order of the text."""
    seen: set[tuple[str, str]] = set()
    sections = [(graph.net_section, graph.net), *((node.section, node.layer) for node in graph.nodes)]
    of_kind = NOT_OF_DETECTORS if graph.heads else NOT_OF_CLASSIFIERS
    for section, layer in sections:
        listed = reasons(layer) | (of_kind if layer is graph.net else {})
        # In the order of the text.
        for option in dict.fromkeys(entry.key for entry in section.entries if entry.key in listed):
            default = layer.options[option].default if option in layer.options else None
            if option not in layer.given or getattr(layer, attribute(option), None) == default:
                continue
            kind = (layer.names[0], option)
            if kind not in seen:
                seen.add(kind)
                yield Idle(place(section, option, graph.dialect), layer.names[0], option, listed[option])


def reasons(layer: Layer) -> dict[str, str]:
    """The idle options of a layer's type, those of its base types included."""
    found: dict[str, str] = {}
    for kind in reversed(type(layer).__mro__):
        names = vars(kind).get("names", ())
        found |= INERT.get(names[0], {}) if names else {}
    return found
