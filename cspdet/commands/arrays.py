"""Reading numpy's files, whatever is in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cspdet.errors import UsageError
from cspdet.missing import no_such_file
from cspdet.text import brief

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NUMBERS = "fiu"


def read_array(path: str) -> NDArray[np.float32]:
    """The array of a `.npy` file of numbers, as float32.

    Raises:
        UsageError: it is no such file.
    """
    import numpy as np

    cure = "write it with `numpy.save`"
    with _opened(path, "an array file", cure) as file:
        array = np.load(file, allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise UsageError(f"`{path}` holds several arrays", "give a `.npy` file with one")
    if array.dtype.kind not in NUMBERS:
        raise UsageError(f"`{path}` holds no numbers, but {brief(str(array.dtype))}", cure)
    with np.errstate(over="ignore", invalid="ignore"):  # beyond float32 is infinity; a NaN may be a signalling one
        return array.astype(np.float32)


def read_arrays(path: str) -> dict[str, NDArray[Any]]:
    """The arrays of numbers in a `.npz` file by name, flat.

    Raises:
        UsageError: it is no such file.
    """
    import numpy as np

    cure = "write it with `cspdet trace`"
    with _opened(path, "a file of arrays", cure) as file:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            raise UsageError(f"`{path}` holds one array without a name", cure)
        arrays = {name: np.asarray(loaded[name]).reshape(-1) for name in loaded.files}
    return {name: array for name, array in arrays.items() if array.dtype.kind in NUMBERS}


@contextmanager
def _opened(path: str, what: str, cure: str) -> Iterator[IO[bytes]]:
    """An open file; every way in which numpy and the modules below it say that it is not what it should be is one error.

    numpy is not given the path: of a damaged archive that it opened itself, it forgets to close the file.
    """
    import tokenize
    import warnings
    import zlib
    from zipfile import BadZipFile

    damaged = (
        *(ValueError, EOFError, KeyError, TypeError, AttributeError, SyntaxError, NotImplementedError, RuntimeError),
        *(BadZipFile, zlib.error, tokenize.TokenError, MemoryError, RecursionError, OverflowError),
    )
    try:
        with Path(path).open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old headers
            yield file
    except FileNotFoundError:
        raise no_such_file(path) from None
    except OSError as error:
        reason = error.strerror.lower() if error.strerror else "it is damaged"
        raise UsageError(f"cannot read `{path}`: {reason}", cure) from None
    except damaged as error:
        reason = brief(" ".join(str(error).split()).lower(), 100) or "it is damaged"
        raise UsageError(f"`{path}` is not {what}: {reason}", cure) from None
