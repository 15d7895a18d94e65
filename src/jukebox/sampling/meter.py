"""How fast a song is written, and when all of it will be.

Work is counted in operations: a step of a prior costs its matrices once for being read and once for each row that it
writes. What is left of every level is known in these from the plan, so that one speed serves levels that differ in
tokens, widths and windows at once; each level's own speed takes over as soon as there is one. What was long ago counts
less: kernels that were compiled for the first step, another process that had the machine.
"""

import heapq
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence

import torch

from jukebox.sampling.events import Progress
from jukebox.sampling.limits import step_numbers
from jukebox.sampling.model import SongModel
from jukebox.sampling.plan import LevelPlan
from jukebox.sampling.strand import Strand

# Reading a matrix takes as long as multiplying it with so many rows. On processors: steps of 1, 8, 16, 32 and 64 rows
# in bench/results/decode_*avx512* follow 8 + rows within a seventh. On cards: what those of `limits.PUBLISHED` do in
# the time of two bytes.
_READING = {"cuda": 180.0}
_READING_ELSEWHERE = 8.0

# What an operation took in the level before counts for so long in a new one, less and less.
_TRUST_S = 3.0

# What was measured so long ago counts e times less than what is measured now.
_MEMORY_S = 30.0


def reading_rows(device: torch.device) -> float:
    """How many rows a matrix could be multiplied with while it is read."""
    return _READING.get(device.type, _READING_ELSEWHERE)


class Meter:
    """Rates and the time that is left, over the levels of one song or several.

    Args:
        model: that writes.
        levels: of the plan, in their order.
        slots: windows at once, by level.
        reading: as `reading_rows` says.
        clock: seconds that pass.
    """

    def __init__(
        self,
        model: SongModel,
        levels: Sequence[LevelPlan],
        slots: Mapping[int, int],
        reading: float,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._model, self._levels, self._slots, self._reading, self._clock = model, levels, slots, reading, clock
        self._cost_s: float | None = None  # of an operation, as far as one can tell

    def begin(self, plan: LevelPlan, strands: Collection[Strand]) -> None:
        """A level's engine is there, and writes these from now on."""
        self._plan, self._strands = plan, strands
        self._written = self._before = sum(len(strand.written) for strand in strands)
        self._began_s = self._seen_s = self._clock()
        self._left, self._done, self._spent_s = self._work_left(), 0.0, 0.0
        later = self._levels[self._levels.index(plan) + 1 :]
        self._later = sum(self._unbegun(each) for each in later)
        self._earlier_s = self._cost_s

    def progress(self, new: int) -> Progress:
        """So many more codes are written."""
        plan, now_s, left = self._plan, self._clock(), self._work_left()
        fade = math.exp((self._seen_s - now_s) / _MEMORY_S)
        self._spent_s = self._spent_s * fade + now_s - self._seen_s
        self._done = self._done * fade + self._left - left
        self._seen_s, self._left = now_s, left
        own_s, passed_s = self._spent_s / self._done, max(now_s - self._began_s, 1e-9)
        earlier_s = own_s if self._earlier_s is None else self._earlier_s
        self._cost_s = own_s + max(0.0, 1.0 - passed_s / _TRUST_S) * (earlier_s - own_s)
        self._written += new
        rate = (self._written - self._before) / passed_s
        done = sum(strand.windows_done for strand in self._strands)
        return Progress(
            level=plan.level,
            window=min(done + 1, plan.windows),
            windows=plan.windows,
            tokens=self._written,
            of_tokens=plan.new_tokens,
            tokens_per_s=rate,
            times_real_time=rate / self._model.grid.tokens_per_second(plan.level),
            left_s=(left + self._later) * self._cost_s,
        )

    def _work_left(self) -> float:
        """Operations that the present level has still to do."""
        lengths = [strand.left for strand in self._strands]
        of_items = zip(self._plan.heard, self._plan.chains, strict=True) if self._plan.heard else ()
        heard = [count for count, chains in of_items for _ in chains]
        unheard = sum(_unheard(*each) for each in zip(self._strands, heard, strict=True)) if heard else 0
        return self._work(self._plan, lengths, sum(strand.unread for strand in self._strands), unheard)

    def _unbegun(self, plan: LevelPlan) -> float:
        """Operations of a level of which nothing is done; what an earlier run did of it is not known yet."""
        chains = [chain for item in plan.chains for chain in item]
        read = sum(window.first - window.start for chain in chains for window in chain.windows)
        return self._work(plan, [chain.new_tokens for chain in chains], read, sum(plan.heard))

    def _work(self, plan: LevelPlan, lengths: Sequence[int], read: int, heard: int) -> float:
        """Operations for so many codes to write and to read again, and windows to hear what is sung in."""
        config = self._model.level(plan.level).config
        rows = plan.sampling.rows * (sum(lengths) + read) + heard * config.transformer.context
        steps = steps_of(lengths, self._slots[plan.level]) + heard
        return step_numbers(config) * (self._reading * steps + rows)


def _unheard(strand: Strand, heard: int) -> int:
    """How many windows of a strand are still to be heard, of so many in all: one before each but the first begins."""
    return heard if strand.unbegun == len(strand.chain.windows) else strand.unbegun * (heard > 0)


def steps_of(lengths: Sequence[int], slots: int) -> int:
    """Steps of an engine for chains of so many tokens, each put into the slot that is free first, in their order."""
    ends = [0] * slots
    for length in lengths:
        heapq.heapreplace(ends, ends[0] + length)
    return max(ends)
