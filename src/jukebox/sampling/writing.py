"""One level of all items through the slots of an engine: a slot is filled again as soon as its window ends."""

import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from jaxtyping import Int64
from torch import Tensor

from jukebox.sampling.engine import Engine, FollowingEngine
from jukebox.sampling.strand import Strand
from jukebox.sampling.windows import PlannedWindow

MOST_STEPS = 1024


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How many steps an engine makes before it is asked again: the most that fit into `run_s` seconds, at least one.

    Args:
        run_s: the longest time that nothing is heard of the engine; 0 for one step at a time.
        most_steps: never more.
    """

    run_s: float = 0.2
    most_steps: int = MOST_STEPS


@dataclass(frozen=True, kw_only=True)
class Run:
    """What an engine wrote in one go, and how long that took."""

    codes: Int64[Tensor, "slots steps"]
    took_s: float


class LevelWriter:
    """The strands of a level, some of which are in the slots of an engine. `prepare`, `run`, `accept`, again and again.

    Only `run` takes long, and it touches nothing but the engine: another thread may do it.

    Args:
        engine: of the level.
        strands: to be written.
        pace: how long a run is.
        ready: whether a window of a strand can begin.
    """

    def __init__(
        self,
        engine: Engine,
        strands: Sequence[Strand],
        pace: Pace,
        ready: Callable[[Strand, PlannedWindow], bool] = lambda strand, window: True,
    ) -> None:
        self._engine, self._pace, self._ready = engine, pace, ready
        self._followed = False  # by the next window of the strand in the only slot
        self._waiting, self._placed, self._steps = deque(s for s in strands if not s.done), dict[int, Strand](), 1

    @property
    def done(self) -> bool:
        """Whether all strands are written."""
        return not self._waiting and not self._placed

    def prepare(self) -> int:
        """Put what is ready into the slots; how many steps the engine is to make, 0 where nothing is ready."""
        for slot, strand in list(self._placed.items()):
            if strand.left_in_window:
                continue
            if self._followed and isinstance(self._engine, FollowingEngine):
                self._engine.advance()
                strand.advance()
                self._followed = False
            elif self._ready(strand, strand.next_window):
                self._engine.begin(slot, strand.begin())
            else:
                self._engine.end(slot)
                del self._placed[slot]
                self._waiting.appendleft(strand)
        for slot in range(self._engine.slots):
            if slot not in self._placed:
                strand = next((each for each in self._waiting if self._ready(each, each.next_window)), None)
                if strand is None:
                    break
                self._waiting.remove(strand)
                self._engine.begin(slot, strand.begin())
                self._placed[slot] = strand
        if not self._placed:
            return 0
        return min(self._steps, *(self._steps_of(strand) for strand in self._placed.values()))

    def _steps_of(self, strand: Strand) -> int:
        """How many steps of a strand can be made before something else is to be done."""
        after, left = strand.window_after, strand.left_in_window
        if after is None or self._followed or not isinstance(self._engine, FollowingEngine) or not self._engine.follows:
            return left
        if before := strand.steps_before(after):
            return min(left, before)
        if self._ready(strand, after):
            self._engine.follow(strand.follow())
            self._followed = True
        return left

    def run(self, steps: int) -> Run:
        """Let the engine make so many steps."""
        began_s = time.perf_counter()
        codes = self._engine.run(steps)
        return Run(codes=codes, took_s=time.perf_counter() - began_s)

    def accept(self, run: Run) -> int:
        """Take what was written; how many codes are new."""
        step_s = run.took_s / run.codes.shape[1]
        self._steps = max(1, min(self._pace.most_steps, int(self._pace.run_s / max(step_s, 1e-9))))
        new = sum(strand.accept(run.codes[slot]) for slot, strand in self._placed.items())
        for slot, strand in list(self._placed.items()):
            if strand.done:
                self._engine.end(slot)
                del self._placed[slot]
        return new

    def close(self) -> None:
        """Empty the slots."""
        for slot in list(self._placed):
            self._engine.end(slot)
        self._placed.clear()


def write_level(engine: Engine, strands: Sequence[Strand], pace: Pace) -> Generator[int, None, None]:
    """Write strands to their ends; how many codes are new is told after every run of the engine.

    Closing the iterator stops between two runs. What is written does not depend on `pace` or the number of slots.
    """
    writer = LevelWriter(engine, strands, pace)
    try:
        while not writer.done:
            yield writer.accept(writer.run(writer.prepare()))
    finally:
        writer.close()
