"""Matrices as the C sources read them, and products with them."""

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import NamedTuple

import torch
from jaxtyping import Float, Int8, Shaped, UInt8
from torch import Tensor

from jukebox.native.library import library
from jukebox.native.structures import Matrix

# As in lanes.h, and in product.h.
_WHOLE, _HALF, _BYTES, _NIBBLES = range(4)
_GROUP, _IN_A_WORD = 128, 8

# Rows that make a second thread worth waiting for, where PyTorch has more than one.
_ROWS_OF_A_THREAD = 64


class Panels(NamedTuple):
    """A matrix in the order in which C reads it.

    Args:
        numbers: all of it, the first dimension its panels.
        kind: of lanes.h.
        outputs, inputs: its size.
        scale: what the results of each output are multiplied by.
    """

    numbers: Shaped[Tensor, "panels ..."]
    kind: int
    outputs: int
    inputs: int
    scale: Float[Tensor, " outputs"] | None = None


def panels(weight: Float[Tensor, "outputs inputs"], *, half: bool) -> Panels:
    """A matrix of usual numbers; not held.

    Args:
        weight: on the CPU.
        half: whether all of them fit in half precision; they are kept so where the processor widens them itself.
    """
    kind, (outputs, inputs) = _HALF if half and _library().has_half() else _WHOLE, weight.shape
    return Panels(_side_by_side(weight, torch.float16 if kind == _HALF else torch.float32), kind, outputs, inputs)


def panels8(weight: Int8[Tensor, "outputs inputs"], scale: Float[Tensor, " outputs"]) -> Panels:
    """A matrix of whole numbers of 8 bits, and what those of each output are multiplied by."""
    outputs, inputs = weight.shape
    return Panels(_side_by_side(weight, torch.int8), _BYTES, outputs, inputs, scale)


def panels4(
    weight: UInt8[Tensor, "outputs bytes"],
    step: Float[Tensor, "outputs groups"],
    low: Float[Tensor, "outputs groups"],
    inputs: int,
) -> Panels:
    """A matrix in 4 bits: an entry is `low + step * number` of its group; as `nn.quantised.Linear4` has it.

    Args:
        weight: numbers of groups of 128 inputs, the last one filled up; the first half of a group is in the lower bits.
        step, low: in half precision.
        inputs: without what the last group is filled up with.
    """
    (outputs, groups), width = step.shape, _library().panel_width()
    grid, word = 2 * 2 * width, _IN_A_WORD // 2  # in bytes
    found = torch.zeros(-(-outputs // width), groups, grid + _GROUP // 2 * width, dtype=torch.uint8)
    for panel, rows, *grids in zip(found, *(each.split(width) for each in (weight, step, low)), strict=True):
        count, halves = len(rows), rows.view(len(rows), groups, 1, -1)
        numbers = torch.cat([halves & 15, halves >> 4], 2).view(count, groups, -1, 2)
        words = (numbers[..., 0] | numbers[..., 1] << 4).view(count, groups, -1, word)
        panel[:, grid:].view(groups, -1, width, word)[:, :, :count] = words.permute(1, 2, 0, 3)
        for place, values in zip(panel[:, :grid].view(torch.float16).chunk(2, 1), grids, strict=True):
            place[:, :count] = values.t()
    return Panels(found, _NIBBLES, outputs, inputs)


def _side_by_side(weight: Tensor, kind: torch.dtype) -> Tensor:
    width = _library().panel_width()
    found = torch.zeros(-(-len(weight) // width), weight.shape[1], width, dtype=kind)
    for panel, rows in zip(found, weight.detach().split(width), strict=True):
        panel[:, : len(rows)] = rows.t()
    return found


def _library() -> ctypes.CDLL:
    found = library()
    assert found is not None
    return found


class NativeMatrix:
    """A packed matrix; called, it multiplies. A row is the same bits among any number of rows and threads."""

    def __init__(self, panels: Panels) -> None:
        self.panels, self._multiply = panels, _library().multiply_matrix

    @property
    def nbytes(self) -> int:
        """What it takes."""
        return self.panels.numbers.nbytes

    def described(self, bias: Float[Tensor, " outputs"] | None = None, after: "NativeMatrix | None" = None) -> Matrix:
        """The matrix for C, which holds none of this.

        Args:
            bias: added to each row.
            after: the matrix that is used next, whose beginning is then asked for.
        """
        numbers, kind, outputs, inputs, scale = self.panels
        return Matrix(
            panels=numbers.data_ptr(), next=(after or self).panels.numbers.data_ptr(),
            scale=None if scale is None else scale.data_ptr(), bias=None if bias is None else bias.data_ptr(),
            inputs=inputs, outputs=outputs, kind=kind,
        )  # fmt: skip

    def __call__(
        self,
        x: Float[Tensor, "*places inputs"],
        bias: Float[Tensor, " outputs"] | None,
        out: Float[Tensor, "*places outputs"] | None = None,
    ) -> Float[Tensor, "*places outputs"]:
        """The results, in `out` where that is given."""
        outputs, inputs = self.panels.outputs, self.panels.inputs
        x, places = x.detach().contiguous(), x.shape[:-1]
        found = x.new_empty(*places, outputs) if out is None else out
        assert x.dtype == found.dtype == torch.float32
        assert found.is_contiguous()
        described, rows = self.described(bias), places.numel()
        threads = max(1, min(torch.get_num_threads(), rows // _ROWS_OF_A_THREAD))

        def some(thread: int) -> None:
            first, last = rows * thread // threads, rows * (thread + 1) // threads
            self._multiply(
                ctypes.byref(described), ctypes.c_void_p(x.data_ptr() + 4 * first * inputs),
                ctypes.c_void_p(found.data_ptr() + 4 * first * outputs), last - first,
            )  # fmt: skip

        share(some, threads)
        return found


def share(work: Callable[[int], None], threads: int) -> None:
    """Call `work` with the numbers of so many threads, the first in this one; C lets the others go on meanwhile."""
    others = [_pool().submit(work, thread) for thread in range(1, threads)]
    work(0)
    for other in others:
        other.result()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="jukebox-native")
