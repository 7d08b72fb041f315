"""Models by name: the cfgs that ship, and the weights that go with some of them, in the package or on the web."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from cspdet.errors import UsageError
from cspdet.missing import no_such_file
from cspdet.paths import exists, is_file, is_folder
from cspdet.shipped import Official, catalogue, folder
from cspdet.text import nearest

DEFAULT = "cspdet-nano"


class Model(NamedTuple):
    """A cfg, and what is known to go with it."""

    name: str
    cfg: Path
    names: Path | None = None
    official: Official | None = None
    # Weights that ship with it.
    weights: Path | None = None

    @property
    def trained(self) -> bool:
        """Whether there are weights for it."""
        return self.weights is not None or self.official is not None

    def fetch_weights(self) -> Path:
        """The weights: those that ship, or the official ones, from the cache or downloaded into it.

        Raises:
            UsageError: there are none.
            DownloadError: they cannot be fetched, or are not what they should be.
        """
        if self.weights:
            return self.weights
        if self.official is None:
            raise UsageError(f"there are no official weights for `{self.name}`", "name a weights file after the cfg")
        # What knows the web takes 20 ms to import, which other commands need not wait for.
        from cspdet.download import fetch

        return fetch(self.official)


def find(cfg: str | Path) -> Model:
    """The model of that name, or a cfg file of that path.

    Raises:
        UsageError: there is neither.
    """
    path, shipped = Path(cfg), known()
    if exists(path) and not is_folder(path):
        return Model(path.stem, path)
    if str(cfg) in shipped:
        return shipped[str(cfg)]
    if is_folder(path) and str(cfg):
        raise UsageError(f"`{cfg}` is a directory, not a cfg file", f"name a file in it: `{path / 'X.cfg'}`")
    if path.suffix == ".cfg":
        if path.stem in shipped:
            raise UsageError(f"no such file: `{cfg}`", f"cspdet ships this model: name it `{path.stem}`")
        raise no_such_file(cfg)
    close = nearest(str(cfg), shipped)
    cure = f"did you mean `{close}`?" if close else "name a cfg file, or a model that `cspdet models` lists"
    raise UsageError(f"`{cfg}` is neither a file nor the name of a model", cure)


def known() -> dict[str, Model]:
    """All models that ship, by name."""
    tables = catalogue()
    models = {}
    for path in sorted(folder("cfg").rglob("*.cfg")):
        entry: dict[str, Any] = tables.get(path.stem, {})
        official = Official(entry["file"], entry["bytes"], entry["sha256"], tuple(entry["urls"])) if entry else None
        weights = folder("weights") / f"{path.stem}.weights"
        # Official weights may lie there, too, and are checked before they are used.
        shipped = None if official or not is_file(weights) else weights
        names = folder("cfg") / entry["names"] if entry else path.with_suffix(".names")
        models[path.stem] = Model(path.stem, path, names if is_file(names) else None, official, shipped)
    return models
