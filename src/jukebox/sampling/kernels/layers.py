"""All layers of a step in one launch, for few rows: programs that run at the same time, and a barrier between stages.

Five stages for each layer, as the kernels of `linear` and `attention`, whose functions do the work. What differs from
layer to layer lies in a table on the device. Every program has its share of each stage: some outputs of a product, some
parts of attentions. Between a barrier's two halves it asks for the beginning of its share of the next matrix.
"""

from dataclasses import dataclass
from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

from jukebox.nn.quantised import GROUP
from jukebox.sampling.kernels.attend import attend
from jukebox.sampling.kernels.attention import Parts
from jukebox.sampling.kernels.barrier import arrive, wait
from jukebox.sampling.kernels.dependent import ask_for
from jukebox.sampling.kernels.linear import Matrix, lines_ahead, whole_rows
from jukebox.sampling.kernels.product import product
from jukebox.sampling.kernels.rules import INTERPRETED, KINDS, dot_kind, over

STAGES = 5
"""Of a layer: to queries, keys and values; attention; projection; into the MLP; out of it."""

MOST_ROWS = 16

# Of a layer in the table: for each of four matrices its own address and those of its steps, lowest values and bias; for
# each of two norms those of gain and shift; that of the cache. Then numbers: outputs of the first matrix, the rule, and
# the parts of an attention.
_NORMS, _CACHE, _OUTPUTS, _RULE, _SPLITS, _FIELDS = (tl.constexpr(value) for value in (16, 20, 21, 22, 28, 32))


@dataclass(frozen=True, kw_only=True)
class LayerPlan:
    """A layer as the table has it.

    Args:
        matrices: to queries (keys and values), projection, into the MLP and out of it; all with a bias.
        norms: gain and shift before the attention and before the MLP.
        cache: [rows, slots, 2, heads, width].
        rule: constants of its pattern.
        splits: parts of an attention.
    """

    matrices: tuple[Matrix, Matrix, Matrix, Matrix]
    norms: tuple[Tensor, Tensor, Tensor, Tensor]
    cache: Tensor
    rule: dict[str, Any]
    splits: int

    def fields(self) -> list[int]:
        """The row of the table."""
        tensors = [part for m in self.matrices for part in (m.weight, m.step, m.low, m.bias)]
        addresses = [0 if tensor is None else tensor.data_ptr() for tensor in (*tensors, *self.norms, self.cache)]
        assert all(address % 16 == 0 for address in addresses), "the kernel reads 16 bytes at once"
        names = ("RULE", "SLOTS", "CAPACITY", "LENGTH", "TAIL", "EMPTY")
        found = [*addresses, self.matrices[0].outer, *(self.rule[name] for name in names), self.splits]
        return found + [0] * (_FIELDS.value - len(found))


