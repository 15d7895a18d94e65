"""What a request would take, before anything of it is done."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from jukebox.alignment.window import hear
from jukebox.nn.memory import free_host_bytes, size_text
from jukebox.prior.prior import Prior
from jukebox.sampling.engine import Engine, FollowingEngine, Window
from jukebox.sampling.generate import EngineFactory, windows_at_once
from jukebox.sampling.level import window_conditions
from jukebox.sampling.limits import step_numbers
from jukebox.sampling.model import SongModel
from jukebox.sampling.placement import Need
from jukebox.sampling.plan import LevelPlan, SongPlan
from jukebox.sampling.threads import threads_for
from jukebox.sampling.windows import PlannedWindow

_WARM_STEPS, _STEPS = 2, 6
# A probe of short steps is of so many seconds.
_LEAST_S = 0.05

Needs = Callable[[int, int], Need]
"""Memory that the prior of a level needs for so many rows of a step: windows at once, or twice as many."""

AtBest = Callable[[int, int], tuple[float, float]]
"""Seconds of a step of a level with so many rows: by memory and arithmetic alone, and with what stages cost."""


@dataclass(frozen=True, kw_only=True)
class LevelEstimate:
    """What one level would take.

    Args:
        level: 0 is the finest.
        tokens: codes to write, warm-ups among them.
        read: codes that windows read again: overlaps, primers.
        windows: how many.
        heard: windows that are read once more, as lyrics follow what is sung in them.
        operations: multiplications and additions of its matrices; attention adds about one in a hundred.
        slots: windows at once.
        weight_bytes: of the prior.
        state_bytes: caches and conditions of all slots.
        seconds: expected, from a probe; None where none was made.
    """

    level: int
    tokens: int
    read: int
    windows: int
    heard: int
    operations: float
    slots: int
    weight_bytes: int
    state_bytes: int
    seconds: float | None = None


def plan_needs(plan: SongPlan, slots: int | None, needs: Needs) -> dict[int, Need]:
    """Memory of the prior of every level of a plan, with its windows at once: guided ones have two rows of a step."""
    return {level.level: _need(level, slots, needs) for level in plan.levels}


def _need(plan: LevelPlan, slots: int | None, needs: Needs) -> Need:
    return needs(plan.level, plan.sampling.rows * windows_at_once(plan, slots))


def estimate_level(model: SongModel, plan: LevelPlan, slots: int | None, needs: Needs) -> LevelEstimate:
    """Counts and sizes of a level; nothing is allocated."""
    config = model.level(plan.level).config
    chains = [chain for item in plan.chains for chain in item]
    taken = windows_at_once(plan, slots)
    read = sum(window.first - window.start for chain in chains for window in chain.windows)
    rows, heard = plan.sampling.rows, sum(plan.heard)
    memory = _need(plan, slots, needs)
    return LevelEstimate(
        level=plan.level,
        tokens=plan.new_tokens,
        read=read,
        windows=plan.windows,
        heard=heard,
        operations=2.0 * step_numbers(config) * (rows * (plan.new_tokens + read) + heard * config.transformer.context),
        slots=taken,
        weight_bytes=memory.weights,
        state_bytes=memory.state,
    )


@dataclass(frozen=True, kw_only=True)
class Expected:
    """Seconds that a level would take: writing it, and hearing what is sung where lyrics follow it."""

    writing_s: float = 0.0
    hearing_s: float = 0.0


def probe(model: SongModel, plan: SongPlan, level: LevelPlan, found: LevelEstimate, engines: EngineFactory) -> Expected:
    """What a level would take, from a few steps of its engine in the middle of a window."""
    engine = engines(level.level, found.slots)
    context = engine.config.codes_context
    known = max(0, min(context - _WARM_STEPS - _STEPS, context // 2))
    window = _window(model, plan, level, known)
    began_s = time.perf_counter()
    for slot in range(found.slots):
        engine.begin(slot, window)
    begun_s = time.perf_counter()
    engine.run(min(_WARM_STEPS, context - known))  # some read only now what they know
    read_s, step_s = time.perf_counter() - begun_s, _step_s(engine, context - known - _WARM_STEPS)
    begin_s, read_s = (begun_s - began_s) / found.slots, max(0.0, read_s - _WARM_STEPS * step_s) / found.slots
    if isinstance(engine, FollowingEngine) and engine.follows:
        # Beside the steps of the window before, but where that is heard first.
        read_s *= min(1.0, found.heard / found.windows)
    # Beginning a window costs its conditions and what it reads, the latter about as its length.
    share = max(0.2, found.read / max(1, found.windows * max(1, known)))
    writing_s = found.tokens / found.slots * step_s + found.windows * (begin_s + read_s) * share
    hearing_s = found.heard * _hearing_s(model, plan, level, engine.prior) if found.heard else 0.0
    return Expected(writing_s=writing_s, hearing_s=hearing_s)


def _hearing_s(model: SongModel, plan: SongPlan, level: LevelPlan, prior: Prior) -> float:
    """Seconds to hear one window of a level whose lyrics follow what is sung."""
    item, context = next(item for item in plan.items if item.follows), prior.config.codes_context
    span = item.span(model.grid, level.level, 0, context)
    began_s = time.perf_counter()
    with torch.no_grad(), threads_for(prior, context):
        hear(prior, torch.zeros(context, dtype=torch.int64), item.tokens[level.level], span)
    return time.perf_counter() - began_s


def _step_s(engine: Engine, most: int) -> float:
    """Seconds of a step: of a few, and of more where they are short; 0 where no step is left."""
    steps, began_s, spent_s = 0, time.perf_counter(), 0.0
    while steps < most and (steps == 0 or spent_s < _LEAST_S):
        count = min(_STEPS, most - steps)
        engine.run(count)
        steps, spent_s = steps + count, time.perf_counter() - began_s
    return spent_s / max(1, steps)


def _window(model: SongModel, plan: SongPlan, level: LevelPlan, known: int) -> Window:
    item, context = plan.items[0], model.level(level.level).config.codes_context
    above = torch.zeros(context // model.unit(level.level), dtype=torch.int64)
    window = PlannedWindow(start=0, first=known, end=context)
    return Window(
        conditions=window_conditions(model, level.level, item, window, tokens=item.tokens[level.level], above=above),
        known=torch.zeros(known, dtype=torch.int64),
        replay=torch.zeros(0, dtype=torch.int64),
        start=0,
        key=0,
        sampling=level.sampling,
    )


def memory_bytes(device: torch.device) -> int | None:
    """Memory that is free on a device; None where nobody says."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return free_host_bytes()


