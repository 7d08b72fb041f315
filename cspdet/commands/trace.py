"""Run a network on an array and write what every layer puts out, as Darknet's `output` of the layer holds it.

The arrays in OUT are named l0, l1, …; with several inputs, which are run one after the other with the state of recurrent layers
carried over, s0.l0, s0.l1, …, s1.l0, …
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from cspdet.commands.arrays import read_array
from cspdet.commands.common import add_dialect, network_files, settings_of
from cspdet.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("cfg", metavar="CFG", help="cfg file or model name")
    parser.add_argument("weights", metavar="WEIGHTS", help="weights file")
    parser.add_argument(
        "--input",
        required=True,
        nargs="+",
        metavar="X.npy",
        help="input: (N, C, H, W) or (C, H, W), or (N, inputs) of a network without images",
    )
    parser.add_argument("--out", required=True, metavar="OUT.npz", help="file to write")
    parser.add_argument("--device", default="cpu", help="where PyTorch runs the network (default: cpu)")
    add_dialect(parser)


def run(arguments: Namespace) -> int:
    """Run and write."""
    import numpy as np
    import torch

    from cspdet.files import check_unread, check_writable, replacing
    from cspdet.loading import load
    from cspdet.network import as_array

    check_unread(arguments.out, [*network_files(arguments.cfg), arguments.weights, *arguments.input])
    check_writable(arguments.out)
    inputs = [_read(path) for path in arguments.input]
    if len({each.shape for each in inputs}) > 1:
        raise UsageError("the inputs have different shapes", "give arrays of one shape")
    size = {"height": inputs[0].shape[2], "width": inputs[0].shape[3]} if inputs[0].ndim == 4 else {}
    how: dict[str, Any] = {"dialect": arguments.dialect, "settings": settings_of(arguments)}
    detector = load(arguments.cfg, arguments.weights, device=arguments.device, engine="torch", **how, **size)
    wanted = detector.graph.input.dimensions
    if inputs[0].shape[1:] != wanted:
        raise UsageError(
            f"the network reads {wanted}, `{arguments.input[0]}` has {inputs[0].shape[1:]}",
            "give an array of that shape",
        )
    found: dict[str, Any] = {}
    for step, each in enumerate(inputs):
        outputs = detector.network.trace(torch.from_numpy(each).to(arguments.device))
        prefix = f"s{step}." if len(inputs) > 1 else ""
        found |= {f"{prefix}l{index}": as_array(output).copy() for index, output in enumerate(outputs)}
    with replacing(arguments.out) as file:
        np.savez(file, **found)
    print(f"{arguments.out}: {len(found)} arrays")
    return 0


def _read(path: str) -> NDArray[np.float32]:
    """An array file with a batch dimension."""
    import numpy as np

    array = read_array(path)
    if array.ndim not in (1, 2, 3, 4) or not array.size:
        raise UsageError(f"`{path}` holds an array of {array.shape}", "give (N, C, H, W) or (N, inputs)")
    return np.ascontiguousarray(array[None] if array.ndim in (1, 3) else array)
