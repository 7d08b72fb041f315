"""Compare two files of layer outputs, as `cspdet trace` writes them, and name the first layer in which they differ.

Arrays are compared by name, flat, wherever both files have one: l0, l1, …; samples as lN_idx and lN_val are understood too.
Exit code: 0 if all agree, 1 if one differs, 2 if a file cannot be read.
"""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from typing import Any

from cspdet.commands.arrays import read_arrays
from cspdet.errors import UsageError


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("first", metavar="A.npz", help="one file")
    parser.add_argument("second", metavar="B.npz", help="the other")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1e-4,
        metavar="T",
        help="largest difference, as a share of the layer's largest value (default: 1e-4)",
    )
    parser.add_argument("--all", action="store_true", help="print every layer, not only the first that differs")


def run(arguments: Namespace) -> int:
    """Compare layer by layer."""
    first, second = _read(arguments.first), _read(arguments.second)
    names = sorted({*first} & {*second}, key=_order)
    if not names:
        raise UsageError("the files have no array in common", "write both with `cspdet trace`")
    diverged = None
    for name in names:
        difference = _compare(first[name], second[name])
        good = difference is not None and difference <= arguments.tolerance
        text = "other shape" if difference is None else f"{difference:.3g} of its largest value"
        if arguments.all:
            print(f"{name:>10}  {'same' if good else 'DIFFERS'}  {text}")
        if not good and diverged is None:
            diverged = name, text
    if diverged is None:
        print(f"all {len(names)} layers agree to {arguments.tolerance:g} of their largest value")
        return 0
    name, text = diverged
    before = names[names.index(name) - 1] if names.index(name) else None
    print(f"{name} is the first layer that differs: {text}" + (f"; up to {before} all agree" if before else ""))
    return 1


def _order(name: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", name))


def _compare(first: Any, second: Any) -> float | None:
    """The largest difference as a share of the largest value; None where the lengths differ, infinite beside NaN."""
    import numpy as np

    (index, one), (other_index, two) = first, second
    if index is not None and other_index is None and (not index.size or index.max() < two.size):
        two = two[index]
    elif other_index is not None and index is None and (not other_index.size or other_index.max() < one.size):
        one = one[other_index]
    elif not np.array_equal(index, other_index) and index is not None and other_index is not None:
        return None
    if one.size != two.size:
        return None
    if not one.size:
        return 0.0
    finite = np.isfinite(one) & np.isfinite(two)
    if not (finite | (one == two) | (np.isnan(one) & np.isnan(two))).all():
        return float("inf")
    largest = np.abs(one[finite]).max(initial=0)
    with np.errstate(over="ignore"):
        difference = np.abs(one[finite] - two[finite]).max(initial=0)
    return float(difference / largest) if largest else float("inf") if difference else 0.0


def _read(path: str) -> dict[str, Any]:
    """Layer name → (indices or None, flat values in float64)."""
    import numpy as np

    arrays = read_arrays(path)
    found: dict[str, Any] = {}
    for name, array in arrays.items():
        if not re.fullmatch(r"(s[0-9]+\.)?l[0-9]+(_val)?", name):
            continue
        base = name.removesuffix("_val")
        index = arrays.get(f"{base}_idx") if base != name else None
        if index is not None and (index.dtype.kind == "f" or len(index) != len(array) or (index < 0).any()):
            raise UsageError(f"`{path}`: `{base}_idx` does not hold the places of `{name}`", "write it again")
        with np.errstate(invalid="ignore"):  # a NaN may be a signalling one
            found[base] = (index, array.astype(np.float64))
    return found
