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
from jukebox.sampling.kernels.product import product
from jukebox.sampling.kernels.rules import KINDS, dot_kind, over

# Bytes that a large card reads in the 1.3 us between two stages.
_AHEAD = 6 << 20

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

    @property
    def row_bytes(self) -> int:
        """Of all inputs of one output."""
        return self.weight.shape[1] * self.weight.element_size()

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
        weight, step, low, bias = (None if each is None else aligned(each) for each in (weight, step, low, bias))
        assert weight is not None
        return cls(weight=weight, step=step, low=low, bias=bias, bits=bits, inner=inner, outer=weight.shape[0])


def aligned(parameter: Tensor) -> Tensor:
    """A parameter without gaps that can be read 16 bytes at once; one in a mapped file may have to be copied."""
    found = parameter.detach().contiguous()
    return found if found.data_ptr() % 16 == 0 else found.clone()


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
    block = 1 if rows == 1 else 16 if rows <= 16 else 32 if rows <= 32 else 64
    outer, ahead = 16 if matrix.outer <= 4096 else 32, lines_ahead(matrix)
    if block == 1:
        return Tiling(rows=1, outer=outer, inner=8192 // outer, stages=4 if matrix.bits == 16 else 6, ahead=ahead)
    if block == 16:
        return Tiling(rows=block, outer=outer, inner=GROUP, ahead=ahead)
    return Tiling(rows=block, outer=outer, inner=64, stages=2 if matrix.bits == 4 else 3, ahead=ahead)


def lines_ahead(matrix: Matrix) -> int:
    """Lines of 128 bytes of each output that are worth asking for early: what memory gives while a stage begins."""
    most = max(1, _AHEAD // (128 * matrix.outer))
    return min(triton.next_power_of_2(triton.cdiv(matrix.row_bytes, 128)), 1 << most.bit_length() - 1)


def whole_rows(rows: int, inner: int) -> int:
    """Numbers that are read at once for the moments of a row: all, where rows are few, else 0."""
    return triton.next_power_of_2(inner) if rows <= 4 else 0


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
        WHOLE=whole_rows(rows, matrix.inner), AHEAD=divide.ahead, ROW_BYTES=matrix.row_bytes,
        STAGES=divide.stages, num_warps=divide.warps, **launched(dependent),
    )  # fmt: skip


_CONSTANTS: dict[str, float] = {
    "EPS": 0.0, "CONTEXT": 1, "SCALE": 1.0, "QUERY": 0,
    "RULE": 0, "SLOTS": 1, "CAPACITY": 1, "LENGTH": 1, "TAIL": 0, "EMPTY": 0,
}  # fmt: skip


@triton.jit
@no_type_check
def linear_kernel(
    x, weight, step, low, bias, out, gain, shift, residual, base, cache, added, positions, count,
    INNER: tl.constexpr, OUTER: tl.constexpr, BITS: tl.constexpr, BEFORE: tl.constexpr, AFTER: tl.constexpr,
    KIND: tl.constexpr, DOT: tl.constexpr, EPS: tl.constexpr, CONTEXT: tl.constexpr, SCALE: tl.constexpr,
    QUERY: tl.constexpr,
    RULE: tl.constexpr, SLOTS: tl.constexpr, CAPACITY: tl.constexpr, LENGTH: tl.constexpr, TAIL: tl.constexpr,
    EMPTY: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, WHOLE: tl.constexpr,
    STAGES: tl.constexpr, AHEAD: tl.constexpr, ROW_BYTES: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    """See `linear`."""
    # Offsets in 64 bits: the caches of many slots have more than 2 ** 31 numbers.
    rows = (tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)
    outer = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    if DEPENDENT:
        ask_for(weight, outer, OUTER - 1, ROW_BYTES, AHEAD)
    wait_for_the_kernel_before(DEPENDENT)
    product(
        x, weight, step, low, bias, out, gain, shift, residual, base, cache, added, positions, rows, count, outer,
        OUTER, RULE, SLOTS, CAPACITY, LENGTH, TAIL, EMPTY,
        INNER, OUTER, BITS, BEFORE, AFTER, KIND, DOT, EPS, CONTEXT, SCALE, QUERY, BLOCK_M, BLOCK_N, BLOCK_K, WHOLE,
        STAGES,
    )  # fmt: skip
