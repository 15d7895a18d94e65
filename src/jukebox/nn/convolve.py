"""Convolutions with a stride, and transposed ones, for training on a processor: their gradients in tiles.

Forward the framework is near the arithmetic rate; its gradients of kernels with a stride reach a tenth of it. The
gradient of a convolution to its input is a transposed convolution, and the other way round.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from jukebox.nn.linear import product
from jukebox.nn.tiles import tiles

Rows = Float[Tensor, "batch time channels"]
Places = Float[Tensor, "batch places width"]
Weight = Float[Tensor, "width channels taps"]


class Shape(NamedTuple):
    """Tap k of a convolution sees row `stride * place + dilation * k - padding`."""

    stride: int
    padding: int
    dilation: int


def convolution(x: Rows, weight: Weight, bias: Tensor | None, shape: Shape) -> Places:
    """The convolution of every item, with zeros beyond its ends."""
    stride, padding, dilation = shape
    return _rows(F.conv2d(_image(x), weight[:, :, None], bias, (1, stride), (0, padding), (1, dilation)))


def transposed(x: Places, weight: Weight, bias: Tensor | None, shape: Shape, rows: int | None = None) -> Rows:
    """The transposed convolution of every item, by default with as few rows as have the places of x."""
    stride, padding, dilation = shape
    least = (x.shape[1] - 1) * stride - 2 * padding + dilation * (weight.shape[2] - 1) + 1
    extra = 0 if rows is None else rows - least
    kernel = weight[:, :, None]
    found = F.conv_transpose2d(_image(x), kernel, bias, (1, stride), (0, padding), (0, extra), 1, (1, dilation))
    return _rows(found)


def trained_convolution(x: Rows, weight: Weight, bias: Tensor | None, shape: Shape) -> Places:
    """`convolution`, with gradients in tiles."""
    found = _Convolution.apply(x, weight, bias, shape, False)
    assert isinstance(found, Tensor)
    return found


def trained_transposed(x: Places, weight: Weight, bias: Tensor | None, shape: Shape) -> Rows:
    """`transposed`, with gradients in tiles."""
    found = _Convolution.apply(x, weight, bias, shape, True)
    assert isinstance(found, Tensor)
    return found


class _Convolution(torch.autograd.Function):
    """Either kind, whose `rows` and `places` change sides: the way back to the input is the other kind."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, shape: Shape, back: bool) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.shape, ctx.back = shape, back
        return (transposed if back else convolution)(x, weight, bias, shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        (x, weight), outer = ctx.saved_tensors, gradients[0].contiguous()
        wanted, to_x, to_weight = ctx.needs_input_grad, None, None
        if wanted[0]:
            to_x = (
                convolution(outer, weight, None, ctx.shape)
                if ctx.back
                else transposed(outer, weight, None, ctx.shape, x.shape[1])
            )
        if wanted[1]:
            rows, places = (outer, x) if ctx.back else (x, outer)
            to_weight = _kernel_gradient(rows, places, weight, ctx.shape)
        return to_x, to_weight, outer.sum((0, 1)) if wanted[2] else None, None, None


def _kernel_gradient(x: Rows, outer: Places, weight: Weight, shape: Shape) -> Weight:
    """Of the kernel that makes places with the gradient `outer` of rows `x`."""
    (stride, padding, dilation), taps = shape, weight.shape[2]
    total = torch.zeros_like(weight).flatten(1)
    for item, given in zip(x, outer, strict=True):
        for start, stop in tiles(len(given), max(weight.shape[:2])):
            first, last = stride * start - padding, stride * (stop - 1) - padding + dilation * (taps - 1) + 1
            rows = F.pad(item[max(0, first) : last], (0, 0, max(0, -first), max(0, last - len(item))))
            # What all taps see, side by side: one product for the whole kernel.
            seen = [rows[tap * dilation :: stride][: stop - start] for tap in range(taps)]
            total += product(given[start:stop].t(), torch.cat(seen, 1).t())
    return total.unflatten(1, (taps, -1)).transpose(1, 2)


def _image(x: Rows) -> Float[Tensor, "batch channels 1 time"]:
    """A view of the same memory as a channels-last image of height one."""
    return x.unsqueeze(1).permute(0, 3, 1, 2)


def _rows(image: Float[Tensor, "batch channels 1 time"]) -> Rows:
    # From a single channel the framework makes an image whose channels come first, and everything after that would
    # have its rows scattered: twice the time of a whole encoder.
    return image.permute(0, 2, 3, 1).squeeze(1).contiguous()
