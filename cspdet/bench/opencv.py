"""OpenCV 4's own Darknet importer, as a peer: `python opencv.py CFG WEIGHTS WIDTH HEIGHT CHANNELS BATCH`.

It runs as a script, by a Python that may have nothing but OpenCV 4 and numpy: OpenCV 5, which cspdet may be installed with,
has no such importer. Threads are as many as the process may use.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

started = time.perf_counter()


def main() -> None:
    """Load, and answer."""
    import cv2
    import numpy as np

    sys.path.insert(0, str(Path(__file__).parent))
    from protocol import serve  # type: ignore[import-not-found]

    cfg, weights, *numbers = sys.argv[1:]
    width, height, channels, batch = map(int, numbers)
    cv2.setNumThreads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else -1)
    net = cv2.dnn.readNetFromDarknet(cfg, weights)  # type: ignore[attr-defined]
    names = net.getUnconnectedOutLayersNames()
    images = np.random.default_rng(0).random((batch, channels, height, width), np.float32)

    def run() -> None:
        net.setInput(images)
        net.forward(names)

    serve(run, started, time.perf_counter())


if __name__ == "__main__":
    main()
