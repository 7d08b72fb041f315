"""Image → `Detections`, over any engine."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from cspdet.boxes import Floats
from cspdet.cfg.diagnostic import Diagnostic
from cspdet.classification import Classification, Classifier
from cspdet.detections import Detections
from cspdet.engines import COMPILED, Engine, Preparing, make_engine
from cspdet.errors import EngineWarning, UnsupportedError, UsageError, WeightsWarning
from cspdet.graph import Graph
from cspdet.image import Pixels, as_pixels
from cspdet.preprocess import PROFILES, Profile
from cspdet.stages import Stages
from cspdet.weights.codec import Extent, Header, layout, write

if TYPE_CHECKING:
    from cspdet.network import Network


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
        `compiled` is the network itself through torch.compile, with the weights it has at the first image.

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
        """The name of the engine, and the engine; none where it is the network's module."""
        if engine == COMPILED:
            from cspdet.network import check_compiler, usable_device

            check_compiler(usable_device(self.device))
            return COMPILED, None
        try:
            return make_engine(engine, self.graph, self.arrays, self.device)
        except UnsupportedError as error:
            warnings.warn(f"{error.message}; the network runs in PyTorch", EngineWarning, stacklevel=5)
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
            from cspdet.network import Network, usable_device

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

            self._engine = ModuleEngine(self.network, compiled=self.engine_name == COMPILED)
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
        images = _several(images, "detect")
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
                "`detector.classify`, or `cspdet classify`, says what a picture shows; `cspdet trace`, what its layers put out",
            )
        for name, value in (("threshold", threshold), ("nms", nms)):
            if not 0 <= value <= 1:
                raise UsageError(f"`{name}` is {value:g}; it goes from 0 to 1")
        profile = self.profile(like)
        self._warn_untrained()
        if letterbox is None:
            letterbox = self.graph.net.letter_box or None
        return Stages(self._run, self._prepare, self.graph, self.names, self.gives_boxes, threshold, nms, profile, letterbox)

    def classify(self, images: Sequence[Any], *, like: str | Profile = "") -> list[Classification]:
        """Say what each picture of a batch shows; for classifiers, networks without a detection head.

        The shorter side of a picture is scaled to the width of the network's input, and the middle cut out.

        Args:
            images: paths, PIL images or arrays, of any sizes.
            like: the program whose preprocessing is used, as for `detect`.

        Raises:
            UsageError: the network is a detector, an image is missing, or there are more or fewer names than outputs.
            ImageError: an image cannot be decoded.
        """
        images = _several(images, "classify")
        classifier = self.classifier(like=like)
        prepared = [classifier.prepare(as_pixels(image, exact=classifier.exact)) for image in images]
        return classifier.found(classifier.infer(prepared)) if prepared else []

    def classifier(self, *, like: str | Profile = "") -> Classifier:
        """What `classify` does, in steps that may run in threads of their own; for the options see there.

        Raises:
            UsageError: the network is a detector, or there are more or fewer names than it has outputs.
        """
        classifier = Classifier.of(self._run, self.graph, self.names, self.profile(like))
        self._warn_untrained()
        return classifier

    def _warn_untrained(self) -> None:
        """Say, once, that there are no weights."""
        if not self.trained:
            message = "no weights were loaded: unless the network got some since, what it finds means nothing"
            warnings.warn(message, WeightsWarning, stacklevel=5)
            self.trained = True

    def _run(self, images: Floats) -> list[Floats]:
        """What the engine puts out, whichever it is by then."""
        return self.engine(images)

    def _prepare(self, batch: int) -> None:
        """Do what the engine does before it first computes with so many images, which else the first ones wait for."""
        engine = self.engine
        if isinstance(engine, Preparing):
            engine.prepare(batch)

    def profile(self, like: str | Profile = "") -> Profile:
        """The preprocessing of that name; by default that of the cfg's dialect, or that an exported file was written with.

        Raises:
            UsageError: there is none of that name.
        """
        return like if isinstance(like, Profile) else PROFILES[self._profile_name(like)]

    def _profile_name(self, like: str) -> str:
        name = like or self.like or ("pjreddie" if self.graph.dialect.letterbox else "alexeyab")
        if name not in PROFILES:
            raise UsageError(f"there is no preprocessing `{name}`", "one of: " + ", ".join(PROFILES))
        return name

    def export(
        self,
        path: str | Path,
        *,
        outputs: str = "raw",
        dynamic_size: bool = False,
        half: bool = False,
        threshold: float | None = None,
        nms: float | None = None,
        like: str = "",
        check: bool = True,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Write the network, with the weights it has now, for other programs; `docs/export.md` says what the file is.

        Args:
            path: where to write; the ending says the format: `.onnx`, `.xml` (OpenVINO) or `.pt2` (torch.export).
            outputs: `raw` is what the heads read, `boxes` decoded boxes and scores, `nms` these and the detections.
            dynamic_size: leave height and width free, besides the batch.
            half: store weights in 16 bits.
            threshold: the least score within `nms`, by default .25.
            nms: the overlap from which the weaker box is dropped within `nms`, by default .45.
            like: the preprocessing that the file names, as for `detect`.
            check: run the file, and leave none that computes something else.
            say: is called with a line for each program that ran it, and one on what goes in and comes out.

        Raises:
            UsageError: the file cannot be written so, a package is missing, or the network is an exported file itself.
            ExportError: a layer has no form in the file, or the file computes something else.
        """
        from cspdet.export import check_options, format_of, write
        from cspdet.export.model import describe, make_model, make_options
        from cspdet.export.notes import make_notes

        format_of(path)
        options = make_options(outputs, dynamic_size=dynamic_size, half=half, threshold=threshold, nms=nms)
        check_options(path, options)
        notes = make_notes(self.graph, self.names, self._profile_name(like), options)
        model = make_model(self.graph, self.arrays, notes, options)
        write(model, path, checked=check, say=say)
        say(f"{path}: {describe(model)}")

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


def _several(images: Sequence[Any], what: str) -> Sequence[Any]:
    """The images, which must be several: a path or an array of one would be taken apart."""
    given: Any = images
    if isinstance(given, str | Path) or getattr(given, "ndim", 4) < 4 or not hasattr(given, "__iter__"):
        raise UsageError(
            f"`{what}` takes several images", "call the detector itself, or give a list" if what == "detect" else "give a list"
        )
    return images
