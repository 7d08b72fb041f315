"""The Darknets that cfg files are written for, and what each does differently with the same text.

AlexeyAB's is the default. Sources: `parser.c`, `option_list.c`, `blas.c` and `lstm_layer.c` of AlexeyAB/darknet and
pjreddie/darknet; `darknet_cfg.cpp` of hank-ai/darknet; `models/models.py` and `utils/parse_config.py` of WongKinYiu's
PyTorch forks.
"""

from __future__ import annotations

from typing import Literal, NamedTuple


class Dialect(NamedTuple):
    """What depends on the program a cfg or its weights were made for."""

    name: str
    title: str
    # Of two entries with one key, which counts.
    duplicates: Literal["first", "last"] = "first"
    # A `#` or `;` behind a value starts a comment; otherwise it belongs to the value, which spoils words but not numbers.
    comments: bool = False
    # Unknown options, sections and activations, and doubled options, stop the program.
    strict: bool = False
    # Batch normalisation: (x - mean) / sqrt(variance + epsilon), or / (sqrt(variance) + epsilon).
    epsilon: float = 1e-5
    epsilon_outside_root: bool = False
    # Share of new statistics that batch normalisation takes in at a step of training; 0: as AlexeyAB's.
    statistics_rate: float = 0.0
    # `.weights` order of recurrent layers: pjreddie stores a GRU's state gates first and an LSTM's gates as i, f, o, g.
    pjreddie_gates: bool = False
    # The heads' `region` output is box-major at AlexeyAB, channel-major at pjreddie.
    region_box_major: bool = True
    # `detector test` fits the picture into the network by letterboxing instead of stretching.
    letterbox: bool = False


ALEXEYAB = Dialect("alexeyab", "AlexeyAB's Darknet")
PJREDDIE = Dialect(
    "pjreddie",
    "pjreddie's Darknet",
    epsilon=1e-6,
    epsilon_outside_root=True,
    statistics_rate=0.01,
    pjreddie_gates=True,
    region_box_major=False,
    letterbox=True,
)
HANK_AI = Dialect("hank-ai", "hank-ai's Darknet", comments=True, strict=True)
PYTORCH = Dialect("pytorch", "WongKinYiu's PyTorch forks", duplicates="last", epsilon=1e-4)

DIALECTS = {dialect.name: dialect for dialect in (ALEXEYAB, PJREDDIE, HANK_AI, PYTORCH)}
