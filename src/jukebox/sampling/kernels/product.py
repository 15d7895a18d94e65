"""The product of some rows of a step with some outputs of a matrix: what one program computes, in whatever kernel.

Sums are in float32, always in the same order. Rules of patterns are constants here or numbers, as the kernel has them.
"""

from typing import no_type_check

import triton
import triton.language as tl

from jukebox.sampling.kernels.rules import write_slot


@triton.jit
@no_type_check
def product(
    x, weight, step, low, bias, out, gain, shift, residual, base, cache, added, positions, rows, count, outer, end,
    RULE, SLOTS, CAPACITY, LENGTH, TAIL, EMPTY,
    INNER: tl.constexpr, STRIDE: tl.constexpr, BITS: tl.constexpr, BEFORE: tl.constexpr, AFTER: tl.constexpr,
    KIND: tl.constexpr, DOT: tl.constexpr, EPS: tl.constexpr, CONTEXT: tl.constexpr, SCALE: tl.constexpr,
    QUERY: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, WHOLE: tl.constexpr,
    STAGES: tl.constexpr,
):  # fmt: skip
    """Outputs `outer` before `end` of `rows` before `count`, with what comes before and after them (see `linear`).

    STRIDE is that of the outputs. A single row (BLOCK_M is 1) is multiplied without matrix units, whose layouts would
    cost more than they spare. WHOLE: a power of two that holds a row, where there are few; else 0. STAGES: loads under
    way, said of the loop itself, for without a product of matrices the compiler would not overlap them.
    """
    there, wanted = rows < count, outer < end
    at = tl.zeros((BLOCK_M,), tl.int64)
    if BEFORE == 2 or AFTER == 3:
        at = tl.load(positions + rows, mask=there, other=0)
    mean = tl.zeros((BLOCK_M,), tl.float32)
    deviation = tl.zeros((BLOCK_M,), tl.float32)
    if BEFORE == 1:
        mean, deviation = _moments(x, rows, there, count, INNER, EPS, BLOCK_M, WHOLE)

    found = tl.zeros((BLOCK_N, BLOCK_K) if BLOCK_M == 1 else (BLOCK_M, BLOCK_N), tl.float32)
    if BITS == 4:
        HALF: tl.constexpr = BLOCK_K // 2
        GROUPS: tl.constexpr = (INNER + BLOCK_K - 1) // BLOCK_K
        if BLOCK_M == 1:
            found = tl.zeros((BLOCK_N, HALF), tl.float32)
        for group in tl.range(0, GROUPS, num_stages=STAGES):
            place = tl.arange(0, HALF)
            bytes_ = tl.load(
                weight + outer[:, None] * (GROUPS * HALF) + group * HALF + place[None, :], mask=wanted[:, None], other=0
            )
            size = tl.load(step + outer * GROUPS + group, mask=wanted, other=0.0).to(tl.float32)[:, None]
            least = tl.load(low + outer * GROUPS + group, mask=wanted, other=0.0).to(tl.float32)[:, None]
            for half in tl.static_range(2):
                columns = group * BLOCK_K + half * HALF + place
                here = there[:, None] & (columns < INNER)[None, :]
                inputs = _inputs(
                    x, gain, shift, added, rows, columns, here, mean, deviation, at, INNER, BEFORE, CONTEXT
                )
                numbers = (bytes_ >> (4 * half)) & 15
                matrix = (least + size * numbers.to(tl.float32)).to(KIND)
                found = _added(found, inputs, matrix, KIND, DOT, BLOCK_M)
    else:
        for start in tl.range(0, INNER, BLOCK_K, num_stages=STAGES):
            columns = start + tl.arange(0, BLOCK_K)
            here = there[:, None] & (columns < INNER)[None, :]
            matrix = tl.load(
                weight + outer[:, None] * INNER + columns[None, :],
                mask=wanted[:, None] & (columns < INNER)[None, :],
                other=0,
            )
            inputs = _inputs(x, gain, shift, added, rows, columns, here, mean, deviation, at, INNER, BEFORE, CONTEXT)
            found = _added(found, inputs, matrix, KIND, DOT, BLOCK_M)
    if BLOCK_M == 1:
        found = tl.sum(found, 1)[None, :]
    if BITS == 8:
        found *= tl.load(step + outer, mask=wanted, other=0.0)[None, :]
    if bias is not None:
        found += tl.load(bias + outer, mask=wanted, other=0.0).to(tl.float32)[None, :]

    target = there[:, None] & wanted[None, :]
    if AFTER == 3:
        queries = outer < QUERY
        tl.store(out + rows[:, None] * QUERY + outer[None, :], found.to(out.dtype.element_ty),
                 mask=target & queries[None, :])  # fmt: skip
        slot = write_slot(at.to(tl.int32), RULE, CAPACITY, LENGTH, TAIL, EMPTY)
        pair = cache + ((rows * SLOTS + slot) * (2 * QUERY))[:, None] + (outer - QUERY)[None, :]
        tl.store(pair, found.to(cache.dtype.element_ty), mask=target & (outer >= QUERY)[None, :])
    else:
        place = rows[:, None] * STRIDE + outer[None, :]
        if AFTER == 1:
            found = found / (1.0 + tl.exp(-1.702 * found))
        if AFTER == 2:
            found += tl.load(residual + place, mask=target, other=0.0)
            if SCALE != 1.0:
                found = (1.0 - SCALE) * tl.load(base + place, mask=target, other=0.0) + SCALE * found
        tl.store(out + place, found.to(out.dtype.element_ty), mask=target)


