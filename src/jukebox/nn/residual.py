"""The residual block for training on a processor: convolutions in tiles that stay in its cache.

Between the block's input and its output nothing is kept: the hidden rows of a tile are made again, which costs less
than to fetch them. Half the time of the framework's dilated convolutions, and half the memory; see
docs/decisions/0007. On other devices every tile would be a launch, so there the convolutions stay.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from jukebox.nn.linear import product
from jukebox.nn.tiles import adjoint_of, convolve, flat_kernel, rectified_columns, tiles

Rows = Float[Tensor, "batch time width"]


def applies(x: Tensor, *modules: nn.Module) -> bool:
    """Whether a gradient is wanted in float32 on a processor, of modules that are what they were built as."""
    if x.device.type != "cpu" or not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return False
    plain = all({name for name, _ in module.named_parameters()} == {"weight", "bias"} for module in modules)
    kinds = {x.dtype, *(p.dtype for module in modules for p in module.parameters())}
    return plain and kinds == {torch.float32} and not torch.is_autocast_enabled("cpu")


def residual_block(x: Rows, dilated: nn.Conv1d, pointwise: nn.Conv1d, scale: float) -> Rows:
    """x + scale * pointwise(relu(dilated(relu(x)))) for a dilated kernel of 3 and a pointwise one."""
    (dilation,) = dilated.dilation
    found = _Block.apply(
        x.contiguous(), dilated.weight, dilated.bias, pointwise.weight, pointwise.bias, dilation, scale
    )
    assert isinstance(found, Tensor)
    return found


class _Block(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, dilation: int, scale: float
    ) -> Tensor:
        ctx.save_for_backward(x, w1, b1, w2)
        ctx.dilation, ctx.scale = dilation, scale
        kernel, mixing, offset = flat_kernel(w1), w2[:, :, 0] * scale, b2 * scale
        result, places = torch.empty_like(x), tiles(x.shape[1], x.shape[2])
        room = x.new_empty(places[0][1] * 3 * x.shape[2])
        for item, out in zip(x, result, strict=True):
            for start, stop in places:
                seen = rectified_columns(room, item, start, stop, dilation)
                branch = product(product(seen, kernel, b1).relu_(), mixing, offset)
                torch.add(item[start:stop], branch, out=out[start:stop])
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        x, w1, b1, w2 = ctx.saved_tensors
        dilation, scale, outer = ctx.dilation, ctx.scale, gradients[0].contiguous()
        kernel, back, mixing_back = flat_kernel(w1), adjoint_of(w1), (w2[:, :, 0] * scale).t().contiguous()
        w1_gradient, w2_gradient = torch.zeros_like(kernel), torch.zeros_like(mixing_back.t())
        b1_gradient, b2_gradient = torch.zeros_like(b1), w2.new_zeros(len(w2))
        result, places = torch.empty_like(x), tiles(x.shape[1], x.shape[2])
        room = x.new_empty(places[0][1] * 3 * x.shape[2])
        # The gradients of the hidden rows before their activation, with zeros beyond both ends that nobody writes.
        inner = x.new_empty(x.shape[1] + 2 * dilation, len(b1))
        inner[:dilation].zero_()
        inner[len(inner) - dilation :].zero_()
        rectified = torch.ops.aten.threshold_backward.grad_input
        for item, item_outer, out in zip(x, outer, result, strict=True):
            for start, stop in places:
                seen, given = rectified_columns(room, item, start, stop, dilation), item_outer[start:stop]
                hidden, own = product(seen, kernel, b1).relu_(), inner[start + dilation : stop + dilation]
                rectified(product(given, mixing_back), hidden, 0, grad_input=own)
                w1_gradient += product(own.t(), seen.t())
                w2_gradient += product(given.t(), hidden.t())
                b1_gradient += own.sum(0)
                b2_gradient += given.sum(0)
            for start, stop in places:
                found = convolve(inner[start : stop + 2 * dilation], back, dilation)
                rectified(found, item[start:stop], 0, grad_input=out[start:stop])
                out[start:stop].add_(item_outer[start:stop])
        w1_gradient = w1_gradient.unflatten(1, (3, -1)).transpose(1, 2)
        w2_gradient = w2_gradient[:, :, None] * scale
        return result, w1_gradient, b1_gradient, w2_gradient, b2_gradient * scale, None, None
