"""The activations a cfg can name: Darknet's `activations.h`, and `silu`, the PyTorch forks' name for swish.

Darknet's CPU code returns zeros for relu6 everywhere, and for swish, mish, hard_mish and the normalize_channels family outside
convolutions (`activations.c:activate` has no case for them). Those are holes, not meanings: here every layer computes what the
GPU code (`activation_kernels.cu`) does.
"""

from __future__ import annotations

from collections.abc import Iterator

from cspdet.cfg.diagnostic import Severity
from cspdet.cfg.dialect import Dialect
from cspdet.layers.option import Problem

# What each computes, as `cspdet layers` prints it.
ACTIVATIONS: dict[str, str] = {
    "linear": "x",
    "logistic": "1 / (1 + e^-x)",
    "leaky": "x, or 0.1x below 0",
    "mish": "x tanh(log(1 + e^x))",
    "swish": "x / (1 + e^-x)",
    "silu": "swish, under the name the PyTorch forks use",
    "relu": "max(x, 0)",
    "relu6": "min(max(x, 0), 6)",
    "tanh": "tanh(x)",
    "loggy": "2 / (1 + e^-x) - 1",
    "elu": "x, or e^x - 1 below 0",
    "selu": "1.0507 (x, or 1.6732 (e^x - 1) below 0)",
    "gelu": "x/2 (1 + tanh(0.797885x + 0.035677x^3))",
    "hard_mish": "x above 0, x + x^2/2 above -2, else 0",
    "relie": "x, or 0.01x below 0",
    "ramp": "0.1x, plus x above 0",
    "revleaky": "leaky",
    "plse": "x/8 + 0.5 within -4 … 4, nearly flat outside",
    "stair": "floor(x/2), rising at odd floor(x)",
    "hardtan": "x within -1 … 1",
    "lhtan": "x within 0 … 1, nearly flat outside",
    "normalize_channels": "max(x, 0) over its sum over the channels of a pixel",
    "normalize_channels_softmax": "e^x over its sum over the channels of a pixel",
    "normalize_channels_softmax_maxval": "the same, with the largest x subtracted first",
}

# What pjreddie's `get_activation` knows; it takes `relu` for every other name.
PJREDDIE_ACTIVATIONS = frozenset(
    "linear logistic leaky relu tanh loggy elu selu relie ramp plse stair hardtan lhtan".split()  # noqa: SIM905
)


# Names of the PyTorch forks, and what Darknet calls the same.
DARKNETS_NAMES = {"silu": "swish"}


def foreign(name: str, dialect: Dialect) -> Iterator[Problem]:
    """What to say of an activation that the dialect's own program does not know: it would take ReLU, or stop."""
    if name in DARKNETS_NAMES and dialect.name in ("alexeyab", "hank-ai"):
        cure = f"write `activation={DARKNETS_NAMES[name]}`, which both read alike"
        message = f"`{name}` is the PyTorch forks' name"
        here = DARKNETS_NAMES[name]
        consequence = f"Darknet does not know `{name}` and computes `relu`; here it is `{here}`, as in the PyTorch forks"
        severity: Severity = "warning"
        if dialect.strict:
            severity, consequence = "error", f"{dialect.title} stops here"
        yield Problem("silu", "activation", message, cure, severity, consequence, cures=(("activation", here),))
    elif dialect.name == "pjreddie" and name not in PJREDDIE_ACTIVATIONS:
        consequence = "that program computes `relu`; here it is what the name says"
        message = f"pjreddie's Darknet does not know `{name}`"
        yield Problem("newer-activation", "activation", message, "", "warning", consequence)
