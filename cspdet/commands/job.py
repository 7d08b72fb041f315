"""Looking at sources one after the other: what `cspdet detect` does once all is loaded."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from itertools import groupby, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cspdet.commands.progress import progress
from cspdet.errors import CspdetError, UsageError
from cspdet.layers.head import Head
from cspdet.pipeline import pipelined
from cspdet.sources import Source
from cspdet.targets import Target, make_folders
from cspdet.text import brief, counted, nearest, printable

if TYPE_CHECKING:
    from cspdet.boxes import Floats
    from cspdet.detections import Detections
    from cspdet.detector import Detector
    from cspdet.image import Exact, Pixels
    from cspdet.outputs import Result
    from cspdet.stages import Prepared

SWALLOWED = "`--classes` takes all words up to the next option: name files before it"

Task = tuple[Source, Target]


class Look(NamedTuple):
    """An image or frame that was read; with the picture, where it will be drawn on. Or why it could not be read."""

    task: Task
    prepared: Prepared | None = None
    picture: Pixels | None = None
    error: CspdetError | None = None


class Inferred(NamedTuple):
    """The network's raw outputs for a batch, and how long that took, in milliseconds."""

    raw: list[Floats]
    elapsed: float


class Job:
    """One run over all sources."""

    def __init__(self, arguments: Namespace, tasks: Sequence[Task], detector: Detector) -> None:
        self.arguments = arguments
        self.tasks = tasks
        self.detector = detector
        self.stages = detector.stages(
            threshold=arguments.thresh, nms=arguments.nms, like=arguments.like or "", letterbox=arguments.letterbox
        )
        self.wanted = self.class_numbers()
        self.results: list[Result] = []
        self.failures = 0
        self.frame = 0
        self.saved: list[Path] = []
        # The user has seen enough.
        self.ended = False

    def class_numbers(self) -> list[int] | None:
        """The classes asked for, as numbers."""
        if not self.arguments.classes:
            return None

        names = self.detector.names
        count = max(node.layer.classes for node in self.detector.graph.heads if isinstance(node.layer, Head))
        numbers = []
        for word in (each.strip() for group in self.arguments.classes for each in group.split(",") if each.strip()):
            if word in names:
                numbers.append(names.index(word))
            elif word.isdecimal() and int(word[:9]) == int(word[-9:]) < count:
                numbers.append(int(word))
            elif word.isdecimal():
                raise UsageError(f"there is no class {brief(word)}", f"the network has {count}, counted from 0")
            else:
                near = nearest(word, names)
                cure = f"did you mean `{near}`?" if near else "use a name of the model, or a number"
                if Path(word).suffix:
                    cure = SWALLOWED
                raise UsageError(f"there is no class `{word}`", cure)
        return numbers

    def run(self) -> int:
        """Look at everything, then write the files that need all of it; of an interrupted run, those of what it has seen."""
        make_folders(target for _, target in self.tasks)
        try:
            self.look_at_sources()
        except KeyboardInterrupt:
            self.write_what_is_there()
            raise
        self.write_files()
        if self.saved and not self.arguments.quiet:
            place = self.saved[0] if len(self.saved) == 1 else f"{len(self.saved)} files in {self.saved[0].parent}"
            print(printable(f"saved: {place}"))
        if self.failures:
            print(f"{self.failures} of {len(self.tasks)} sources could not be read", file=sys.stderr)
        return 1 if self.failures else 0

    def look_at_sources(self) -> None:
        """All images that follow each other together, and each video."""
        for still, group in groupby(self.tasks, lambda task: task[0].still):
            if self.ended:
                break
            if still:
                self.look_at_all([*group])
            else:
                for source, target in group:
                    if not self.ended:
                        self.watch(source, target)

    def leave_out(self, error: CspdetError) -> None:
        """Report a source that cannot be read, and go on with the others; a single one ends the run."""
        if len(self.tasks) == 1:
            raise error
        print(f"error: {error}", file=sys.stderr)
        self.failures += 1

    # -- in other threads ---------------------------------------------------------------------------------------------

    def read(self, task: Task, exact: Exact) -> Look:
        """An image, ready for the network, or why it cannot be read."""
        from cspdet.sources import read

        try:
            picture = read(task[0], exact=exact)
        except CspdetError as error:
            return Look(task, error=error)
        return self.look(task, picture)

    def look(self, task: Task, picture: Pixels) -> Look:
        """A picture, ready for the network; it is kept only if it will be drawn on."""
        drawn = task[1].annotated is not None or self.arguments.show
        return Look(task, self.stages.prepare(picture), picture if drawn else None)

    def infer(self, looks: Sequence[Look]) -> Inferred:
        """What the network puts out for those that could be read. To compile it for so many images is not counted."""
        prepared = [each.prepared for each in looks if each.prepared is not None]
        if prepared:
            self.stages.prepare_engine(len(prepared))
        started = time.perf_counter()
        raw = self.stages.infer(prepared)
        return Inferred(raw, 1000 * (time.perf_counter() - started))

    # -- images -------------------------------------------------------------------------------------------------------

    def look_at_all(self, tasks: Sequence[Task]) -> None:
        """Images, as many at a time as asked for. While results are written, the network runs on the next, others are read."""
        from cspdet.jpeg.helpers import helped

        with (
            progress(len(tasks), "detecting") as advance,
            helped([source.name for source, _ in tasks], self.stages.exact) as exact,
            closing(
                pipelined((partial(self.read, task, exact) for task in tasks), self.infer, batch=self.arguments.batch)
            ) as groups,
        ):
            for looks, inferred in groups:
                self.report(looks, inferred)
                advance(len(looks))
                if self.ended:
                    return

    def report(self, looks: Sequence[Look], inferred: Inferred) -> None:
        """Say and write what was found in a batch of images."""
        from cspdet.draw import draw
        from cspdet.image import write_image

        for look in looks:
            if look.error is not None:
                self.leave_out(look.error)
        good = [look for look in looks if look.error is None]
        for look, found in zip(good, self.found(good, inferred), strict=True):
            source, target = look.task
            self.keep(source, target, found)
            if not self.arguments.quiet:
                _say(f"{source.name}: Predicted in {inferred.elapsed / len(good):.6f} milli-seconds.", found)
            if target.annotated is not None and look.picture is not None:
                write_image(target.annotated, draw(look.picture, found))
                self.saved.append(target.annotated)
            if not self.ended:
                self.show(look.picture, found, wait=True)

    def found(self, looks: Sequence[Look], inferred: Inferred) -> list[Detections]:
        """The objects in images, only of the classes asked for."""
        found = self.stages.found([each.prepared for each in looks if each.prepared is not None], inferred.raw)
        return found if self.wanted is None else [each.of_classes(self.wanted) for each in found]

    def keep(self, source: Source, target: Target, found: Detections, frame: int | None = None) -> None:
        """Write the label files, and remember the result if a file at the end will need it."""
        from cspdet.outputs import Result, label_text, write_text

        self.frame += 1
        for path in target.labels_of(frame):
            write_text(path, label_text(found))
        if self.arguments.out or self.arguments.coco or self.arguments.csv:
            self.results.append(Result(self.frame, source.name, found))

    # -- videos and streams -------------------------------------------------------------------------------------------

    def watch(self, source: Source, target: Target) -> None:
        """Find objects in every frame. Interrupting a stream, which has no end of its own, ends it in good order."""
        from cspdet.outputs import video_file
        from cspdet.sources import newest, open_video

        with ExitStack() as stack:
            try:
                video = stack.enter_context(open_video(source))
            except CspdetError as error:
                self.leave_out(error)
                return
            add = stack.enter_context(video_file(target.annotated, video.rate)) if target.annotated else None
            advance = stack.enter_context(progress(video.total or None, source.name, "frames"))
            frames = stack.enter_context(newest(video.frames)) if source.live else video.frames
            try:
                self.watch_frames((source, target), frames, add, advance)
            except KeyboardInterrupt:
                if source.kind != "stream":
                    raise
        if target.annotated:
            self.saved.append(target.annotated)

    def watch_frames(self, task: Task, frames: Iterator[Pixels], add: Any, advance: Any) -> None:
        """Each frame in turn; of what is filmed now, each that there is time for."""
        from cspdet.draw import draw

        source, target = task

        def read() -> Look | None:
            picture = next(frames, None)
            return None if picture is None else self.look(task, picture)

        def infer(looks: list[Look | None]) -> Inferred:
            return self.infer([each for each in looks if each is not None])

        ahead = 2 if source.live else None
        with closing(pipelined(repeat(read), infer, readers=1, ahead=ahead)) as groups:
            for number, ((look,), inferred) in enumerate(groups, 1):
                if look is None:
                    return
                found = self.found([look], inferred)[0]
                self.keep(source, target, found, number)
                if not self.arguments.quiet and (source.kind == "stream" or len(found)):
                    _say(f"{source.name}: frame {number}", found)
                if add and look.picture is not None:
                    add(draw(look.picture, found))
                advance(1)
                self.show(look.picture, found, wait=False)
                if self.ended:
                    return

    def show(self, picture: Pixels | None, found: Detections, *, wait: bool) -> None:
        """Show a result, if asked for."""
        if not self.arguments.show or picture is None:
            return
        import cv2

        from cspdet.draw import draw

        try:
            cv2.imshow("cspdet", draw(picture, found))
            key = cv2.waitKey(0 if wait else 1)
        except cv2.error:
            raise UsageError(
                "this OpenCV cannot open windows",
                "install `opencv-python` instead of its headless twin, or leave out `--show`",
            ) from None
        self.ended = key & 0xFF in (ord("q"), 27)

    # -- ends ---------------------------------------------------------------------------------------------------------

    def write_files(self) -> list[str]:
        """Write the files that hold all results; which these are."""
        from cspdet.outputs import coco_json, csv_text, darknet_json, write_text

        arguments = self.arguments
        wanted = [(arguments.out, darknet_json), (arguments.coco, coco_json), (arguments.csv, csv_text)]
        written = [(path, text) for path, text in wanted if path is not None]
        for path, text in written:
            write_text(path, text(self.results))
        return [path for path, _ in written]

    def write_what_is_there(self) -> None:
        """The same for a part of all, and a word about it; where that is nothing, files stay what they were."""
        if not self.results:
            return
        count = len(self.results)
        all_still = all(source.still for source, _ in self.tasks)
        seen = f"{count} of {len(self.tasks)} images" if all_still else counted(count, "frame")
        files = " and ".join(f"`{path}`" for path in self.write_files())
        print(printable(f"interrupted after {seen}: what was found in these is in {files}"), file=sys.stderr)


def _say(head: str, found: Detections) -> None:
    from cspdet.outputs import console_lines

    print("\n".join([printable(head), *console_lines(found)]), flush=True)
