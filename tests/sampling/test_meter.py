"""The time that is left, by a clock that moves with the operations of an engine."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from jukebox.config import PriorConfig
from jukebox.labels.labels import Labels
from jukebox.nn.unallocated import unallocated
from jukebox.pipeline import Jukebox
from jukebox.prior.conditions import Conditions
from jukebox.prior.prior import Prior
from jukebox.sampling.engine import Engine, Window
from jukebox.sampling.events import Progress
from jukebox.sampling.generate import windows_at_once
from jukebox.sampling.limits import step_numbers
from jukebox.sampling.meter import Meter, steps_of
from jukebox.sampling.plan import LevelPlan, SongPlan
from jukebox.sampling.request import SongRequest
from jukebox.sampling.strand import Strand
from jukebox.sampling.windows import PlannedWindow
from jukebox.sampling.writing import Pace, write_level

READING = 8.0
REQUEST = SongRequest(model="tiny-random", seconds=0.08, takes=3, parallel_windows=5)
SUNG = Labels(lyrics="la la lo " * 20)


class Clock:
    """Seconds, and how many an operation takes."""

    def __init__(self, operation_s: float = 1e-9) -> None:
        self.now_s, self.operation_s = 50.0, operation_s

    def __call__(self) -> float:
        return self.now_s

    def spend(self, operations: float) -> None:
        self.now_s += operations * self.operation_s


class Steady:
    """An engine that writes zeros at a constant speed per operation."""

    def __init__(self, config: PriorConfig, slots: int, clock: Clock) -> None:
        self.config, self.slots, self._clock = config, slots, clock
        with unallocated():
            self.prior = Prior(config)
        self._numbers, self._taken = step_numbers(config), set[int]()

    def begin(self, slot: int, window: Window) -> None:
        self._taken.add(slot)
        self._clock.spend(self._numbers * window.sampling.rows * len(window.known))
        self._rows = window.sampling.rows

    def end(self, slot: int) -> None:
        self._taken.remove(slot)

    def run(self, steps: int) -> torch.Tensor:
        self._clock.spend(self._numbers * steps * (READING + self._rows * len(self._taken)))
        return torch.zeros(self.slots, steps, dtype=torch.int64)


def written(
    jukebox: Jukebox, plan: SongPlan, clocks: dict[int, Clock], slots: int, found: dict[int, dict[str, torch.Tensor]]
) -> Iterator[tuple[Progress, float]]:
    """Every event of a song and the time of it; the clocks of the levels show the same time. `found` was written."""
    at_once = {level.level: windows_at_once(level, slots) for level in plan.levels}
    now = Clock()
    meter = Meter(jukebox.model, plan.levels, at_once, READING, now)
    for level in plan.levels:
        clock = clocks[level.level]
        clock.now_s = now.now_s
        strands = strands_of(level, found.get(level.level, {}), jukebox, clock)
        if all(strand.done for strand in strands):
            continue
        engine: Engine = Steady(jukebox.model.level(level.level).config, at_once[level.level], clock)
        meter.begin(level, strands)
        for new in write_level(engine, strands, Pace(run_s=9.0, most_steps=3)):
            now.now_s = clock.now_s
            yield meter.progress(new), now.now_s


def strands_of(level: LevelPlan, found: dict[str, torch.Tensor], jukebox: Jukebox, clock: Clock) -> list[Strand]:
    """Where lyrics are followed, what is heard before a window begins takes its time."""
    config = jukebox.model.level(level.level).config
    numbers, strands = step_numbers(config), []
    for item, chains in enumerate(level.chains):
        for index, chain in enumerate(chains):
            left = deque([0, *[1] * (len(chain.windows) - 1)])
            left[0] = level.heard[item] - sum(left) if level.heard else 0

            def told(_: PlannedWindow, left: deque[int] = left) -> Conditions:
                if level.heard:
                    clock.spend(left.popleft() * numbers * (READING + config.transformer.context))
                return Conditions()

            strands.append(
                Strand(
                    chain,
                    torch.zeros(chain.known, dtype=torch.int64),
                    key=0,
                    sampling=level.sampling,
                    condition=told,
                    written=found.get(f"{item}/{index}"),
                )
            )
    return strands


@pytest.mark.parametrize("slots", [1, 4, 32])
@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("follow", [False, True])
def test_the_time_left_of_all_levels_is_exact_where_the_speed_is_constant(
    jukebox: Jukebox, slots: int, guidance: float, follow: bool
) -> None:
    """From the first event on: levels of other widths and tokens, windows that are read, waiting and parallel ones,
    and those that are heard where lyrics follow what is sung."""
    plan = jukebox.plan(replace(REQUEST, songs=(SUNG,), follow_lyrics=follow))
    assert bool(plan.levels[0].heard) == follow
    guided = (replace(level, sampling=replace(level.sampling, guidance=guidance)) for level in plan.levels)
    plan = replace(plan, levels=tuple(guided))
    events = list(written(jukebox, plan, dict.fromkeys(range(3), Clock()), slots, {}))
    assert {event.level for event, _ in events} == {0, 1, 2}
    end_s = events[-1][1]
    for event, now_s in events:
        assert event.left_s == pytest.approx(end_s - now_s, rel=1e-6, abs=1e-9)
    assert events[-1][0].left_s == 0


def test_what_was_written_before_is_not_left(jukebox: Jukebox) -> None:
    """A song that is gone on with: what is replayed of a broken window takes its time, what was whole none."""
    plan = jukebox.plan(REQUEST)
    top, middle, _ = plan.levels
    found = {
        top.level: {f"{item}/0": torch.zeros(top.length, dtype=torch.int32) for item in range(3)},
        middle.level: {"1/0": torch.zeros(5, dtype=torch.int32), "0/1": torch.zeros(21, dtype=torch.int32)},
    }
    events = list(written(jukebox, plan, dict.fromkeys(range(3), Clock()), 4, found))
    first, now_s = events[0]
    assert (first.level, first.tokens) == (1, 29)  # the first step replays in one window and is new in three
    assert first.left_s == pytest.approx(events[-1][1] - now_s, rel=1e-6)


def test_a_level_is_believed_after_a_while(jukebox: Jukebox) -> None:
    """The second level turns out ten times as slow as its operations say: after seconds that is told, and kept."""
    plan = jukebox.plan(REQUEST)
    clocks = {2: Clock(1e-7), 1: Clock(1e-6), 0: Clock(1e-6)}
    events = list(written(jukebox, plan, clocks, 4, {}))
    end_s, began_s = events[-1][1], next(now_s for event, now_s in events if event.level == 1)
    later = [(event, now_s) for event, now_s in events if now_s > began_s + 5]
    assert {event.level for event, _ in later} == {0, 1}
    for event, now_s in later:
        assert event.left_s == pytest.approx(end_s - now_s, rel=1e-6, abs=1e-9)


def test_a_slow_beginning_is_forgotten(jukebox: Jukebox) -> None:
    """A minute for the first step, in which kernels are compiled, is not expected of all that follow."""
    plan, clock = jukebox.plan(REQUEST), Clock(1e-5)
    events = written(jukebox, plan, dict.fromkeys(range(3), clock), 4, {})
    next(events)
    clock.now_s += 60
    found = list(events)
    began_s, end_s = found[0][1], found[-1][1]
    assert found[0][0].left_s > 3 * (end_s - began_s)
    later = [(event, now_s) for event, now_s in found if began_s + 180 < now_s < end_s]
    assert later
    for event, now_s in later:
        assert event.left_s == pytest.approx(end_s - now_s, rel=0.05)


def test_steps_of_chains_that_wait_for_each_other() -> None:
    assert steps_of([], 3) == 0
    assert steps_of([5, 5, 5, 5], 2) == 10
    assert steps_of([7, 1, 1, 1, 4], 2) == 7
    assert steps_of([0, 3], 1) == 3
