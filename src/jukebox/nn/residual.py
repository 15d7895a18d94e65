"""The residual block for training on a processor: products of slices in tiles that stay in its cache.

Between the block's input and its output nothing is kept: the hidden rows of a tile are made again, which costs less
than to fetch them. A third of the time of the framework's dilated convolutions, and half the memory; see
docs/decisions/0007. On other devices every tile would be a launch, so there the convolutions stay.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Rows = Float[Tensor, "batch time width"]

# Rows of a tile: 1 MiB of 64 channels.
_TILE = 4096


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
    found = _Block.apply(x, dilated.weight, dilated.bias, pointwise.weight, pointwise.bias, dilation, scale)
    assert isinstance(found, Tensor)
    return found


class _Block(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, dilation: int, scale: float
    ) -> Tensor:
        ctx.save_for_backward(x, w1, b1, w2)
        ctx.dilation, ctx.scale = dilation, scale
        taps, mixed = w1.permute(2, 1, 0).contiguous(), w2[:, :, 0].t() * scale
        result, rows = torch.empty_like(x), _padded(x, dilation, x.shape[2])
        for item, out in zip(x, result, strict=True):
            torch.clamp_min(item, 0, out=rows[dilation : dilation + len(item)])
            for start in range(0, len(item), _TILE):
                stop = min(len(item), start + _TILE)
                hidden = _hidden(rows, start, stop, dilation, taps, b1)
                torch.addmm(item[start:stop], hidden, mixed, out=out[start:stop]).add_(b2, alpha=scale)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        x, w1, b1, w2 = ctx.saved_tensors
        dilation, outer = ctx.dilation, gradients[0].contiguous()
        taps, back = w1.permute(2, 1, 0).contiguous(), w1.permute(2, 0, 1).contiguous()
        mixed = w2[:, :, 0] * ctx.scale
        taps_gradient, bias_gradient = torch.zeros_like(taps), torch.zeros_like(b1)
        mixed_gradient, result = torch.zeros_like(mixed), torch.empty_like(x)
        rows, inner = _padded(x, dilation, x.shape[2]), _padded(x, dilation, len(b1))
        rectified = torch.ops.aten.threshold_backward.grad_input
        for item, item_outer, out in zip(x, outer, result, strict=True):
            torch.clamp_min(item, 0, out=rows[dilation : dilation + len(item)])
            for start in range(0, len(item), _TILE):
                stop = min(len(item), start + _TILE)
                hidden = _hidden(rows, start, stop, dilation, taps, b1)
                given = item_outer[start:stop]
                mixed_gradient.addmm_(given.t(), hidden)
                own = inner[start + dilation : stop + dilation]
                rectified(given @ mixed, hidden, 0, grad_input=own)
                bias_gradient += own.sum(0)
                for tap in range(3):
                    taps_gradient[tap].addmm_(rows[start + tap * dilation : stop + tap * dilation].t(), own)
            for start in range(0, len(item), _TILE):
                stop = min(len(item), start + _TILE)
                found = torch.mm(inner[start + 2 * dilation : stop + 2 * dilation], back[0])
                found.addmm_(inner[start + dilation : stop + dilation], back[1])
                found.addmm_(inner[start:stop], back[2])
                rectified(found, rows[start + dilation : stop + dilation], 0, grad_input=out[start:stop])
                out[start:stop].add_(item_outer[start:stop])
        kernel = taps_gradient.permute(2, 1, 0)
        pointwise = (mixed_gradient * ctx.scale)[:, :, None]
        return result, kernel, bias_gradient, pointwise, outer.sum((0, 1)) * ctx.scale, None, None


def _padded(x: Rows, dilation: int, width: int) -> Float[Tensor, "padded width_too"]:
    """Room for the rows of one item after another, with zeros beyond both ends that nobody writes."""
    rows = x.new_empty(x.shape[1] + 2 * dilation, width)
    rows[:dilation].zero_()
    rows[len(rows) - dilation :].zero_()
    return rows


def _hidden(
    rows: Tensor, start: int, stop: int, dilation: int, taps: Tensor, bias: Tensor
) -> Float[Tensor, "tile hidden"]:
    """relu(dilated(relu(x))) of some rows."""
    hidden = torch.addmm(bias, rows[start:stop], taps[0])
    hidden.addmm_(rows[start + dilation : stop + dilation], taps[1])
    return hidden.addmm_(rows[start + 2 * dilation : stop + 2 * dilation], taps[2]).clamp_min_(0)
