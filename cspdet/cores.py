"""How many cores there are to compute with."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """The cores that this process may use; where the system does not tell, as on macOS and Windows, those of the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
