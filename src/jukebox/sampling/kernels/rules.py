"""What kernels share: the rules of `prior.runs` on the device, and the types that they compute in."""

from collections.abc import Callable
from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from triton import knobs

from jukebox.prior.runs import Runs

ROW, PREVIOUS, WINDOW, COLUMN, ENDS, ALL = range(6)
_RULES = {"row": ROW, "previous": PREVIOUS, "window": WINDOW, "column": COLUMN, "ends": ENDS}

KINDS = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}
INTERPRETED = bool(knobs.runtime.interpret)
"""Whether kernels run in Triton's interpreter, which multiplies matrices in float32 only."""


def over(kernel: Any, *grid: int) -> Callable[..., object]:
    """A kernel to be launched for every program of a grid; its arguments are those of the kernel and options."""
    return kernel[grid]


def dot_kind(kind: torch.dtype) -> tl.dtype:
    """What the factors of a product are given as; they are rounded to `kind` before."""
    return tl.float32 if INTERPRETED else KINDS[kind]


def rule(runs: Runs) -> dict[str, Any]:
    """The constants of a pattern for a kernel."""
    return {
        "RULE": _RULES[runs.kind],
        "SLOTS": runs.slots,
        "CAPACITY": runs.capacity,
        "LENGTH": runs.length,
        "TAIL": runs.tail,
        "EMPTY": runs.empty,
    }


def everything(slots: int) -> dict[str, Any]:
    """The constants where every position sees all slots: the lyrics of X."""
    return {"RULE": ALL, "SLOTS": slots, "CAPACITY": slots, "LENGTH": 1, "TAIL": 0, "EMPTY": 0}


@triton.jit
@no_type_check
def write_slot(position, RULE, CAPACITY, LENGTH, TAIL, EMPTY):
    """`Runs.write`; the rule is constants, or numbers where a kernel has layers of several."""
    if RULE == 3:
        slot = position % LENGTH * (CAPACITY // LENGTH) + position // LENGTH
    elif RULE == 4:
        place = position // LENGTH * TAIL + position % LENGTH - (LENGTH - TAIL)
        kept = (position % LENGTH >= LENGTH - TAIL) & (position // LENGTH * TAIL < CAPACITY)
        slot = EMPTY + tl.where(kept, place, CAPACITY)
    else:
        slot = position % CAPACITY
    return slot


@triton.jit
@no_type_check
def read_run(position, RULE, CAPACITY, LENGTH, TAIL, EMPTY):
    """`Runs.first` and `Runs.count`; likewise."""
    first = position * 0
    if RULE == 0:
        count = position % LENGTH + 1
    elif RULE == 1:
        first = (position // LENGTH + 1) % 2 * LENGTH
        count = tl.where(position >= LENGTH, LENGTH, 0)
    elif RULE == 2:
        count = tl.minimum(position + 1, LENGTH)
    elif RULE == 3:
        first = position % LENGTH * (CAPACITY // LENGTH)
        count = position // LENGTH + 1
    elif RULE == 4:
        end = position + 1
        inside = tl.maximum(end % LENGTH - (LENGTH - TAIL), 0)
        count = EMPTY + tl.minimum(end // LENGTH * TAIL + inside, CAPACITY)
    else:
        count = first + CAPACITY
    return first, count