@dataclass(frozen=True, kw_only=True)
class Buffers:
    """What stages leave for those that follow: [rows, ...] each.

    Args:
        x: the residual stream, before and after all layers; `y` in the middle of one: float32.
        hidden: of the MLP.
        queries: of all heads.
        attended: by all heads.
        parts: of attentions.
    """

    x: Tensor
    y: Tensor
    hidden: Tensor
    queries: Tensor
    attended: Tensor
    parts: Parts


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How a product is shared and computed.

    Args:
        programs: on each multiprocessor; all must have room there at once.
        warps: of a program.
        loads: under way.
        numbers: of the matrix at a time, of all its outputs; in 4 bits `GROUP` inputs of each.
        inner: of these, inputs at most.
    """

    programs: int = 1
    warps: int
    loads: int
    numbers: int
    inner: int


def shares(rows: int, bits: int) -> Shares:
    """By rule: a single row fills many registers with sums, several rows use matrix units, which few warps feed.

    `bench/gpu.py --parts tune` measures others.
    """
    if rows == 1:
        return Shares(warps=8, loads=3 if bits == 16 else 4, numbers=16384, inner=1024)
    return Shares(warps=4, loads=3, numbers=8192, inner=256)


class Layers:
    """All layers of a prior as one kernel.

    Args:
        plans: of the layers; everything must stay where it is in memory.
        buffers: of so many rows as there are, `MOST_ROWS` at most.
        heads: of an attention.
        kind: what factors are rounded to.
        eps: of the norms.
        scale: of what a layer adds to its input.
        programs: that share each stage, and all run at the same time.
        divide: how each computes its share.
    """

    def __init__(
        self, plans: list[LayerPlan], buffers: Buffers, heads: int, kind: torch.dtype, eps: float, scale: float,
        programs: int, divide: Shares,
    ) -> None:  # fmt: skip
        device, (first, projection, inner, outer) = buffers.x.device, _widest(plans)
        assert len(buffers.x) <= MOST_ROWS
        assert all(m.bias is not None and m.bits == first.bits for plan in plans for m in plan.matrices)
        self._plans, self._buffers, self._programs, self._stages = plans, buffers, programs, STAGES * len(plans)
        self._barrier = torch.zeros(1, dtype=torch.int32, device=device)
        # Only sizes are known of what is on the meta device.
        rows = [[0] * _FIELDS.value if device.type == "meta" else plan.fields() for plan in plans]
        self._table = torch.tensor(rows).to(device)
        count, bits, width = len(buffers.x), first.bits, buffers.parts.values.shape[-1]
        self._warps = divide.warps
        self._constants: dict[str, Any] = {
            "ROWS": count, "WIDTH": inner.inner, "INNER": inner.outer, "ATTENDED": projection.inner, "HEADS": heads,
            "BITS": bits, "KIND": KINDS[kind], "DOT": dot_kind(kind),
            "WEIGHT": {16: KINDS[kind], 8: tl.int8, 4: tl.uint8}[bits], "STEP": tl.float16 if bits == 4 else tl.float32,
            "EPS": eps, "SCALE": scale, "WHOLE": whole_rows(count, inner.inner), "BLOCK_M": 1 if count == 1 else 16,
            "LOADS": divide.loads, "BLOCK_S": 32 if width <= 256 else 16,
            "BLOCK_D": triton.next_power_of_2(width),
        }  # fmt: skip
        for name, matrix in (("FIRST", first), ("PROJECTION", projection), ("INNER", inner), ("OUTER", outer)):
            share = max(16, triton.next_power_of_2(triton.cdiv(matrix.outer, programs)))
            self._constants |= {
                f"N_{name}": share,
                f"K_{name}": GROUP if bits == 4 else min(divide.inner, divide.numbers // share),
                f"BYTES_{name}": matrix.row_bytes,
                f"AHEAD_{name}": lines_ahead(matrix),
            }

    def run(self, positions: Tensor) -> None:
        """Launch all stages at once; in the interpreter, whose programs run one after the other, each by itself."""
        if not INTERPRETED:
            self.launch(positions, 0, self._stages)
            return
        for stage in range(self._stages):
            self.launch(positions, stage, stage + 1)

    def launch(self, positions: Tensor, first: int, last: int) -> None:
        """Launch some stages."""
        buffers, parts = self._buffers, self._buffers.parts
        over(layers_kernel, self._programs)(
            self._table, positions, buffers.x, buffers.y, buffers.hidden, buffers.queries, buffers.attended,
            parts.values, parts.stats, parts.ended, self._barrier, parts.values.shape[-1] ** -0.5, first, last,
            **self._constants, num_warps=self._warps, launch_cooperative_grid=True,
        )  # fmt: skip


def _widest(plans: list[LayerPlan]) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """Matrices of the layer with most outputs of the first: others have fewer there, and all else alike."""
    return max((plan.matrices for plan in plans), key=lambda matrices: matrices[0].outer)


@triton.jit(do_not_specialize=["first", "last"])
@no_type_check
def layers_kernel(
    table, positions, x, y, hidden, queries, attended, parts, stats, ended, barrier, factor, first, last,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, INNER: tl.constexpr, ATTENDED: tl.constexpr, HEADS: tl.constexpr,
    BITS: tl.constexpr, KIND: tl.constexpr, DOT: tl.constexpr, WEIGHT: tl.constexpr, STEP: tl.constexpr,
    EPS: tl.constexpr, SCALE: tl.constexpr, WHOLE: tl.constexpr, BLOCK_M: tl.constexpr, LOADS: tl.constexpr,
    BLOCK_S: tl.constexpr, BLOCK_D: tl.constexpr,
    N_FIRST: tl.constexpr, K_FIRST: tl.constexpr, BYTES_FIRST: tl.constexpr, AHEAD_FIRST: tl.constexpr,
    N_PROJECTION: tl.constexpr, K_PROJECTION: tl.constexpr, BYTES_PROJECTION: tl.constexpr,
    AHEAD_PROJECTION: tl.constexpr,
    N_INNER: tl.constexpr, K_INNER: tl.constexpr, BYTES_INNER: tl.constexpr, AHEAD_INNER: tl.constexpr,
    N_OUTER: tl.constexpr, K_OUTER: tl.constexpr, BYTES_OUTER: tl.constexpr, AHEAD_OUTER: tl.constexpr,
):  # fmt: skip
    """See `Layers`."""
    program, programs = tl.program_id(0), tl.num_programs(0)
    for stage in range(first, last):
        layer = table + stage // 5 * _FIELDS
        kind = stage % 5
        if kind == 0:
            rule, slots, capacity, length, tail, empty = _rule(layer)
            _share(
                x, layer, 0, queries, _address(layer, _NORMS, KIND), _address(layer, _NORMS + 1, KIND), None, None,
                _address(layer, _CACHE, KIND), positions, _number(layer, _OUTPUTS), program, programs,
                rule, slots, capacity, length, tail, empty,
                WIDTH, ATTENDED, BITS, 1, 3, KIND, DOT, WEIGHT, STEP, EPS, 1.0, ATTENDED, ROWS, BLOCK_M, N_FIRST,
                K_FIRST, WHOLE, LOADS,
            )  # fmt: skip
        elif kind == 1:
            splits = _number(layer, _SPLITS)
            rule, slots, capacity, length, tail, empty = _rule(layer)
            for part in range(program, ROWS * HEADS * splits, programs):
                attend(
                    queries, _address(layer, _CACHE, KIND), None, positions, attended, parts, stats, ended, None,
                    factor, ATTENDED, part // splits, part % splits, splits,
                    rule, slots, capacity, length, tail, empty,
                    HEADS, ATTENDED // HEADS, 0.0, False, BLOCK_S, BLOCK_D,
                )  # fmt: skip
        elif kind == 2:
            _share(
                attended, layer, 1, y, None, None, x, None, None, None, WIDTH, program, programs,
                0, 1, 1, 1, 0, 0,
                ATTENDED, WIDTH, BITS, 0, 2, KIND, DOT, WEIGHT, STEP, EPS, 1.0, 0, ROWS, BLOCK_M, N_PROJECTION,
                K_PROJECTION, 0, LOADS,
            )  # fmt: skip
        elif kind == 3:
            _share(
                y, layer, 2, hidden, _address(layer, _NORMS + 2, KIND), _address(layer, _NORMS + 3, KIND), None, None,
                None, None, INNER, program, programs,
                0, 1, 1, 1, 0, 0,
                WIDTH, INNER, BITS, 1, 1, KIND, DOT, WEIGHT, STEP, EPS, 1.0, 0, ROWS, BLOCK_M, N_INNER,
                K_INNER, WHOLE, LOADS,
            )  # fmt: skip
        else:
            _share(
                hidden, layer, 3, x, None, None, y, x, None, None, WIDTH, program, programs,
                0, 1, 1, 1, 0, 0,
                INNER, WIDTH, BITS, 0, 2, KIND, DOT, WEIGHT, STEP, EPS, SCALE, 0, ROWS, BLOCK_M, N_OUTER,
                K_OUTER, 0, LOADS,
            )  # fmt: skip
        if stage + 1 < last:
            arrived = arrive(barrier, program, programs)
            if kind == 0:
                _ask(layer, 1, WIDTH, program, programs, WEIGHT, BYTES_PROJECTION, AHEAD_PROJECTION, N_PROJECTION)
            elif kind == 2:
                _ask(layer, 2, INNER, program, programs, WEIGHT, BYTES_INNER, AHEAD_INNER, N_INNER)
            elif kind == 3:
                _ask(layer, 3, WIDTH, program, programs, WEIGHT, BYTES_OUTER, AHEAD_OUTER, N_OUTER)
            elif kind == 4:
                next_layer = layer + _FIELDS
                outputs = _number(next_layer, _OUTPUTS)
                _ask(next_layer, 0, outputs, program, programs, WEIGHT, BYTES_FIRST, AHEAD_FIRST, N_FIRST)
            wait(barrier, arrived)


@triton.jit
@no_type_check
def _number(layer, field):
    return tl.load(layer + field).to(tl.int32)


@triton.jit
@no_type_check
def _address(layer, field, KIND: tl.constexpr):
    """What a field points to, which is known to lie at a multiple of 16 bytes."""
    return tl.multiple_of(tl.load(layer + field).to(tl.pointer_type(KIND)), 16)


@triton.jit
@no_type_check
def _rule(layer):
    """The six numbers of a rule."""
    return (
        _number(layer, _RULE), _number(layer, _RULE + 1), _number(layer, _RULE + 2), _number(layer, _RULE + 3),
        _number(layer, _RULE + 4), _number(layer, _RULE + 5),
    )  # fmt: skip


@triton.jit
@no_type_check
def _begin(outputs, program, programs):
    """The first output of a program's share, and the one after the last."""
    share = (outputs + programs - 1) // programs
    return program * share, tl.minimum(program * share + share, outputs)


