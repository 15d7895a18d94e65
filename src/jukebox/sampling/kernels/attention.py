"""Attention of one query of every slot over the run of slots that its pattern sees, wherever it is.

Heads of any width; caches in the model's type, or in 8 bits with a scale for each key and value of each head.
"""

from dataclasses import dataclass
from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

from jukebox.sampling.kernels.attend import attend, head
from jukebox.sampling.kernels.dependent import launched, wait_for_the_kernel_before
from jukebox.sampling.kernels.rules import over, write_slot


@dataclass(frozen=True, kw_only=True)
class Heads:
    """What is done to queries and keys before they meet.

    Args:
        query_gain: [width] of their norm; None where there is none.
        key_gain: likewise.
        eps: of both norms.
        rotary: whether they are turned by their position.
    """

    query_gain: Tensor | None = None
    key_gain: Tensor | None = None
    eps: float = 0.0
    rotary: bool = False


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the programs of one attention have found, until the last of them joins it.

    Args:
        values: [rows, heads, splits, width] in float32: sums of exp(logit - peak) * value.
        stats: [rows, heads, splits, 2]: peak, and sum of exp(logit - peak), 0 where there are no keys.
        ended: [rows, heads], how many programs have ended; 0 before and after a launch.
    """

    values: Tensor
    stats: Tensor
    ended: Tensor

    @classmethod
    def empty(cls, rows: int, heads: int, splits: int, width: int, device: torch.device) -> "Parts":
        """Room for `splits` programs for each head of every row."""
        return cls(
            values=torch.zeros(rows, heads, splits, width, device=device),
            stats=torch.zeros(rows, heads, splits, 2, device=device),
            ended=torch.zeros(rows, heads, dtype=torch.int32, device=device),
        )


def attention(
    queries: Tensor,
    cache: Tensor,
    scales: Tensor | None,
    positions: Tensor,
    out: Tensor,
    parts: Parts,
    rule: dict[str, Any],
    *,
    heads: Heads | None = None,
    block: int | None = None,
    dependent: bool = False,
) -> None:
    """Launch the attention of every row.

    Args:
        queries: [rows, at least heads * width]; what follows in a row is not looked at.
        cache: [rows, slots, 2, heads, width].
        scales: [rows, slots, 2, heads] of a cache in 8 bits.
        positions: of the queries.
        out: [rows, heads * width].
        parts: where programs leave what they have found.
        rule: constants of the pattern.
        heads: what is done to the queries first.
        block: keys that are read at once; fewer for wide heads, whose registers would overflow.
        dependent: begins while the kernel before still runs.
    """
    rows, count, splits, width = parts.values.shape
    more = heads or Heads()
    over(attention_kernel, rows * count, splits)(
        queries, cache, scales, positions, out, parts.values, parts.stats, parts.ended, more.query_gain,
        width**-0.5, queries.stride(0),
        **rule, HEADS=count, WIDTH=width, SPLITS=splits, EPS=more.eps, ROTARY=more.rotary,
        BLOCK_S=block or (32 if width <= 256 else 16), BLOCK_D=triton.next_power_of_2(width), num_warps=4, num_stages=2,
        **launched(dependent),
    )  # fmt: skip


@triton.jit
@no_type_check
def attention_kernel(
    queries, cache, scales, positions, out, parts, stats, ended, gain, factor, stride,
    RULE: tl.constexpr, SLOTS: tl.constexpr, CAPACITY: tl.constexpr, LENGTH: tl.constexpr, TAIL: tl.constexpr,
    EMPTY: tl.constexpr, HEADS: tl.constexpr, WIDTH: tl.constexpr, SPLITS: tl.constexpr, EPS: tl.constexpr,
    ROTARY: tl.constexpr, BLOCK_S: tl.constexpr, BLOCK_D: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    """See `attention`."""
    wait_for_the_kernel_before(DEPENDENT)
    attend(
        queries, cache, scales, positions, out, parts, stats, ended, gain, factor, stride,
        tl.program_id(0), tl.program_id(1), SPLITS, RULE, SLOTS, CAPACITY, LENGTH, TAIL, EMPTY,
        HEADS, WIDTH, EPS, ROTARY, BLOCK_S, BLOCK_D,
    )  # fmt: skip


def store_pairs(
    made: Tensor,
    cache: Tensor,
    scales: Tensor | None,
    positions: Tensor,
    rule: dict[str, Any],
    heads: Heads | None = None,
    *,
    dependent: bool = False,
) -> None:
    """Write the keys and values of every row into a cache: of 8 bits, or when something is done to the keys first.

    Args:
        made: [rows, 3 * heads * width]: queries, keys and values.
        cache: [rows, slots, 2, heads, width].
        scales: [rows, slots, 2, heads] of a cache in 8 bits.
        positions: of the keys.
        rule: constants of the pattern.
        heads: what is done to the keys first.
        dependent: begins while the kernel before still runs.
    """
    rows, _, _, count, width = cache.shape
    more = heads or Heads()
    over(store_pairs_kernel, rows, 2 * count)(
        made, cache, scales, positions, more.key_gain, **rule, HEADS=count, WIDTH=width, EPS=more.eps,
        ROTARY=more.rotary, BLOCK_D=triton.next_power_of_2(width), **launched(dependent),
    )  # fmt: skip


@triton.jit
@no_type_check
def store_pairs_kernel(
    made, cache, scales, positions, gain,
    RULE: tl.constexpr, SLOTS: tl.constexpr, CAPACITY: tl.constexpr, LENGTH: tl.constexpr, TAIL: tl.constexpr,
    EMPTY: tl.constexpr, HEADS: tl.constexpr, WIDTH: tl.constexpr, EPS: tl.constexpr, ROTARY: tl.constexpr,
    BLOCK_D: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    """See `store_pairs`."""
    wait_for_the_kernel_before(DEPENDENT)
    row, which = tl.program_id(0).to(tl.int64), tl.program_id(1)
    lanes = tl.arange(0, BLOCK_D)
    inside = lanes < WIDTH
    base = made + row * (3 * HEADS * WIDTH) + (HEADS + which) * WIDTH
    position = tl.load(positions + row)
    slot = row * SLOTS + write_slot(position, RULE, CAPACITY, LENGTH, TAIL, EMPTY)
    numbers = tl.load(base + lanes, mask=inside, other=0.0).to(tl.float32)
    if which < HEADS:
        numbers = head(base, lanes, gain, position, WIDTH, EPS, ROTARY)
    place = cache + (slot * 2 * HEADS + which) * WIDTH + lanes
    if scales is None:
        tl.store(place, numbers.to(cache.dtype.element_ty), mask=inside)
    else:
        scale = tl.maximum(tl.max(tl.abs(numbers), 0), 1e-12) / 127
        steps = tl.floor(numbers / scale + 0.5)
        steps = tl.minimum(tl.maximum(steps, -127.0), 127.0)
        tl.store(place, steps.to(tl.int8), mask=inside)
        tl.store(scales + slot * 2 * HEADS + which, scale)