@triton.jit
@no_type_check
def _added(found, inputs, matrix, KIND: tl.constexpr, DOT: tl.constexpr, BLOCK_M: tl.constexpr):
    """The sums with one more product of inputs and matrix; those of a single row are summed up later."""
    if BLOCK_M == 1:
        found += inputs.to(KIND).to(tl.float32) * matrix.to(tl.float32)
    else:
        found += tl.dot(inputs.to(KIND).to(DOT), tl.trans(matrix.to(DOT)), input_precision="ieee")
    return found


@triton.jit
@no_type_check
def _inputs(
    x, gain, shift, added, rows, columns, here, mean, deviation, positions,
    INNER: tl.constexpr, BEFORE: tl.constexpr, CONTEXT: tl.constexpr,
):  # fmt: skip
    """Some inputs of some rows in float32, with what comes before the product."""
    found = tl.load(x + rows[:, None] * INNER + columns[None, :], mask=here, other=0.0).to(tl.float32)
    if BEFORE == 1:
        g = tl.load(gain + columns, mask=columns < INNER, other=0.0).to(tl.float32)
        s = tl.load(shift + columns, mask=columns < INNER, other=0.0).to(tl.float32)
        found = (found - mean[:, None]) * deviation[:, None] * g[None, :] + s[None, :]
    if BEFORE == 2:
        at = (rows[:, None] * CONTEXT + positions[:, None]) * INNER + columns[None, :]
        found += tl.load(added + at, mask=here, other=0.0).to(tl.float32)
    # What is beyond the last input or row shall add nothing.
    return tl.where(here, found, 0.0)


@triton.jit
@no_type_check
def _moments(x, rows, there, count, INNER: tl.constexpr, EPS: tl.constexpr, BLOCK_M: tl.constexpr, WHOLE: tl.constexpr):
    """Mean of each row, and the inverse of its deviation.

    Few rows are read whole, one after the other, for every load that waits for another costs as much as a stage; many
    rows block by block, each joined with those before it.
    """
    mean = tl.zeros((BLOCK_M,), tl.float32)
    squares = tl.zeros((BLOCK_M,), tl.float32)
    if WHOLE > 0:
        columns = tl.arange(0, WHOLE)
        inside = columns < INNER
        for row in range(0, count):
            numbers = tl.load(x + row * INNER + columns, mask=inside, other=0.0)
            own = tl.sum(numbers, 0) / INNER
            apart = tl.where(inside, numbers - own, 0.0)
            mean = tl.where(rows == row, own, mean)
            squares = tl.where(rows == row, tl.sum(apart * apart, 0), squares)
    else:
        BLOCK: tl.constexpr = 4096 // BLOCK_M
        for start in range(0, INNER, BLOCK):
            columns = start + tl.arange(0, BLOCK)
            here = there[:, None] & (columns < INNER)[None, :]
            numbers = tl.load(x + rows[:, None] * INNER + columns[None, :], mask=here, other=0.0)
            size = tl.minimum(INNER - start, BLOCK).to(tl.float32)
            own = tl.sum(numbers, 1) / size
            apart = tl.where(here, numbers - own[:, None], 0.0)
            share, moved = size / (start + size), own - mean
            mean += moved * share
            squares += tl.sum(apart * apart, 1) + moved * moved * share * start
    return mean, 1.0 / tl.sqrt(squares / INNER + EPS)