def estimate(
    model: SongModel,
    plan: SongPlan,
    engines: EngineFactory,
    device: torch.device,
    needs: Needs,
    slots: int | None = None,
    at_best: AtBest | None = None,
    *,
    together: bool = False,
) -> str:
    """A table of what every level would take, whether it fits, and the time expected from a short probe.

    Args:
        model: that writes.
        plan: what is to be written.
        engines: makes an engine for the probe.
        device: where.
        needs: memory of a prior and its slots.
        slots: windows at once; None as in `generate.Options`.
        at_best: time of a step by the limits of the card, where these are known.
        together: whether levels are written side by side.
    """
    free = memory_bytes(device)
    lines = [f"{plan.length_samples / model.grid.sample_rate:.2f} seconds, {len(plan.items)} to be written"]
    lines.append("level    tokens  windows  at once  operations    weights  slots' state   time expected")
    total_s, fits, levels, followed = 0.0, True, [], ""
    for level in plan.levels:
        found = estimate_level(model, level, slots, needs)
        needed = found.weight_bytes + found.state_bytes
        fit = free is None or needed <= free
        spent = probe(model, plan, level, found, engines) if fit and found.windows else Expected()
        seconds = spent.writing_s + spent.hearing_s if fit else None
        total_s = max(total_s, seconds or 0.0) if together else total_s + (seconds or 0.0)
        fits = fits and fit
        levels.append(found)
        if found.heard:
            cost = f", {_duration(spent.hearing_s)} of the time of" if fit else " of"
            followed = (
                f"Following the lyrics reads {found.heard:,} windows once more{cost} level {found.level}; "
                "none of them is read ahead while another is written."
            )
        expected = "does not fit" if seconds is None else _duration(seconds)
        lines.append(
            f"{found.level:>5}{found.tokens:>10,}{found.windows:>9,}{found.slots:>9}{found.operations:>12.2e}"
            f"{size_text(found.weight_bytes):>11}{size_text(found.state_bytes):>14}{expected:>16}"
        )
    lines += [followed] if followed else []
    needed = [found.weight_bytes + found.state_bytes for found in levels]
    most = sum(needed) if together else max(needed, default=0)
    there = "an unknown amount" if free is None else size_text(free)
    lines.append(f"Memory: {size_text(most)} at most, of {there} free: it {'fits' if fits else 'does not fit'}.")
    which = "" if fits else " for the levels that fit"
    which = ", as levels are written side by side" if together else which
    lines.append(f"Time expected on this machine: {_duration(total_s)}{which}")
    if at_best is not None:
        times = [
            (found.tokens / found.slots, at_best(found.level, level.sampling.rows * found.slots))
            for level, found in zip(plan.levels, levels, strict=True)
        ]
        least, staged = (_duration(sum(steps * each[index] for steps, each in times)) for index in range(2))
        lines.append(f"By the limits of this card at least {least}; {staged} with the cost of dependent stages.")
    return "\n".join([*plan.notes, *lines])


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