@triton.jit
@no_type_check
def _ask(
    layer, which, outputs, program, programs, WEIGHT: tl.constexpr, BYTES: tl.constexpr, LINES: tl.constexpr,
    BLOCK_N: tl.constexpr,
):  # fmt: skip
    """Ask for the beginning of a program's share of a matrix."""
    begin, end = _begin(outputs, program, programs)
    outer = begin + tl.arange(0, BLOCK_N)
    ask_for(_address(layer, 4 * which, WEIGHT), tl.minimum(outer, end - 1), outputs - 1, BYTES, LINES)


@triton.jit
@no_type_check
def _share(
    x, layer, which, out, gain, shift, residual, base, cache, positions, outputs, program, programs,
    rule, slots, capacity, length, tail, empty,
    INNER: tl.constexpr, STRIDE: tl.constexpr, BITS: tl.constexpr, BEFORE: tl.constexpr, AFTER: tl.constexpr,
    KIND: tl.constexpr, DOT: tl.constexpr, WEIGHT: tl.constexpr, STEP: tl.constexpr, EPS: tl.constexpr,
    SCALE: tl.constexpr, QUERY: tl.constexpr, ROWS: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr, WHOLE: tl.constexpr, LOADS: tl.constexpr,
):  # fmt: skip
    """A program's share of a product with one of a layer's matrices."""
    begin, end = _begin(outputs, program, programs)
    if begin < end:
        matrix = layer + 4 * which
        product(
            x, _address(matrix, 0, WEIGHT), _address(matrix, 1, STEP), _address(matrix, 2, STEP),
            _address(matrix, 3, KIND), out, gain, shift, residual, base, cache, None, positions,
            tl.arange(0, BLOCK_M).to(tl.int64), ROWS, begin + tl.arange(0, BLOCK_N), end,
            rule, slots, capacity, length, tail, empty,
            INNER, STRIDE, BITS, BEFORE, AFTER, KIND, DOT, EPS, 1, SCALE, QUERY, BLOCK_M, BLOCK_N, BLOCK_K, WHOLE,
            LOADS,
        )  # fmt: skip
