"""One engine made of several processes: slots are dealt out to the devices that torchrun started workers for.

The first worker has the songs, the session and the plan; it tells the others what to put into their slots and gathers
what they have written after each run. To the driver it is an engine like any other. Every worker has the prior.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Int64
from torch import Tensor

from jukebox.config import PriorConfig
from jukebox.errors import DeviceError
from jukebox.prior.prior import Prior
from jukebox.sampling.engine import Engine, Window

EngineFactory = Callable[[int, int], Engine]

Command = tuple[str, Any]


class SharedEngine:
    """The engine of the first worker, with the slots of all: slot i is worker i mod count's.

    Args:
        level: of the prior that is to be run.
        slots: how many windows are written at once, by all workers together.
        factory: makes this worker's own part.
    """

    def __init__(self, level: int, slots: int, factory: EngineFactory) -> None:
        self._count = dist.get_world_size()
        each = -(-slots // self._count)
        self._commands: list[Command] = []
        self.slots = slots
        _tell([("level", (level, each))])
        self._worker = _Worker(factory)
        self._worker.obey(("level", (level, each)))
        _answers(self._worker.error)

    @property
    def config(self) -> PriorConfig:
        """The prior that it runs."""
        return self._worker.engine.config

    @property
    def prior(self) -> Prior:
        """The same with its weights."""
        return self._worker.engine.prior

    def begin(self, slot: int, window: Window) -> None:
        """Put a window into a slot; it is read when all workers run next."""
        self._commands.append(("begin", (slot, window)))

    def end(self, slot: int) -> None:
        """Empty a slot."""
        self._commands.append(("end", slot))

    def run(self, steps: int) -> Int64[Tensor, "slots _"]:
        """Write the next codes of every window, on all devices at once."""
        commands: list[Command] = [*self._commands, ("run", steps)]
        self._commands = []
        _tell(commands)
        for command in commands:
            self._worker.obey(command)
        parts = _answers(self._worker.error or self._worker.written)
        return torch.stack(parts, 1).flatten(0, 1)[: self.slots]


def serve(factory: EngineFactory) -> None:
    """What every worker but the first does: obey until the first is done.

    Raises:
        DeviceError: this worker could not do its part; the first has been told.
    """
    worker, heard = _Worker(factory), [None]
    while True:
        dist.broadcast_object_list(heard, src=0)
        commands: list[Command] = heard[0] or []
        if not commands:
            return
        for command in commands:
            worker.obey(command)
        dist.gather_object(worker.error or worker.written, None, dst=0)
        if worker.error is not None:
            raise DeviceError(worker.error)


def dismiss() -> None:
    """Tell the other workers that there is nothing more to do."""
    _tell([])


class _Worker:
    """One worker's own part: every count-th slot, from its rank on."""

    def __init__(self, factory: EngineFactory) -> None:
        self._factory, self._rank, self._count = factory, dist.get_rank(), dist.get_world_size()
        self._engine: Engine | None = None
        self._taken: set[int] = set()
        self.written: Tensor | None = None
        self.error: str | None = None

    @property
    def engine(self) -> Engine:
        assert self._engine is not None
        return self._engine

    def obey(self, command: Command) -> None:
        """Do what concerns this worker; after an error nothing more."""
        if self.error is not None:
            return
        try:
            self._do(*command)
        except Exception as error:
            # The others wait for an answer: whatever it was, they are told.
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            self.error = f"Worker {self._rank} of {self._count} cannot go on: {reason}"

    def _do(self, name: str, value: Any) -> None:
        match name:
            case "level":
                self._engine = None  # room for the next
                self._engine, self._taken, self.written = self._factory(*value), set(), None
            case "begin":
                slot, window = value
                if slot % self._count == self._rank:
                    self.engine.begin(slot // self._count, window)
                    self._taken.add(slot)
            case "end":
                if value in self._taken:
                    self.engine.end(value // self._count)
                    self._taken.remove(value)
            case _:
                assert name == "run"
                nothing = torch.zeros(self.engine.slots, value, dtype=torch.int64)
                self.written = self.engine.run(value) if self._taken else nothing


def _tell(commands: list[Command]) -> None:
    dist.broadcast_object_list([commands], src=0)


def _answers(own: Any) -> list[Any]:
    """What every worker has written; raises DeviceError with what one of them says instead."""
    answers: list[Any] = [None] * dist.get_world_size()
    dist.gather_object(own, answers, dst=0)
    for answer in answers:
        if isinstance(answer, str):
            raise DeviceError(f"{answer} Start again with the workers that can, or with fewer --slots.")
    return answers
