"""Training a detector: steps, averages, checkpoints, and what is written when."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cspdet.errors import UsageError, WeightsError
from cspdet.graph import Graph
from cspdet.layers.base import Shape
from cspdet.network import Network, check_compiler
from cspdet.train import checkpoint, diagnose, normalization, optimizer, reparameterize, requirements, schedule
from cspdet.train.average import Average, DarknetAverage
from cspdet.train.backup import Backup
from cspdet.train.course import Course
from cspdet.train.jobs import Jobs
from cspdet.train.loader import Batch, batches
from cspdet.train.log import Log, Row
from cspdet.train.losses.base import Loss, Progress
from cspdet.train.origin import origin_of
from cspdet.train.processes import Team, with_joined_gradients
from cspdet.train.tasks import Task

# Steps between two times that processes ask each other whether to stop.
_AGREE_EVERY = 10
# The share of training after which blocks are dropped at their full size.
_RAMP = 0.85


class Settings(NamedTuple):
    """What the cfg does not say."""

    backup: Path
    name: str
    seed: int = 0
    workers: int = 2
    device: str = "cpu"
    # Compute in bfloat16 where that is enough; None: on GPUs.
    mixed: bool | None = None
    compiled: bool = False
    save_every: int = 100
    keep_every: int = 1000
    # Steps between evaluations; 0: as Darknet has it.
    score_every: int = 0


# Mean average precision of a network, evaluated by all processes of the team together.
# Says how good a network is, and calls what it is given with a word about each file that cannot be used.
Score = Callable[[Network, Callable[[str], None]], float]


class Trainer:
    """A network in training. After each `step`, `save` and `resume` go on from there as if nothing had happened."""

    def __init__(
        self,
        graph: Graph,
        network: Network,
        task: Task,
        settings: Settings,
        team: Team | None = None,
        *,
        seen: int = 0,
        score: Score | None = None,
    ) -> None:
        """Train `network`, of `graph`, for `task`.

        Args:
            graph: the network's graph, whose [net] is the recipe.
            network: with the weights to start from.
            task: what it is trained for, with the pictures.
            settings: what the cfg does not say.
            team: the processes that train together.
            seen: images that the weights were trained on already; training starts at the step after them.
            score: evaluates a network; None: nothing is evaluated.

        Raises:
            UsageError: the cfg says nothing that can be trained, or not for this team.
        """
        self.graph, self.task, self.settings, self.team, self.score = graph, task, settings, team or Team(), score
        self.backup = Backup(settings.backup, settings.name, graph)
        self.origin = origin_of(graph, task.pictures, settings.seed)
        net = graph.net
        requirements.check_recipe(graph)
        self.subdivisions = min(net.subdivisions, net.batch)
        self.mini_batch = net.batch // self.subdivisions
        self.batch = self.mini_batch * self.subdivisions
        requirements.check_shares(self.mini_batch, self.team.size)
        requirements.check_steps_left(graph, self.batch, seen)
        requirements.check_sizes(graph, self.size)
        self.device = torch.device(settings.device)
        self.mixed = self.device.type == "cuda" if settings.mixed is None else settings.mixed
        self.iteration = seen // self.batch
        self.network = network
        reparameterize.expand(network)
        gpu = self.device.type == "cuda"
        normalization.prepare(network, self.subdivisions, self.team.size, gpu=gpu)
        network.to(self.device, memory_format=torch.channels_last if gpu else torch.preserve_format)  # type: ignore[call-overload]
        read_by_heads = graph.outputs + graph.auxiliary_outputs
        modules: Sequence[Any] = [*network.layers]
        for node, module in zip(graph.nodes, modules, strict=True):
            module.ends_gradients = bool(node.layer.onlyforward)
            # Probabilities close to 1 have no neighbours in bfloat16, and so no gradient.
            module.precise = node.index in read_by_heads and graph.nodes[node.index].output.image
        network.train()
        optimizer.freeze(network, self.iteration + 1)
        # Whether what is frozen may change.
        self.thaws = optimizer.thaws(graph)
        requirements.check_trained(graph, [*network.parameters()])
        self.optimizer = optimizer.make(network)
        self.average = Average(network, net.ema_decay) if net.ema_decay else None
        self.darknet_average = DarknetAverage(network, graph) if net.ema_alpha else None
        self.module = self._module()
        self.course = Course()
        self.best = -1.0
        self.next_score = self._next_score(self.iteration)
        self.log = Log(None)
        self.skipped: set[str] = set()

    # -- one step -----------------------------------------------------------------------------------------------------

    def _module(self) -> nn.Module:
        """The network as it is called: compiled, or with its gradients joined among processes."""
        module: Any = self.network
        if self.settings.compiled:
            check_compiler(self.device)
            module = torch.compile(self.network)
        if self.team.size > 1:
            module = with_joined_gradients(module, self.device)
        return module  # type: ignore[no-any-return]

    def jobs(self, start: int) -> Jobs:
        """This process's mini-batches from the step after `start` on."""
        mini_batches = (start * self.subdivisions, self.graph.net.max_batches * self.subdivisions)
        return Jobs(*mini_batches, self.mini_batch, self.team, lambda number: self.size(number // self.subdivisions + 1))

    def size(self, iteration: int) -> Shape:
        """The network's input in that step."""
        return schedule.input_size(self.graph.net, self.graph.input, self.task.reach, iteration, self.settings.seed)

    def step(self, feed: Iterator[Batch]) -> Row:
        """The next step: forward and backward over all subdivisions, then the update.

        Raises:
            TrainingError: a loss or gradient is no number, or the loss has diverged.
        """
        net, iteration = self.graph.net, self.iteration + 1
        started, waited = time.perf_counter(), 0.0
        if self.thaws and optimizer.freeze(self.network, iteration):
            self.module = self._module()
        # Dropout draws from here; the number of the step is all that it depends on.
        torch.manual_seed(hash((self.settings.seed, iteration, self.team.rank)) % 2**62)
        self._ramp(iteration)
        size = self.size(iteration)
        progress = Progress(iteration, net.max_batches, iteration * self.batch)
        sums: dict[str, Tensor] = {}
        for part in range(self.subdivisions):
            waiting = time.perf_counter()
            batch = next(feed)
            waited += time.perf_counter() - waiting
            self._tell(batch.skipped)
            images, truth = batch.images(self.device), batch.truth.to(self.device, non_blocking=True)
            normalization.begin(self.network, part)
            last = part == self.subdivisions - 1
            with nullcontext() if last or self.team.size == 1 else self.module.no_sync():  # type: ignore[operator]
                loss = self._loss(images, truth, size, progress)
                # PyTorch takes the mean of the gradients of all processes; what is wanted is their sum.
                (loss.total * (self.team.size / self.batch)).backward()  # type: ignore[no-untyped-call]
            for name, value in {"cost": loss.cost, **loss.parts}.items():
                sums[name] = sums[name] + value.detach() if name in sums else value.detach()
        totals = self._totals(sums)
        if not math.isfinite(totals["cost"]):
            self._stop(diagnose.not_finite(self.network, images, loss.parts))
        self._update(iteration, images, loss.parts)
        self.iteration = iteration
        self.course.follow(totals["cost"] / self.batch, iteration, net.burn_in)
        if self.course.diverged:
            average, times = self.course.average_loss, self.course.average_loss / self.course.lowest_loss
            self._stop(f"the loss has diverged: its average is {average:.4g}, {times:.0f} times the lowest one")
        row = self._row(totals, size, time.perf_counter() - started, waited)
        with self.backup.told(iteration):
            self.log.add(row)
        return row

    def _ramp(self, iteration: int) -> None:
        """Tell the layers that look at it how far training has come (`dropout_layer_kernels.cu`)."""
        for module in self.network.layers:
            if isinstance(getattr(module, "ramp", None), Tensor):
                module.ramp.fill_(min(1.0, iteration / (_RAMP * self.graph.net.max_batches)))  # type: ignore[operator]

    def _loss(self, images: Tensor, truth: Tensor, size: Shape, progress: Progress) -> Loss:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            try:
                raws = self.module(images, auxiliary=True)
            except ValueError as error:
                if "more than 1 value per channel" not in str(error):
                    raise
                message = "batch normalisation of a map of one pixel needs more than one image at a time"
                raise UsageError(message, "make `batch / subdivisions` at least 2, or the network's input larger") from None
        return self.task.loss([raw.float() for raw in raws], truth, size, progress)

    def _update(self, iteration: int, images: Tensor, parts: dict[str, Tensor]) -> None:
        """Apply the gradients; `images` and `parts` of the loss are of the last mini-batch, for the diagnosis."""
        net = self.graph.net
        gradients = [each.grad for each in self.network.parameters() if each.grad is not None]
        if not bool(torch.isfinite(torch.stack(torch._foreach_norm(gradients)).sum())):
            if not net.try_fix_nan:
                self._stop(diagnose.not_finite(self.network, images, parts))
            optimizer.mend(self.network)
        rate = schedule.learning_rate(net, iteration, self.settings.seed)
        if not math.isfinite(rate):
            self._stop(f"the learning rate of `policy={net.policy}` is {rate}")
        optimizer.set_rate(self.optimizer, rate)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        optimizer.clip(self.network)
        if self.average:
            self.average.update(self.network)
        if self.darknet_average:
            self.darknet_average.follow(self.network, iteration)

    def _totals(self, sums: dict[str, Tensor]) -> dict[str, float]:
        """The sums over all processes, as numbers."""
        names = [*sums]
        values = torch.stack([sums[name].float() for name in names])
        if self.team.size > 1:
            torch.distributed.all_reduce(values)
        return dict(zip(names, values.tolist(), strict=True))

    def _row(self, totals: dict[str, float], size: Shape, seconds: float, waited: float) -> Row:
        assigned = totals.get("count", 0.0)
        return Row(
            self.iteration,
            self.iteration * self.batch,
            totals["cost"] / self.batch,
            self.course.average_loss,
            schedule.learning_rate(self.graph.net, self.iteration, self.settings.seed),
            totals.get("box", 0.0) / self.batch,
            totals.get("objectness", 0.0) / self.batch,
            totals.get("classes", 0.0) / self.batch,
            totals.get("overlap", 0.0) / max(assigned, 1),
            assigned,
            size.width,
            size.height,
            self.batch / seconds,
            waited / seconds,
            seconds,
        )

    def _stop(self, fact: str) -> None:
        saved = self.backup.checkpoint
        kept = f"`{saved}` is the last checkpoint" if saved.is_file() else "no checkpoint was written yet"
        raise diagnose.TrainingError(f"step {self.iteration + 1:,}: {fact}", diagnose.cure(kept))

    def _tell(self, skipped: Sequence[str]) -> None:
        """A word about pictures and labels that cannot be used, once for each file."""
        for word in skipped:
            if word not in self.skipped:
                self.skipped.add(word)
                self.on_skipped(word)

    def on_skipped(self, word: str) -> None:
        """Called with a word about each file that cannot be used, or not wholly; whoever trains may put another here."""

    # -- what is written ----------------------------------------------------------------------------------------------

    def result(self, averaged: dict[str, Any] | None = None) -> dict[str, Tensor]:
        """The plain network's state: the average's, if there is one, with all training forms folded."""
        state = averaged or (self.average.state if self.average else None)
        network = self.network
        if state is not None:
            network = copy.deepcopy(self.network)
            network.load_state_dict(state)
        return reparameterize.folded_state(network)

    def write(self, suffix: str, state: dict[str, Tensor] | None = None) -> None:
        """Write the weights as they would be used, or those of `state`."""
        if self.team.leads:
            with self.backup.told(self.iteration):
                self.backup.write(suffix, self.result() if state is None else state, self.iteration * self.batch)

    def save(self) -> None:
        """Write `_last.weights`, the checkpoint and the chart."""
        if not self.team.leads:
            return
        self.write("last")
        if self.darknet_average and self.iteration >= self.darknet_average.start:
            self.write("ema", self.result(self.darknet_average.state))
        averages = {
            name: {"steps": each.steps, "state": each.state}
            for name, each in (("average", self.average), ("darknet_average", self.darknet_average))
            if each
        }
        progress = {**asdict(self.course), "best": self.best, "next_score": self.next_score}
        states = self.network.state_dict(), self.optimizer.state_dict()
        with self.backup.told(self.iteration):
            made = checkpoint.Checkpoint(self.iteration, *states, averages, progress, self.origin)
            checkpoint.save(self.backup.checkpoint, made)
            self.backup.saved = self.iteration
            self.backup.draw(self.log)

    def resume(self) -> None:
        """Go on from the checkpoint; of a training that made all steps, to write what is missing.

        Raises:
            UsageError: there is none, it is of another training, or nothing is left to do.
            WeightsError: it is damaged.
        """
        found = checkpoint.load(self.backup.checkpoint, self.origin, self.graph)
        if found.iteration >= self.graph.net.max_batches and not self.team.agree(not self.backup.complete):
            message = f"`{self.backup.checkpoint}` is of a training that is finished: it made all {found.iteration:,} steps"
            raise UsageError(message, checkpoint.anew(self.backup.checkpoint))
        try:
            self.network.load_state_dict(found.network)
            self.optimizer.load_state_dict(found.optimizer)
            for name, kept in found.averages.items():
                each = getattr(self, name)
                each.steps = kept["steps"]
                for key, value in kept["state"].items():
                    each.state[key].copy_(value)
            self.best, self.next_score = found.progress.pop("best"), found.progress.pop("next_score")
            self.course = Course(**found.progress)
        except (RuntimeError, KeyError, ValueError, TypeError, AttributeError):
            raise WeightsError(
                f"`{self.backup.checkpoint}` is damaged: it does not fit its own cfg", checkpoint.anew(self.backup.checkpoint)
            ) from None
        self.iteration = self.backup.saved = found.iteration
        if optimizer.freeze(self.network, self.iteration + 1):
            self.module = self._module()

    # -- the whole ----------------------------------------------------------------------------------------------------

    def run(self, on_row: Callable[[Row], object], stopped: Callable[[], bool]) -> bool:
        """Train to the end, or until `stopped`; gives whether the end was reached.

        Raises:
            TrainingError: the numbers ran wild.
            UsageError: something cannot be written.
        """
        workers, pinned = self.settings.workers, self.device.type == "cuda"
        # Closed whatever happens: processes that are not told to end would be waited for.
        with closing(batches(self.task.samples, self.jobs(self.iteration), workers, pinned=pinned)) as feed:
            if not self._run(feed, on_row, stopped):
                return False
        self.write("final")
        return True

    def _run(self, feed: Iterator[Batch], on_row: Callable[[Row], object], stopped: Callable[[], bool]) -> bool:
        """All steps."""
        settings, net = self.settings, self.graph.net
        while self.iteration < net.max_batches:
            row = self.step(feed)
            ended = row.iteration == net.max_batches
            if self.score and (row.iteration >= self.next_score or ended):
                row = self._scored(row)
                self.next_score = self._next_score(row.iteration)
            on_row(row)
            # Processes that train together ask each other now and then only: it takes time.
            asked = self.team.size == 1 or row.iteration % _AGREE_EVERY == 0 or ended
            stop = asked and self.team.agree(stopped())
            if stop or ended or row.iteration % settings.save_every == 0:
                self.save()
            if settings.keep_every and row.iteration % settings.keep_every == 0:
                self.write(str(row.iteration))
            if stop and not ended:
                return False
        return True

    def _next_score(self, iteration: int) -> int:
        """The step of the next evaluation: every four passes over the images, but not before a hundred steps or the burn-in."""
        every = self.settings.score_every or max(100, 4 * len(self.task.pictures) // self.batch)
        if self.settings.score_every:
            return (iteration // every + 1) * every
        return max(iteration + every, self.graph.net.burn_in)

    def _scored(self, row: Row) -> Row:
        """Evaluate, and keep the weights if they are the best."""
        assert self.score is not None
        state = self.result()
        plain = Network(self.graph)
        plain.load_state_dict(state)
        value = self.score(plain.to(self.device).eval(), lambda word: self._tell([f"evaluating: {word}"]))
        row = row._replace(mean_average_precision=value)
        with self.backup.told(self.iteration):
            self.log.add(row)
        if value > self.best:
            self.best = value
            self.write("best", state)
        return row
