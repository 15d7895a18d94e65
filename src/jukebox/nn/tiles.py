"""Dilated convolutions of rows in tiles that stay in a processor's cache, near its arithmetic rate.

What the three taps of a kernel see of a tile is laid side by side, so that a tile is one matrix: its product with the
kernel is the convolution, its product with the result's gradient is the kernel's gradient, and both go to the faster
of two libraries (`nn.linear`). See docs/decisions/0007.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

# Plain tensors [time, channels]: checking each tile would slow the tests.
Rows = Tensor

# Numbers in one activation of a tile: about 1 MiB of float32. Not a power of two, or the columns of a tile, which the
# gradients of kernels read, would all fall on the same places of the cache.
_TILE_ELEMENTS = 63 << 12


def tiles(rows: int, width: int) -> list[tuple[int, int]]:
    """Beginnings and ends of the tiles of so many rows of this width."""
    size = max(64, _TILE_ELEMENTS // width)
    return [(start, min(rows, start + size)) for start in range(0, rows, size)]


def flat_kernel(weight: Float[Tensor, "width channels taps"]) -> Float[Tensor, "width taps*channels"]:
    """The matrix whose product with what the taps see side by side is the convolution."""
    return weight.transpose(1, 2).flatten(1)


def adjoint_of(weight: Float[Tensor, "width channels taps"]) -> Float[Tensor, "channels width 1 taps"]:
    """The kernel that carries gradients of a convolution's result, padded likewise, to its input."""
    return weight.transpose(0, 1).flip(2)[:, :, None].contiguous(memory_format=torch.channels_last)


def convolve(rows: Rows, kernel: Float[Tensor, "width channels 1 taps"], dilation: int) -> Rows:
    """One row for every place where all taps see rows."""
    # An image of height one in channels-last order: oneDNN multiplies slices of rows where they lie.
    found = F.conv2d(rows[None, None].permute(0, 3, 1, 2), kernel, dilation=(1, dilation))
    return found.permute(0, 2, 3, 1).view(-1, len(kernel))


def rectified_columns(room: Tensor, source: Rows, start: int, stop: int, dilation: int) -> Rows:
    """Side by side the rectified rows that a kernel of 3 with this dilation sees at places from `start` to `stop`.

    Zeros stand for rows before the first and after the last.

    Args:
        room: for three times the numbers of the places' rows.
        source: all rows.
        start: the first place.
        stop: the one after the last.
        dilation: of the kernel.

    Returns:
        [places, 3 * channels], a part of `room`.
    """
    count, channels = stop - start, source.shape[1]
    found = room[: count * 3 * channels].view(count, 3, channels)
    for tap, first in enumerate((start - dilation, start, start + dilation)):
        low, high = (min(max(end, first), first + count) for end in (0, len(source)))
        part = found[:, tap]
        part[: low - first].zero_()
        part[high - first :].zero_()
        torch.clamp_min(source[low:high], 0, out=part[low - first : high - first])
    return found.flatten(1)
