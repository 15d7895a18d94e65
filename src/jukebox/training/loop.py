"""The loop: steps, accumulation, logging, evaluation, saving; what a step is, a task knows."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jukebox.checkpoints.store import EXPORTED
from jukebox.errors import ConfigError, TrainingError
from jukebox.training import checkpoint
from jukebox.training.average import WeightAverage
from jukebox.training.compiled import plainly
from jukebox.training.log import Log, Say
from jukebox.training.muon import optimizers
from jukebox.training.optim import clip_gradients
from jukebox.training.recipe import Recipe
from jukebox.training.source import Batches, Source, share
from jukebox.training.state import TrainingState
from jukebox.training.task import Loss, Sound, Task
from jukebox.training.workers import ALONE, Workers

MakeSounds = Callable[[int], list[Sound]]
"""Called with the step: sound for the log, made elsewhere (from the exported model), since training does not sample."""


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """Where a run keeps everything: saved states, the exported model, the log."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Saved states."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """The model as other programs load it, as of the last save."""
        return self.path / EXPORTED


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Windows to learn from and, where there are any, windows to be judged by."""

    training: Source[Any]
    validation: Source[Any] | None = None


@dataclass
class _Watched:
    """Sums of what the steps since the last line gave, on the device: reading them would wait for it."""

    steps: int = 0
    skipped: int = 0
    sums: dict[str, Tensor | float] = field(default_factory=dict)

    def add(self, values: dict[str, Any]) -> None:
        """What one step gave: nothing, where it was skipped."""
        self.steps += bool(values)
        self.skipped += not values
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def means(self) -> dict[str, float]:
        """The mean of each over the steps that gave it."""
        return {name: float(value) / self.steps for name, value in self.sums.items()}


class Trainer:
    """One run, from its last saved state to its last step.

    Args:
        recipe: how it goes.
        task: what is trained; its module may be sharded.
        sources: what it learns from.
        folder: where it is kept.
        workers: who takes part.
        say: where lines for people go.
    """

    def __init__(
        self,
        recipe: Recipe,
        task: Task[Any],
        sources: Sources,
        folder: RunFolder,
        workers: Workers = ALONE,
        say: Say = print,
    ) -> None:
        run = recipe.run
        if run.batch % workers.count:
            raise ConfigError(f"RunConfig.batch is {run.batch}; expected a multiple of the {workers.count} workers.")
        own = run.batch // workers.count
        self.micro_batch = min(own, run.micro_batch or own)
        if own % self.micro_batch:
            raise ConfigError(
                f"RunConfig.micro_batch is {run.micro_batch}; expected a divisor of a worker's share, {own}."
            )
        self.recipe, self.run, self.task, self.sources = recipe, run, task, sources
        self.folder, self.workers = folder, workers
        self.say: Say = say if workers.first else lambda text: None
        self.parameters = [p for p in task.module.parameters() if p.requires_grad]
        if not self.parameters:
            raise ConfigError("Nothing is trained: FinetuneConfig.frozen matches every parameter; leave some out.")
        self.optimizers = optimizers(task.module, recipe.optimizer)
        self.average = None if run.average_decay is None else WeightAverage(task.module, run.average_decay)
        self.state = TrainingState(task.module, self.optimizers, self.average)
        self.step = 0
        self._saved: int | None = None
        self._skipped = 0  # one after another, up to the last step: 0 in every state that is saved

    def train(self, make_sounds: MakeSounds | None = None) -> int:
        """Go on to the last step, or until the process is asked to stop; everything is saved then.

        Returns:
            The number of steps that have been made in all.

        Raises:
            CheckpointError: the saved state is of another model, or cannot be written.
            TrainingError: gradients stay infinite, or the weights give no finite loss any more; neither is saved.
            WorkerLostError: another worker is gone.
        """
        self.resume()
        log = Log(self.folder.path, self.run.steps, self.step, self.say) if self.workers.first else None
        try:
            with stop_signals() as stop, self.workers.listening():
                self._steps(log, stop, make_sounds)
        finally:
            if log is not None:
                log.close()
        return self.step

    def resume(self) -> None:
        """Take back the newest whole state, if there is one."""
        saved = self.workers.told(checkpoint.latest(self.folder.checkpoints) if self.workers.first else None)
        if saved is None:
            return
        self.state.load(saved, self.workers)
        self.task.restore(saved.facts["task"])
        self.step = self._saved = saved.step
        self.say(f"going on from step {self.step}, {saved.path}")

    def save(self) -> None:
        """Save the state, and export the model beside it."""
        facts = {"task": self.task.facts(), **self.state.facts()}
        keep = self.run.keep
        checkpoint.save(
            self.folder.checkpoints, self.step, self.state.tensors(), facts, keep=keep, workers=self.workers
        )
        with self.averaged():
            source = {"origin": "trained", "steps": self.step, "run": self.folder.path.name}
            self.task.export(self.folder.model, source, self.workers)
        self._saved = self.step

    def prepare(self, items: Sequence[Any]) -> None:
        """What the task does with this worker's windows before the first step of a new run."""
        with plainly(self.run):
            self.task.prepare(items, self.workers)

    @contextlib.contextmanager
    def as_exported(self) -> Iterator[None]:
        """Inside, the model is in evaluation mode with the weights that are exported, and nothing is compiled."""
        self.task.module.eval()
        with self.averaged(), plainly(self.run):
            yield
        self.task.module.train()

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the weights are their moving average, if the recipe keeps one."""
        with self.average.in_place() if self.average is not None else contextlib.nullcontext():
            yield

    def _steps(self, log: Log | None, stop: threading.Event, make_sounds: MakeSounds | None) -> None:
        run, count = self.run, self.workers.count
        shares = [share(step, run.batch, self.workers.rank, count) for step in range(self.step, run.steps)]
        watched, due = _Watched(), False
        for own, items in zip(shares, Batches(self.sources.training, shares, run.loader_threads), strict=True):
            if self.step == 0:
                self.prepare(items)
            found, stopping = self.one_step(items, own.start, stop, log)
            watched.add(found)
            self.step += 1
            last = self.step == run.steps or stopping
            if self.step % run.log_every_steps == 0 or last:
                values = {**self.workers.mean(watched.means()), "skipped": float(watched.skipped)}
                if log is not None:
                    unit, per_window = self.task.units
                    log.progress(self.step, values, (unit, per_window * run.batch))
                watched = _Watched()
            if not stopping and (self.step % run.evaluate_every_steps == 0 or last):
                self._evaluate(log)
            # After a skipped step nobody knows whether the weights are good: a save waits for a step that is made.
            due = due or self.step % run.save_every_steps == 0 or last
            if due and not self._skipped:
                self._check(items, own.start)
                self.save()
                due = False
            if not stopping and not self._skipped and (self.step % run.sample_every_steps == 0 or last):
                self._sounds(log, make_sounds)
            if stopping:
                saved = "is saved" if self._saved == self.step else f"was skipped; {self._from_where()}"
                self.say(f"stopped after step {self.step}, which {saved}; start again to go on.")
                return
        if self._skipped:
            raise TrainingError(
                f"The last {self._skipped} of {run.steps} steps had no finite gradient, and the run is not saved with "
                f"them; lower optimizer.learning_rate and start again: {self._from_where()}."
            )
        if not shares:
            has = f"all its {run.steps} steps" if self.step == run.steps else f"{self.step} of {run.steps} steps"
            self.say(f"the run has {has}; set run.steps to more to go on.")

    @torch.no_grad()
    def _check(self, items: Sequence[Any], first: int) -> None:
        """Refuse to save weights that give no finite loss: a gradient may be finite and the step along it too long."""
        with plainly(self.run):
            loss = self._loss(items[: self.micro_batch], first, training=False).total
        if self.workers.any(not bool(loss.isfinite())):
            raise TrainingError(
                f"After step {self.step} the loss is {float(loss):g}, and the weights are not saved; lower "
                f"optimizer.learning_rate and start again: {self._from_where()}."
            )

    def _from_where(self) -> str:
        """Where a run goes on that is started again."""
        if self._saved is None:
            return "it begins anew, since nothing was saved yet"
        return f"it goes on from step {self._saved}, the last that was saved"

    def one_step(
        self, items: Sequence[Any], first: int, stop: threading.Event, log: Log | None
    ) -> tuple[dict[str, Any], bool]:
        """One update from this worker's windows: what to watch, and whether somebody wants to stop.

        Without a finite loss and gradient nothing changes, there is nothing to watch, and the step is skipped.
        """
        rate = self.recipe.schedule.multiplier(self.step) * self.recipe.optimizer.learning_rate
        parts = range(0, len(items), self.micro_batch)
        watched: dict[str, Any] = {"loss": torch.zeros((), device=self.workers.device)}
        for start in parts:
            loss = self._loss(items[start : start + self.micro_batch], first + start, training=True)
            (loss.total / len(parts)).backward()
            for name, value in {"loss": loss.total.detach(), **loss.metrics}.items():
                watched[name] = watched.get(name, 0.0) + value / len(parts)
        norm = _whole(clip_gradients(self.parameters, self.recipe.optimizer))
        bad, stopping = self._agree(~(norm.isfinite() & watched["loss"].isfinite()), stop.is_set())
        watched |= {"gradient_norm": norm, "learning_rate": rate}
        if bad:
            self._skip(float(watched["loss"]), float(norm), log)
            watched = {}
        else:
            self._skipped = 0
            for optimizer in self.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = rate
                optimizer.step()
            if self.average is not None:
                self.average.update()
            watched |= self.task.finish(self.step, self.workers)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        return watched, stopping

    def _agree(self, bad: Tensor, stop: bool) -> tuple[bool, bool]:
        """Whether any worker has no finite gradient, and whether any was asked to stop; the device is read once."""
        told = torch.stack([bad.float(), torch.full_like(bad, stop, dtype=torch.float32)])
        bad_count, stop_count = self.workers.sum(told).tolist()
        return bad_count > 0, stop_count > 0

    def _skip(self, loss: float, norm: float, log: Log | None) -> None:
        """Leave the weights as they are."""
        self.task.abandon()
        self._skipped += 1
        step = self.step + 1
        if log is not None:
            log.event(step, f"step {step} is skipped: the loss is {loss:g}, the norm of its gradient {norm:g}")
        if self._skipped >= self.run.most_skipped:
            raise TrainingError(
                f"{self._skipped} steps up to step {step} had no finite gradient (the loss is {loss:g}, the norm "
                f"{norm:g}), expected one now and then at most; lower optimizer.learning_rate and start again: "
                f"{self._from_where()}."
            )

    def _loss(self, items: Sequence[Any], first: int, *, training: bool) -> Loss:
        half = self.run.precision == "bfloat16"
        with torch.autocast(self.workers.device.type, torch.bfloat16, enabled=half):
            return self.task.loss(items, first, training=training)

    @torch.no_grad()
    def _evaluate(self, log: Log | None) -> None:
        source = self.sources.validation
        if source is None or not len(source):
            return
        count = max(1, min(self.run.evaluate_windows, len(source)) // self.workers.count)
        own = [source.take(self.workers.rank * count + i) for i in range(count)]
        watched = _Watched()
        with self.as_exported():
            for start in range(0, count, self.micro_batch):
                part = own[start : start + self.micro_batch]
                if len(part) == self.micro_batch or start == 0:  # equal parts, so that their mean is the mean
                    loss = self._loss(part, start, training=False)
                    watched.add({"loss": loss.total, **loss.metrics})
        values = self.workers.mean(watched.means())
        if log is not None:
            log.values(self.step, {f"validation/{name}": value for name, value in values.items()})
            self.say(f"step {self.step}  validation loss {values['loss']:.4g}")

    @torch.no_grad()
    def _sounds(self, log: Log | None, make_sounds: MakeSounds | None) -> None:
        source = self.sources.validation
        with self.as_exported():
            found = self.task.sounds([source.take(0)]) if source is not None and len(source) else []
            found += make_sounds(self.step) if make_sounds is not None else []
        if log is not None:
            for sound in found:
                log.sound(self.step, sound)


def _whole(norm: Tensor) -> Tensor:
    """A norm of sharded gradients as a plain tensor."""
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm  # pyright: ignore[reportAttributeAccessIssue]


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that is set when the process is asked to end; asked twice, it ends at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
