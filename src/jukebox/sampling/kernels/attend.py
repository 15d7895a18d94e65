"""Attention of one query over a run of slots, or a part of it: what one program computes, in whatever kernel.

A run can be divided among several programs; the one that ends last joins what all have found, always in the same order.
"""

from typing import no_type_check

import triton
import triton.language as tl

from jukebox.sampling.kernels.rules import read_run

MOST_SPLITS = tl.constexpr(8)
"""Parts of a run at most: more would cost the last program more to join than they spare."""


@triton.jit
@no_type_check
def attend(
    queries, cache, scales, positions, out, parts, stats, ended, gain, factor, stride, item, split, splits,
    RULE, SLOTS, CAPACITY, LENGTH, TAIL, EMPTY,
    HEADS: tl.constexpr, WIDTH: tl.constexpr, EPS: tl.constexpr, ROTARY: tl.constexpr,
    BLOCK_S: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Part `split` of `splits` of what head `item % HEADS` of row `item // HEADS` finds; see `attention`."""
    row, which = (item // HEADS).to(tl.int64), item % HEADS
    position = tl.load(positions + row).to(tl.int32)
    first, count = read_run(position, RULE, CAPACITY, LENGTH, TAIL, EMPTY)
    share = (count + splits - 1) // splits
    begin = split * share
    end = tl.minimum(begin + share, count)
    lanes = tl.arange(0, BLOCK_D)
    inside = lanes < WIDTH
    query = head(queries + row * stride + which * WIDTH, lanes, gain, position, WIDTH, EPS, ROTARY) * factor
    peak = tl.full((), -1e30, tl.float32)
    total = tl.zeros((), tl.float32)
    values = tl.zeros((BLOCK_D,), tl.float32)
    for start in range(begin, end, BLOCK_S):
        place = start + tl.arange(0, BLOCK_S)
        there = place < end
        slot = row * SLOTS + first + place
        pair = (slot * 2 * HEADS + which)[:, None] * WIDTH + lanes[None, :]
        loaded = there[:, None] & inside[None, :]
        key = tl.load(cache + pair, mask=loaded, other=0).to(tl.float32)
        value = tl.load(cache + pair + HEADS * WIDTH, mask=loaded, other=0).to(tl.float32)
        logits = tl.sum(query[None, :] * key, 1)
        if scales is not None:
            scale = slot * 2 * HEADS + which
            logits *= tl.load(scales + scale, mask=there, other=0.0)
            value *= tl.load(scales + scale + HEADS, mask=there, other=0.0)[:, None]
        logits = tl.where(there, logits, -float("inf"))
        higher = tl.maximum(peak, tl.max(logits, 0))
        shrunk = tl.exp(peak - higher)
        weights = tl.exp(logits - higher)
        total = total * shrunk + tl.sum(weights, 0)
        values = values * shrunk + tl.sum(weights[:, None] * value, 0)
        peak = higher
    place = (row * HEADS + which) * WIDTH + lanes
    if splits == 1:
        # No keys at all: nothing was added to either.
        values = values / tl.where(total == 0.0, 1.0, total)
        tl.store(out + place, values.to(out.dtype.element_ty), mask=inside)
    else:
        part = (row * HEADS + which) * splits
        tl.store(parts + (part + split) * WIDTH + lanes, values, mask=inside)
        tl.store(stats + (part + split) * 2, peak)
        tl.store(stats + (part + split) * 2 + 1, total)
        # All threads have stored before one of them says so, to the whole device.
        tl.debug_barrier()
        if tl.atomic_add(ended + row * HEADS + which, 1, sem="acq_rel") == splits - 1:
            joined = _joined(parts + part * WIDTH, stats + part * 2, splits, lanes, WIDTH)
            tl.store(out + place, joined.to(out.dtype.element_ty), mask=inside)
            tl.store(ended + row * HEADS + which, 0)


@triton.jit
@no_type_check
def _joined(parts, stats, splits, lanes, WIDTH: tl.constexpr):
    """What all parts have found together; all are loaded at once, past caches that know nothing of other programs."""
    each = tl.arange(0, MOST_SPLITS)
    there = each < splits
    peaks = tl.load(stats + each * 2, mask=there, other=-1e30, cache_modifier=".cg")
    totals = tl.load(stats + each * 2 + 1, mask=there, other=0.0, cache_modifier=".cg")
    found = tl.load(
        parts + each[:, None] * WIDTH + lanes[None, :], mask=there[:, None] & (lanes < WIDTH)[None, :], other=0.0,
        cache_modifier=".cg",
    )  # fmt: skip
    weights = tl.where(there, tl.exp(peaks - tl.max(peaks, 0)), 0.0)
    whole = tl.sum(weights * totals, 0)
    return tl.sum(weights[:, None] * found, 0) / tl.where(whole == 0.0, 1.0, whole)


@triton.jit
@no_type_check
def head(numbers, lanes, gain, position, WIDTH: tl.constexpr, EPS: tl.constexpr, ROTARY: tl.constexpr):
    """A query or key in float32, normalised where there is a gain, and turned by its position."""
    inside = lanes < WIDTH
    x = tl.load(numbers + lanes, mask=inside, other=0.0).to(tl.float32)
    share = tl.full((), 1.0, tl.float32)
    if gain is not None:
        share = 1.0 / tl.sqrt(tl.sum(x * x, 0) / WIDTH + EPS)
        x *= share * tl.load(gain + lanes, mask=inside, other=0.0).to(tl.float32)
    if ROTARY:
        HALF: tl.constexpr = WIDTH // 2
        other = tl.where(lanes < HALF, lanes + HALF, lanes - HALF)
        y = tl.load(numbers + other, mask=inside, other=0.0).to(tl.float32)
        if gain is not None:
            y *= share * tl.load(gain + other, mask=inside, other=0.0).to(tl.float32)
        # 10000 ** (-i / HALF) by its logarithm.
        angle = position.to(tl.float32) * tl.exp((lanes % HALF).to(tl.float32) * (-9.210340371976184 / HALF))
        x = x * tl.cos(angle) + tl.where(lanes < HALF, -y, y) * tl.sin(angle)
    return x
