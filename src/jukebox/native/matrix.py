"""Matrices as the C sources read them, and products with them."""

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from jukebox.native.library import library
from jukebox.native.structures import Matrix

# As in lanes.h.
_KINDS = {torch.float32: 0, torch.float16: 1, torch.int8: 2}

# Rows that make a second thread worth waiting for, where PyTorch has more than one.
_ROWS_OF_A_THREAD = 64


class NativeMatrix:
    """A packed matrix; called, it multiplies. A row is the same bits among any number of rows and threads.

    Args:
        weight: [outputs, inputs] on the CPU, whole numbers of 8 bits or any others; not held.
        half: whether all its numbers fit in half precision; they are kept so where the processor widens them itself.
        scale: what whole numbers of each output are multiplied by.
    """

    def __init__(
        self, weight: Shaped[Tensor, "outputs inputs"], *, half: bool, scale: Float[Tensor, " outputs"] | None = None
    ) -> None:
        library_ = library()
        assert library_ is not None
        (self.outputs, self.inputs), width = weight.shape, library_.panel_width()
        self._multiply, self._scale = library_.multiply_matrix, scale
        kind = torch.float16 if half and library_.has_half() else torch.float32
        assert (weight.dtype == torch.int8) == (scale is not None)
        panels = -(-self.outputs // width)
        self.panels = torch.zeros(panels, self.inputs, width, dtype=kind if scale is None else torch.int8)
        for panel, rows in zip(self.panels, weight.detach().split(width), strict=True):
            panel[:, : len(rows)] = rows.t()

    def described(self, bias: Float[Tensor, " outputs"] | None = None, after: "NativeMatrix | None" = None) -> Matrix:
        """The matrix for C, which holds none of this.

        Args:
            bias: added to each row.
            after: the matrix that is used next, whose beginning is then asked for.
        """
        return Matrix(
            panels=self.panels.data_ptr(), next=(after or self).panels.data_ptr(),
            scale=None if self._scale is None else self._scale.data_ptr(),
            bias=None if bias is None else bias.data_ptr(),
            inputs=self.inputs, outputs=self.outputs, kind=_KINDS[self.panels.dtype],
        )  # fmt: skip

    def __call__(
        self,
        x: Float[Tensor, "*places inputs"],
        bias: Float[Tensor, " outputs"] | None,
        out: Float[Tensor, "*places outputs"] | None = None,
    ) -> Float[Tensor, "*places outputs"]:
        """The results, in `out` where that is given."""
        x, places = x.detach().contiguous(), x.shape[:-1]
        found = x.new_empty(*places, self.outputs) if out is None else out
        assert x.dtype == found.dtype == torch.float32
        assert found.is_contiguous()
        described, rows = self.described(bias), places.numel()
        threads = max(1, min(torch.get_num_threads(), rows // _ROWS_OF_A_THREAD))

        def some(thread: int) -> None:
            first, last = rows * thread // threads, rows * (thread + 1) // threads
            self._multiply(
                ctypes.byref(described), ctypes.c_void_p(x.data_ptr() + 4 * first * self.inputs),
                ctypes.c_void_p(found.data_ptr() + 4 * first * self.outputs), last - first,
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
