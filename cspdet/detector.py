"""Image → `Detections`, over any engine."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np

from cspdet.boxes import Candidates, Floats, gather, passing, suppress
from cspdet.cfg.diagnostic import Diagnostic
from cspdet.cfg.dialect import ALEXEYAB, DIALECTS, Dialect
from cspdet.cfg.source import Source
from cspdet.detections import Detections
from cspdet.engines import Engine
from cspdet.errors import CfgWarning, EngineWarning, ExportError, UsageError, WeightsWarning
from cspdet.graph import Graph
from cspdet.image import Pixels, read_image
from cspdet.layers.head import Head
from cspdet.names import beside, check_names, read_names
from cspdet.preprocess import PROFILES, Placement, Profile, prepare
from cspdet.rules import load as load_graph
from cspdet.text import brief
from cspdet.weights.codec import Extent, Header, layout, write

if TYPE_CHECKING:
    from cspdet.network import Network

_FAR = 1e6


class Weighted(NamedTuple):
    """A network as its graph and all of its arrays, by the keys of its state_dict; not a PyTorch module yet."""

    graph: Graph
    arrays: Mapping[str, Floats]


class Exported(NamedTuple):
    """A network that was written for other programs, and what runs its file."""

    graph: Graph
    engine: Engine
    engine_name: str
    # The preprocessing it was written with, and whether it puts out boxes and scores in place of what the heads read.
    like: str
    boxes: bool


class Detector:
    """A network with its weights and class names, ready to find objects.

    `detector("dog.jpg")` gives `Detections`; a list or a 4-D array gives a list of them. Images are paths, PIL images, or
    arrays: (H, W, 3) uint8 in OpenCV's order, blue first; (H, W) grey; or with as many channels as the network reads.
    """

    def __init__(
        self,
        network: Network | Weighted | Exported,
        names: Sequence[str] = (),
        header: Header | None = None,
        extent: Extent = "all",
        *,
        engine: str = "",
        device: str = "cpu",
    ) -> None:
        """Join a network and its names; `header` and `extent` are those of the file its weights came from.

        Without an `engine`, the network itself runs; otherwise, that of this name, of `cspdet.engines.ENGINES` or `auto`.

        Raises:
            UsageError: there is no such engine, or it cannot run here.
        """
        self._weighted = network if isinstance(network, Weighted) else None
        self._exported = network if isinstance(network, Exported) else None
        self._network = None if isinstance(network, Weighted | Exported) else network
        self.graph = network.graph
        self.device = device
        self.names = tuple(names)
        self.header = header or Header()
        self.extent: Extent = extent
        # The first layer that the weights file had nothing for; None where it had all, or there was no file.
        self.ends_before: int | None = None
        self.diagnostics: tuple[Diagnostic, ...] = ()
        # Whether its weights came from somewhere.
        self.trained = True
        # The preprocessing where nobody names one; empty for the dialect's.
        self.like = self._exported.like if self._exported else ""
        self.engine_name: str
        self._engine: Engine | None
        if self._exported:
            self.engine_name, self._engine = self._exported.engine_name, self._exported.engine
        else:
            self.engine_name, self._engine = self._choose(engine) if engine else ("", None)

    def _choose(self, engine: str) -> tuple[str, Engine | None]:
        """The name of the engine, and the engine; none where the network has a layer that only its module runs."""
        from cspdet.engines import NotLoweredError, check_engine, make_engine

        check_engine(engine, self.device)
        try:
            return make_engine(engine, self.graph, self.arrays, self.device)
        except NotLoweredError as error:
            if engine in ("auto", "torch"):
                return "torch", None
            warnings.warn(f"{error.message}; the network runs in PyTorch", EngineWarning, stacklevel=4)
            return self._choose("torch")

    @property
    def arrays(self) -> Mapping[str, Floats]:
        """The network's weights, by the keys of its state_dict.

        Raises:
            UsageError: the network is an exported file.
        """
        if self._network is None and self._weighted is not None:
            return self._weighted.arrays
        from cspdet.network import as_array

        return {key: as_array(value) for key, value in self.network.state_dict().items()}

    @property
    def network(self) -> Network:
        """The network as a PyTorch module.

        From the first time that somebody asks for it, the module itself is what finds objects, slower than the engine did:
        its weights may be changed, and hooks added.

        Raises:
            UsageError: the network is an exported file.
        """
        if self._exported:
            message = f"`{self.graph.source.path}` is an exported network, whose weights are folded into its operations"
            raise UsageError(message, "load the cfg and the weights that it was made of")
        if self._network is None:
            from cspdet.network import Network

            assert self._weighted is not None
            self._network = Network(self.graph, empty=True)
            self._network.load_arrays(self._weighted.arrays)
            self._network.to(usable_device(self.device))
        self._engine = None
        return self._network

    @property
    def gives_boxes(self) -> bool:
        """Whether the engine puts out boxes and scores, as some exported files do, in place of what the heads read."""
        return self._exported is not None and self._exported.boxes

    @property
    def engine(self) -> Engine:
        """What computes the raw outputs."""
        if self._engine is None:
            from cspdet.engines.module import ModuleEngine

            self._engine = ModuleEngine(self.network)
        return self._engine

    def __repr__(self) -> str:
        return f"Detector({self.graph.source.path!r}, input {self.graph.input}, {len(self.names)} names)"

    @overload
    def __call__(
        self,
        images: str | Path | Pixels,
        *,
        threshold: float = ...,
        nms: float = ...,
        like: str | Profile = ...,
        letterbox: bool | None = ...,
    ) -> Detections: ...

    @overload
    def __call__(
        self,
        images: Sequence[Any],
        *,
        threshold: float = ...,
        nms: float = ...,
        like: str | Profile = ...,
        letterbox: bool | None = ...,
    ) -> list[Detections]: ...

    def __call__(
        self,
        images: Any,
        *,
        threshold: float = 0.25,
        nms: float = 0.45,
        like: str | Profile = "",
        letterbox: bool | None = None,
    ) -> Detections | list[Detections]:
        """Find objects in an image, or in each image of a batch. For the options and errors see `detect`."""
        several = isinstance(images, list | tuple) or getattr(images, "ndim", 0) == 4
        found = self.detect([*images] if several else [images], threshold=threshold, nms=nms, like=like, letterbox=letterbox)
        return found if several else found[0]

    def detect(
        self,
        images: Sequence[Any],
        *,
        threshold: float = 0.25,
        nms: float = 0.45,
        like: str | Profile = "",
        letterbox: bool | None = None,
    ) -> list[Detections]:
        """Find objects in a batch of images.

        Args:
            images: paths, PIL images or arrays, of any sizes.
            threshold: the least confidence.
            nms: the overlap from which the weaker of two boxes of a class is dropped; the kind of overlap is the last
                head's choice.
            like: the program whose preprocessing is used, of `cspdet.preprocess.PROFILES`; by default that of the dialect.
            letterbox: keep the images' proportions; by default as the profile and `letter_box` in the cfg say.

        Raises:
            UsageError: the network has no detection head, an image is missing, or an option is out of range.
            ImageError: an image cannot be decoded.
        """
        given: Any = images
        if isinstance(given, str | Path) or getattr(given, "ndim", 4) < 4:
            raise UsageError("`detect` takes several images", "call the detector itself, or give a list")
        stages = self.stages(threshold=threshold, nms=nms, like=like, letterbox=letterbox)
        pictures = [as_pixels(image, exact=stages.exact) for image in images]
        prepared = [stages.prepare(picture) for picture in pictures]
        return stages.found(prepared, stages.infer(prepared))

    def stages(
        self, *, threshold: float = 0.25, nms: float = 0.45, like: str | Profile = "", letterbox: bool | None = None
    ) -> Stages:
        """What `detect` does, in steps that may run in threads of their own; for the options see there.

        Raises:
            UsageError: the network has no detection head, or an option is out of range.
        """
        if not self.graph.heads:
            raise UsageError(
                f"`{self.graph.source.path}` has no detection head: it ends in `[{self.graph.nodes[-1].name}]`",
                "`detector.network.trace` gives what its layers put out",
            )
        for name, value in (("threshold", threshold), ("nms", nms)):
            if not 0 <= value <= 1:
                raise UsageError(f"`{name}` is {value:g}; it goes from 0 to 1")
        profile = self.profile(like)
        if not self.trained:
            message = "no weights were loaded: unless the network got some since, what it finds means nothing"
            warnings.warn(message, WeightsWarning, stacklevel=4)
            self.trained = True  # said once
        return Stages(self, threshold, nms, profile, (self.graph.net.letter_box or None) if letterbox is None else letterbox)

    def profile(self, like: str | Profile = "") -> Profile:
        """The preprocessing of that name; by default that of the cfg's dialect, or that an exported file was written with.

        Raises:
            UsageError: there is none of that name.
        """
        if isinstance(like, Profile):
            return like
        name = like or self.like or ("pjreddie" if self.graph.dialect.letterbox else "alexeyab")
        if name not in PROFILES:
            raise UsageError(f"there is no preprocessing `{name}`", "one of: " + ", ".join(PROFILES))
        return PROFILES[name]

    def save_weights(self, path: str | Path, cutoff: int | None = None) -> None:
        """Write a `.weights` file, whole or not at all.

        Weights that were loaded from a file are written in its form: its version and image count, and, where the cfg has
        `dontload` layers, without them, so that the same cfg reads the file again. Darknet writes those layers too.

        Args:
            path: where to write.
            cutoff: write only the layers before this number, as for `yolov4.conv.137`.

        Raises:
            UsageError: the file cannot be written, or `cutoff` is negative.
        """
        if cutoff is not None and cutoff < 0:
            raise UsageError(f"`cutoff` is {cutoff}; layers are counted from 0")
        arrays = self.arrays
        slots = (slot for slot in layout(self.graph, self.extent) if cutoff is None or slot.layer < cutoff)
        write(path, self.header, ((slot, arrays[slot.key]) for slot in slots))


class Prepared(NamedTuple):
    """A picture as the network reads it, (C, H, W); where it lies therein; and its own width and height."""

    x: Floats
    placement: Placement
    size: tuple[int, int]


class Stages(NamedTuple):
    """The steps of finding objects, as `Detector.stages` gives them. Each may run in another thread than the others."""

    detector: Detector
    threshold: float
    nms: float
    profile: Profile
    letterbox: bool | None

    @property
    def exact(self) -> bool:
        """Whether pictures should be decoded as Darknet does; see `read_image`."""
        return self.profile.scaling == "darknet"

    def prepare(self, picture: Pixels) -> Prepared:
        """Scale a picture to the network's input.

        Raises:
            UsageError: the network reads no images, or other channels.
        """
        height, width = picture.shape[:2]
        return Prepared(*prepare(picture, self.detector.graph.input, self.profile, self.letterbox), (width, height))

    def infer(self, prepared: Sequence[Prepared]) -> list[Floats]:
        """The network's raw outputs for a batch."""
        return self.detector.engine(np.stack([each.x for each in prepared])) if prepared else []

    def found(self, prepared: Sequence[Prepared], raw: Sequence[Floats]) -> list[Detections]:
        """What the raw outputs for a batch mean."""
        return [self._found([output[index] for output in raw], each) for index, each in enumerate(prepared)]

    # Boxes of weights that ran wild may overflow; `rows` has what becomes of them.
    @np.errstate(over="ignore", invalid="ignore")
    def _found(self, raw: list[Floats], prepared: Prepared) -> Detections:
        graph = self.detector.graph
        heads = [node.layer for node in graph.heads if isinstance(node.layer, Head)]
        if self.detector.gives_boxes:
            boxes, scores = raw
            left = passing(scores, self.threshold)
            found = Candidates(boxes, left.max(1), left).kept(np.flatnonzero(left.any(1)))
        else:
            found = gather([head.decode(each, graph.input, self.threshold) for head, each in zip(heads, raw, strict=True)])
        found = found._replace(xywh=prepared.placement.to_picture(found.xywh))
        return rows(suppress(found, self.nms, *heads[-1].suppression), self.detector.names, prepared.size)


