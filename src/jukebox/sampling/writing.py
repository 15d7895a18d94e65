"""One level of all items through the slots of an engine: a slot is filled again as soon as its window ends."""

import time
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from jukebox.sampling.engine import Engine
from jukebox.sampling.strand import Strand

MOST_STEPS = 64


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How many steps an engine makes before it is asked again: the most that fit into `run_s` seconds, at least one.

    Args:
        run_s: the longest time that nothing is heard of the engine; 0 for one step at a time.
        most_steps: never more.
    """

    run_s: float = 0.2
    most_steps: int = MOST_STEPS


def write_level(engine: Engine, strands: Sequence[Strand], pace: Pace) -> Generator[int, None, None]:
    """Write strands to their ends; how many codes are new is told after every run of the engine.

    Closing the iterator stops between two runs. What is written does not depend on `pace` or the number of slots.
    """
    waiting, placed, steps = deque(s for s in strands if not s.done), dict[int, Strand](), 1
    try:
        while waiting or placed:
            for slot in range(engine.slots):
                if slot not in placed and waiting:
                    strand = waiting.popleft()
                    engine.begin(slot, strand.begin())
                    placed[slot] = strand
            count = min(steps, *(strand.left_in_window for strand in placed.values()))
            began_s = time.perf_counter()
            written = engine.run(count)
            step_s = (time.perf_counter() - began_s) / count
            steps = max(1, min(pace.most_steps, int(pace.run_s / max(step_s, 1e-9))))
            new = sum(strand.accept(written[slot]) for slot, strand in placed.items())
            for slot, strand in list(placed.items()):
                if strand.done:
                    engine.end(slot)
                    del placed[slot]
                elif not strand.left_in_window:
                    engine.begin(slot, strand.begin())
            yield new
    finally:
        for slot in placed:
            engine.end(slot)
