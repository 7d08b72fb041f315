"""What ships with cspdet: where its folders are, and what is known of official weights."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, NamedTuple

# In a checkout, `cfg/` and `weights/` stand beside the package; an installed package carries them.
_PACKAGE = Path(__file__).parent
_HOMES = (_PACKAGE.parent, _PACKAGE / "_shipped")


class Official(NamedTuple):
    """A weights file as its authors published it. A file of another size or digest is not loaded."""

    file: str
    bytes: int
    sha256: str
    urls: tuple[str, ...]


def folder(name: str) -> Path:
    """The shipped folder `cfg` or `weights`."""
    # A package in site-packages may have a neighbour of the same name that is not ours: the catalogue tells.
    return next(home / name for home in _HOMES if (home / "weights" / "official.toml").is_file())


def catalogue() -> dict[str, dict[str, Any]]:
    """The tables of `weights/official.toml`, by model."""
    return tomllib.loads((folder("weights") / "official.toml").read_text("utf-8"))