def rows(found: Candidates, names: Sequence[str], size: tuple[int, int]) -> Detections:
    """A row for every class of every box (`network.c:detection_to_json`).

    A head whose weights ran wild makes boxes of any size, infinite ones too; they end a million images away, so that what is
    computed of them, and JSON, stays finite.
    """
    box, number = np.nonzero(found.scores)
    width, height = size
    x, y, w, h = np.nan_to_num(found.xywh[box], nan=0, posinf=_FAR, neginf=-_FAR).clip(-_FAR, _FAR).T
    xyxy = np.stack([(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height], 1)
    return Detections(xyxy, found.scores[box, number], number, names, size)


def load(
    cfg: str | Path,
    weights: str | Path | None = None,
    *,
    names: str | Path | Sequence[str] | None = None,
    width: int | None = None,
    height: int | None = None,
    device: str = "cpu",
    engine: str = "auto",
    dialect: str | Dialect = ALEXEYAB,
    settings: Mapping[str, object] | None = None,
) -> Detector:
    """Load a network: a cfg file or the name of a model, and its weights; or a file that `cspdet export` wrote.

    Args:
        cfg: path of a cfg, or the name of a model that cspdet ships, such as `yolov4-tiny`; or of an exported file, which
            needs none of the other arguments.
        weights: path of a `.weights` or `.safetensors` file. If this is None, a named model gets its own: those that
            ship with it, or the official ones, downloaded on first use, and a cfg file the weights that training starts with.
        names: path of a `.names` file, or the names; by default those of the model, or of a `.names` file beside cfg or
            weights.
        width: width of the network's input in pixels, in place of the cfg's.
        height: height of the network's input in pixels, in place of the cfg's.
        device: where it runs; all but `cpu` need PyTorch.
        engine: what runs it, of `cspdet.engines.ENGINES`; `auto` is the fastest one that is installed. Without weights,
            and for networks with layers that only PyTorch's module runs, `auto` is that module.
        dialect: the program the cfg and weights were made for: alexeyab, pjreddie, hank-ai or pytorch.
        settings: values of variables, in place of what the cfg's [define] says.

    Raises:
        CfgError: the cfg cannot be run; it carries all diagnostics.
        WeightsError: the weights do not fit, and why.
        UsageError: a file is missing, or an argument is wrong.
        ExportError: an exported file is damaged, or another program's.
        DownloadError: the official weights could not be fetched.
    """
    from cspdet.export import is_exported
    from cspdet.models import find

    if isinstance(dialect, str):
        if dialect not in DIALECTS:
            raise UsageError(f"there is no dialect `{dialect}`", "one of: " + ", ".join(DIALECTS))
        dialect = DIALECTS[dialect]
    if is_exported(cfg):
        if weights is not None or settings:
            what = "weights" if weights is not None else "variables"
            raise UsageError(f"`{cfg}` is an exported network, which takes no other {what}", "leave them out")
        detector = _load_exported(cfg, names, width, height, device, engine)
        if dialect not in (ALEXEYAB, detector.graph.dialect):
            there = detector.graph.dialect.name
            raise UsageError(f"`{cfg}` was exported from the dialect {there}, not {dialect.name}", "leave the dialect out")
        return detector
    model = find(cfg)
    source = Source.read(model.cfg).set({name: str(value) for name, value in (settings or {}).items()})
    graph, diagnostics = load_graph(source, dialect, width=width, height=height)
    if weights is None and model.trained:
        weights = model.fetch_weights()
    if device != "cpu":
        usable_device(device)
    detector = _with_weights(graph, weights, engine, device)
    detector.diagnostics = diagnostics
    loud = [each for each in diagnostics if each.severity == "warning"]
    if loud:
        more = (
            f" (and {len(loud) - 1} more warnings: see `detector.diagnostics` or run `cspdet check`)" if len(loud) > 1 else ""
        )
        warnings.warn(f"{loud[0].label.span}: {loud[0].message}{more}", CfgWarning, stacklevel=2)
    detector.names = _names(graph, names, model.names, Path(model.cfg), Path(weights) if weights is not None else None)
    return detector


def _load_exported(
    path: str | Path, names: str | Path | Sequence[str] | None, width: int | None, height: int | None, device: str, engine: str
) -> Detector:
    """A detector that runs an exported file."""
    from cspdet.export import open_file
    from cspdet.export.notes import read_notes

    opened = open_file(path)
    if engine not in ("", "auto", opened.engine):
        raise UsageError(f"`{path}` runs with `{opened.engine}`, not with `{engine}`", "leave the engine out")
    if device != "cpu":
        raise UsageError(f"`{path}` runs on CPUs, not on `{device}`", "load the cfg and the weights that it was made of")
    noted = read_notes(path, opened.notes, width=width, height=height)
    wanted: tuple[str, ...] = (
        ("boxes", "scores") if noted.boxes else tuple(f"output_{place}" for place in range(len(noted.graph.outputs)))
    )

    def run(images: Floats) -> list[Floats]:
        found = opened.run(images)
        missing = [name for name in wanted if name not in found]
        if missing:
            raise ExportError(f"`{path}` has no output `{missing[0]}`: it was changed since", "export it again")
        return [found[name] for name in wanted]

    detector = Detector(Exported(noted.graph, run, opened.engine, noted.like, noted.boxes))
    detector.names = noted.names if names is None else _names(noted.graph, names, None, Path(path), None)
    return detector


def as_pixels(image: Any, *, exact: bool = False) -> Pixels:
    """A path, PIL image or array as an array in OpenCV's order; `exact` as for `read_image`.

    Raises:
        UsageError: it is something else.
        ImageError: it cannot be decoded.
    """
    if isinstance(image, str | Path):
        return read_image(image, exact=exact)
    if hasattr(image, "convert") and hasattr(image, "getbands"):
        from PIL import ImageOps

        upright = ImageOps.exif_transpose(image)  # as files are
        return np.ascontiguousarray(np.asarray(upright.convert("RGB"))[:, :, ::-1])
    if not isinstance(image, np.ndarray):
        raise UsageError(f"an image is a path, an array or a PIL image, not `{type(image).__name__}`")
    if 0 in image.shape:
        raise UsageError(f"the image is empty: {image.shape}", "does a crop lie outside its picture?")
    if image.dtype != np.uint8 or image.ndim not in (2, 3):
        message = f"an image array is (H, W) or (H, W, C) of uint8, not {image.shape} of {image.dtype}"
        raise UsageError(message, "scale to 0 … 255 and convert: `.astype('uint8')`")
    return image


def _with_weights(graph: Graph, weights: str | Path | None, engine: str, device: str) -> Detector:
    """A detector whose network has the weights of a file, or initial ones."""
    from cspdet.weights.reader import read_any

    loaded = read_any(weights, graph) if weights is not None else None
    missing = {slot.key for slot in layout(graph, "all")} - {*(loaded.arrays if loaded else ())}
    if loaded and not missing:
        network: Network | Weighted = Weighted(graph, loaded.arrays)
    else:
        network = _initialised(graph, loaded.arrays if loaded else {}, missing, device)
    if loaded is None:
        detector = Detector(network, engine="" if engine == "auto" else engine, device=device)
        detector.trained = False
        return detector
    detector = Detector(network, (), loaded.header, loaded.extent, engine=engine, device=device)
    detector.ends_before = loaded.ends_before
    if loaded.ends_before is not None:
        message = f"`{weights}` ends before layer {loaded.ends_before} of {len(graph.nodes)}"
        warnings.warn(f"{message}: the layers from there on have initial weights", WeightsWarning, stacklevel=3)
    if loaded.doubt:
        warnings.warn(loaded.doubt, WeightsWarning, stacklevel=3)
    return detector


def _initialised(graph: Graph, arrays: Mapping[str, Floats], missing: Collection[str], device: str) -> Network:
    """A network with these arrays, and what training starts with in place of those that are missing."""
    from cspdet.network import Network

    network = Network(graph, empty=True)
    network.load_arrays(arrays)
    network.initialise(missing)
    return network.to(device)


def _names(
    graph: Graph, given: str | Path | Sequence[str] | None, of_model: Path | None, cfg: Path, weights: Path | None
) -> tuple[str, ...]:
    heads = [node.layer for node in graph.heads]
    classes = max((head.classes for head in heads if isinstance(head, Head)), default=0)
    if given is not None and not isinstance(given, str | Path):
        return check_names(given, classes, "the list") if classes else tuple(given)
    path = given or of_model or next(beside(cfg, weights), None)
    if path is None:
        return ()
    names = read_names(path)
    return check_names(names, classes, f"`{path}`") if classes else names


def usable_device(name: str) -> Any:
    """The `torch.device` of that name.

    Raises:
        UsageError: there is none, or it cannot be used.
    """
    import torch

    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError, ImportError, AttributeError, TypeError) as error:
        reason = brief(" ".join(str(error).split(". ")[0].split()), 120).rstrip(".")
        raise UsageError(f"the device `{name}` cannot be used: {reason[:1].lower()}{reason[1:]}", "use `cpu`") from None
    return device
