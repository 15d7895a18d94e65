"""Convolutions of a tile of rows that stays in a processor's cache, and their gradients, near its arithmetic rate.

A tile is an image of height one in channels-last order, for which oneDNN multiplies slices of rows where they lie. On
processors with AVX-512 that is twice as fast as the matrix products of PyTorch (MKL), and elsewhere equal to them; see
docs/decisions/0007. A kernel of one tap is a linear map (`nn.linear`).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.nn.grad import conv2d_weight

from jukebox.nn.linear import product

# Plain tensors [time, channels] and images [1, channels, 1, time] of the same memory: checking each would slow tests.
Rows = Tensor
Kernel = Tensor

# Numbers in one activation of a tile: 1 MiB of float32.
_TILE_ELEMENTS = 1 << 18

# The gradient of a kernel is found in lines of so many rows: half as long again where a line is the whole tile.
_LINE = 64


def tiles(rows: int, width: int) -> list[tuple[int, int]]:
    """Beginnings and ends of the tiles of so many rows of this width."""
    size = max(_LINE, _TILE_ELEMENTS // width // _LINE * _LINE)
    return [(start, min(rows, start + size)) for start in range(0, rows, size)]


def kernel_of(weight: Float[Tensor, "width channels taps"]) -> Kernel:
    """The kernel of a convolution as `convolve` wants it."""
    return weight[:, :, None].contiguous(memory_format=torch.channels_last)


def adjoint_of(weight: Float[Tensor, "width channels taps"]) -> Kernel:
    """The kernel that carries gradients of a convolution's result, padded likewise, to its input."""
    return kernel_of(weight.transpose(0, 1).flip(2))


def convolve(rows: Rows, kernel: Kernel, bias: Tensor | None, distance: int = 1) -> Rows:
    """One row for every place where all taps, `distance` rows from each other, see rows."""
    if kernel.shape[3] == 1:
        return product(rows, kernel[:, :, 0, 0], bias)
    found = F.conv2d(_image(rows, len(rows)), kernel, bias, dilation=(1, distance))
    return found.permute(0, 2, 3, 1).view(-1, len(kernel))


def add_kernel_gradient(
    total: Float[Tensor, "taps width channels"], rows: Rows, outer: Rows, distance: int = 1
) -> None:
    """Add what `outer`, the gradient of `convolve`'s result, says of the kernel."""
    # PyTorch sends kernels of one tap to MKL unless they are dilated, which for one tap means nothing: so they are.
    line = _LINE if len(outer) % _LINE == 0 else len(outer)
    given, like = _image(outer, line), total[0, :, :, None, None]
    for tap, own in enumerate(total):
        seen = _image(rows[tap * distance : tap * distance + len(outer)], line)
        own += conv2d_weight(seen, like.shape, given, dilation=2)[:, :, 0, 0]


def gather(room: Rows, source: Rows, start: int, stop: int, distance: int) -> tuple[Rows, int]:
    """The rectified rows that a kernel of 3 with this dilation needs for the places from `start` to `stop`.

    Zeros stand for rows before the first and after the last. Where the taps are further apart than a tile is long, the
    rows between what they see are left out.

    Args:
        room: for at most three times as many rows as places.
        source: all rows.
        start: the first place.
        stop: the one after the last.
        distance: the dilation.

    Returns:
        The rows, a part of `room`, and the dilation of the kernel on them.
    """
    count = stop - start
    near = distance < count
    firsts = [start - distance] if near else [start - distance, start, start + distance]
    length, distance = (count + 2 * distance, distance) if near else (count, count)
    rows = room[: len(firsts) * length]
    for first, part in zip(firsts, rows.split(length), strict=True):
        low, high = (min(max(end, first), first + length) for end in (0, len(source)))
        part[: low - first].zero_()
        part[high - first :].zero_()
        torch.clamp_min(source[low:high], 0, out=part[low - first : high - first])
    return rows, distance


def _image(rows: Rows, line: int) -> Float[Tensor, "1 channels lines line"]:
    """A view of the same memory in channels-last order."""
    return rows.view(1, -1, line, rows.shape[1]).permute(0, 3, 1, 2)
