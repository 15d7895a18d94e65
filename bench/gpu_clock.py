"""The clock of `bench/gpu.py`."""

import statistics
import time
from collections.abc import Callable

import torch

# A card that was idle needs a moment to reach its clocks; and what is short is timed many times in a row, so that the
# host is ahead of the card, as it is while a song is written.
_AWAKE_S, _SAMPLE_S, _MOST_CALLS = 0.05, 0.02, 50


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], object], device: torch.device, repeats: int = 5) -> float:
    """Median time of one call: on a card between two events of its own, elsewhere by the clock.

    The first call, which may compile and capture, is not counted.
    """
    work()
    synchronise(device)
    if device.type != "cuda":
        return statistics.median(_by_the_clock(work) for _ in range(repeats))
    began_s, count = time.perf_counter(), 0
    while count == 0 or time.perf_counter() - began_s < _AWAKE_S:
        work()
        synchronise(device)
        count += 1
    once_s = (time.perf_counter() - began_s) / count
    calls = max(1, min(_MOST_CALLS, int(_SAMPLE_S / once_s)))
    return statistics.median(_between_events(work, calls) for _ in range(repeats))


def _by_the_clock(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _between_events(work: Callable[[], object], calls: int) -> float:
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(calls):
        work()
    end.record()
    end.synchronize()
    return 1e-3 * start.elapsed_time(end) / calls
