"""A product with a matrix for the few rows of a step, with what comes before and after it in the same kernel.

Before: nothing; a norm; adding what a prior is conditioned on. After: nothing; quick_gelu; adding a residual; writing
keys and values into a cache. The matrix is read once, in 16 or 32 bits, in 8 or in 4. A program computes some outputs
of some rows; sums are in float32, always in the same order.
"""

from dataclasses import dataclass
from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

from jukebox.nn.packed import PackedLinear
from jukebox.nn.quantised import GROUP, Linear4, Linear8
from jukebox.sampling.kernels.dependent import ask_for, launched, wait_for_the_kernel_before
from jukebox.sampling.kernels.rules import KINDS, dot_kind, over, write_slot

PLAIN, NORM, ADD = range(3)
STORE, GELU, RESIDUAL, PAIRS = range(4)


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """A linear map as a kernel reads it.

    Args:
        weight: [outer, inner], or packed.
        step: of each output in 8 bits, of each group in 4.
        low: of each group in 4 bits.
        bias: of the outputs.
        bits: 4, 8, or those of the weight's own type.
        inner: how many inputs.
        outer: how many outputs.
    """

    weight: Tensor
    step: Tensor | None
    low: Tensor | None
    bias: Tensor | None
    bits: int
    inner: int
    outer: int

    @classmethod
    def of(cls, module: nn.Module) -> "Matrix":
        """Of a linear map of any precision."""
        assert not isinstance(module, PackedLinear), "matrices packed for a processor are not for kernels"
        step = low = None
        if isinstance(module, Linear8):
            weight, bits, step, inner = module.weight, 8, module.scale, module.weight.shape[1]
        elif isinstance(module, Linear4):
            weight, bits, step, low, inner = module.weight, 4, module.step, module.low, module.inner
        else:
            assert isinstance(module, nn.Linear)
            weight, bits, inner = module.weight.detach(), 16, module.in_features
        bias = module.bias
        assert bias is None or isinstance(bias, Tensor)
        return cls(
            weight=weight.contiguous(), step=step, low=low, bias=None if bias is None else bias.detach(), bits=bits,
            inner=inner, outer=weight.shape[0],
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """How a product is divided.

    Args:
        rows: of a program.
        outer: outputs of a program.
        inner: inputs at a time.
        warps: of a program.
        stages: loads under way.
        ahead: lines of 128 bytes of each output that are asked for while the kernel before still runs.
    """

    rows: int
    outer: int
    inner: int
    warps: int = 4
    stages: int = 4
    ahead: int = 8


def tiling(rows: int, matrix: Matrix) -> Tiling:
    """A division by rule: enough programs for a large card, loads under way in each, room on a small one (99 KB).

    `bench/gpu.py --parts tune` measures others.
    """
    block = 16 if rows <= 16 else 32 if rows <= 32 else 64
    outer = 16 if matrix.outer <= 4096 else 32
    if block == 16:
        return Tiling(rows=block, outer=outer, inner=GROUP)
    return Tiling(rows=block, outer=outer, inner=64, stages=2 if matrix.bits == 4 else 3)


def linear(
    x: Tensor,
    matrix: Matrix,
    out: Tensor,
    kind: torch.dtype,
    *,
    before: int = PLAIN,
    after: int = STORE,
    divide: Tiling | None = None,
    dependent: bool = False,
    **more: Any,
) -> None:
    """Launch the product of every row of `x`.

    Args:
        x: [rows, inner].
        matrix: of the map.
        out: [rows, outer]; for PAIRS the queries [rows, query].
        kind: what factors are rounded to.
        before: PLAIN; NORM with `gain`, `shift` and `EPS`; ADD with `added` [rows, CONTEXT, inner] and `positions`.
        after: STORE; GELU; RESIDUAL with `residual` (and `base` where `SCALE` is not 1); PAIRS with `cache`,
            `positions` and the constants of a rule.
        divide: how it is divided.
        dependent: begins while the kernel before still runs.
    """
    rows = len(out)
    divide = divide or tiling(rows, matrix)
    names = ("gain", "shift", "residual", "base", "cache", "added", "positions")
    pointers = {name: more.pop(name, None) for name in names}
    constants = {name: more.pop(name, value) for name, value in _CONSTANTS.items()}
    assert not more, more
    over(linear_kernel, triton.cdiv(matrix.outer, divide.outer), triton.cdiv(rows, divide.rows))(
        x, matrix.weight, matrix.step, matrix.low, matrix.bias, out, *pointers.values(), rows,
        INNER=matrix.inner, OUTER=matrix.outer, BITS=matrix.bits, BEFORE=before, AFTER=after,
        KIND=KINDS[kind], DOT=dot_kind(kind), **constants,
        BLOCK_M=divide.rows, BLOCK_N=divide.outer, BLOCK_K=GROUP if matrix.bits == 4 else divide.inner,
        AHEAD=divide.ahead, num_warps=divide.warps, num_stages=divide.stages, **launched(dependent),
    )  # fmt: skip


_CONSTANTS: dict[str, float] = {
    "EPS": 0.0, "CONTEXT": 1, "SCALE": 1.0, "QUERY": 0,
    "RULE": 0, "SLOTS": 1, "CAPACITY": 1, "LENGTH": 1, "TAIL": 0, "EMPTY": 0,
}  # fmt: skip


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
def linear_kernel(
    x, weight, step, low, bias, out, gain, shift, residual, base, cache, added, positions, count,
    INNER: tl.constexpr, OUTER: tl.constexpr, BITS: tl.constexpr, BEFORE: tl.constexpr, AFTER: tl.constexpr,
    KIND: tl.constexpr, DOT: tl.constexpr, EPS: tl.constexpr, CONTEXT: tl.constexpr, SCALE: tl.constexpr,
    QUERY: tl.constexpr,
    RULE: tl.constexpr, SLOTS: tl.constexpr, CAPACITY: tl.constexpr, LENGTH: tl.constexpr, TAIL: tl.constexpr,
    EMPTY: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, AHEAD: tl.constexpr,
    DEPENDENT: tl.constexpr,
):  # fmt: skip
    """See `linear`."""
    # Offsets in 64 bits: the caches of many slots have more than 2 ** 31 numbers.
    rows = (tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)
    outer = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    if DEPENDENT:
        WIDTH: tl.constexpr = (INNER + BLOCK_K - 1) // BLOCK_K * (BLOCK_K // 2) if BITS == 4 else INNER
        ask_for(weight, outer, OUTER - 1, WIDTH * (weight.dtype.element_ty.primitive_bitwidth // 8), AHEAD)
    wait_for_the_kernel_before(DEPENDENT)
    there, wanted = rows < count, outer < OUTER
    at = tl.zeros((BLOCK_M,), tl.int64)
    if BEFORE == 2 or AFTER == 3:
        at = tl.load(positions + rows, mask=there, other=0)
    mean = tl.zeros((BLOCK_M,), tl.float32)
    deviation = tl.zeros((BLOCK_M,), tl.float32)
    if BEFORE == 1:
        for start in range(0, INNER, BLOCK_K):
            columns = start + tl.arange(0, BLOCK_K)
            here = there[:, None] & (columns < INNER)[None, :]
            mean += tl.sum(tl.load(x + rows[:, None] * INNER + columns[None, :], mask=here, other=0.0), 1)
        mean = mean / INNER
        for start in range(0, INNER, BLOCK_K):
            columns = start + tl.arange(0, BLOCK_K)
            here = there[:, None] & (columns < INNER)[None, :]
            apart = tl.load(x + rows[:, None] * INNER + columns[None, :], mask=here, other=0.0) - mean[:, None]
            deviation += tl.sum(tl.where(here, apart * apart, 0.0), 1)
        deviation = 1.0 / tl.sqrt(deviation / INNER + EPS)

    found = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    if BITS == 4:
        HALF: tl.constexpr = BLOCK_K // 2
        GROUPS: tl.constexpr = (INNER + BLOCK_K - 1) // BLOCK_K
        for group in range(0, GROUPS):
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
                found += tl.dot(inputs.to(KIND).to(DOT), tl.trans(matrix.to(DOT)), input_precision="ieee")
    else:
        for start in range(0, INNER, BLOCK_K):
            columns = start + tl.arange(0, BLOCK_K)
            here = there[:, None] & (columns < INNER)[None, :]
            matrix = tl.load(
                weight + outer[:, None] * INNER + columns[None, :],
                mask=wanted[:, None] & (columns < INNER)[None, :],
                other=0,
            )
            inputs = _inputs(x, gain, shift, added, rows, columns, here, mean, deviation, at, INNER, BEFORE, CONTEXT)
            found += tl.dot(inputs.to(KIND).to(DOT), tl.trans(matrix.to(DOT)), input_precision="ieee")
    if BITS == 8:
        found *= tl.load(step + outer, mask=wanted, other=0.0)[None, :]
    if bias is not None:
        found += tl.load(bias + outer, mask=wanted, other=0.0).to(tl.float32)[None, :]

    target = there[:, None] & wanted[None, :]
    if AFTER == 3:
        queries = outer < QUERY
        tl.store(out + rows[:, None] * QUERY + outer[None, :], found.to(out.dtype.element_ty),
                 mask=target & queries[None, :])  # fmt: skip
        slot = write_slot(at, RULE, CAPACITY, LENGTH, TAIL, EMPTY)
        pair = cache + ((rows * SLOTS + slot) * (2 * QUERY))[:, None] + (outer - QUERY)[None, :]
        tl.store(pair, found.to(cache.dtype.element_ty), mask=target & (outer >= QUERY)[None, :])
    else:
        place = rows[:, None] * OUTER + outer[None, :]
        if AFTER == 1:
            found = found / (1.0 + tl.exp(-1.702 * found))
        if AFTER == 2:
            found += tl.load(residual + place, mask=target, other=0.0)
            if SCALE != 1.0:
                found = (1.0 - SCALE) * tl.load(base + place, mask=target, other=0.0) + SCALE * found
        tl.store(out + place, found.to(out.dtype.element_ty), mask=target)
