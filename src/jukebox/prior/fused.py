"""The norm before a product, and what follows attention, for training in float32: what can be made again is not kept.

Autograd keeps ten activations of the width in each block: the sum after attention, the norms' results and the parts of
the activation function are among them, although a pass or two over memory make each again. These functions keep the
block's input, what attention found and the argument of the activation. They go through the positions in tiles, so that
whatever is not kept stays in the processor's cache. Results are those of the modules, to rounding.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from jukebox.nn.linear import Linear, product
from jukebox.nn.norm import LayerNorm

Rows = Float[Tensor, "*places width"]

# quick_gelu(h) = silu(1.702 h) / 1.702; both factors go into the products before and after.
_SLOPE = 1.702

# Positions of a tile: enough for an efficient product, few enough for a cache; and no more tiles than these, since on
# other devices every operation has its price.
TILE, TILES = 1024, 16


def is_plain(x: Tensor, *modules: nn.Module) -> bool:
    """Whether a gradient is wanted of usual modules in float32: in half precision compilers fuse, and casts differ."""
    if not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return False
    if any(type(module) not in (Linear, nn.Linear, LayerNorm) for module in modules):
        return False
    kinds = {x.dtype, *(p.dtype for module in modules for p in module.parameters())}
    return kinds == {torch.float32} and not torch.is_autocast_enabled(x.device.type)


def norm_linear(x: Rows, norm: nn.LayerNorm, linear: nn.Linear) -> Float[Tensor, "*places outputs"]:
    """linear(norm(x))."""
    found = _NormLinear.apply(x, norm.weight, norm.bias, norm.eps, linear.weight, linear.bias)
    assert isinstance(found, Tensor)
    return found


def after_attention(
    x: Rows,
    looked: Float[Tensor, "*places inner"],
    output: nn.Linear,
    norm: nn.LayerNorm,
    mlp: tuple[nn.Linear, nn.Linear],
) -> Rows:
    """y + mlp[1](quick_gelu(mlp[0](norm(y)))), where y = x + output(looked)."""
    inner, outer = mlp
    weights = (output.weight, norm.weight, norm.bias, inner.weight, outer.weight)
    found = _AfterAttention.apply(x, looked, norm.eps, output.bias, inner.bias, outer.bias, *weights)
    assert isinstance(found, Tensor)
    return found


class _NormLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, shift: Tensor, eps: float, weight: Tensor, bias: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        ctx.save_for_backward(rows, gain, shift, weight)
        ctx.eps = eps
        result = rows.new_empty(len(rows), len(weight))
        for tile, out in _tiles(rows, result):
            out.copy_(product(F.layer_norm(tile, tile.shape[1:], gain, shift, eps), weight, bias))
        return result.view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        rows, gain, shift, weight = ctx.saved_tensors
        after = gradients[0].reshape(-1, len(weight))
        x_gradient = torch.empty_like(rows)
        sums = [torch.zeros_like(t) for t in (gain, shift, weight)]
        for tile, out, a in _tiles(rows, x_gradient, after):
            normed, mean, deviation = torch.native_layer_norm(tile, tile.shape[1:], gain, shift, ctx.eps)
            if ctx.needs_input_grad[4]:
                sums[2] += product(a.t(), normed.t())
            _norm_backward(product(a, weight.t()), (tile, mean, deviation), (gain, shift), out, sums)
        weight_gradient = sums[2] if ctx.needs_input_grad[4] else None
        return x_gradient.view(*gradients[0].shape[:-1], -1), sums[0], sums[1], None, weight_gradient, after.sum(0)


class _AfterAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, looked: Tensor, eps: float, b0: Tensor, b1: Tensor, b2: Tensor, *weights: Tensor
    ) -> Tensor:
        w0, gain, shift, w1, w2 = weights
        rows, found = x.reshape(-1, x.shape[-1]), looked.reshape(-1, looked.shape[-1])
        sloped, result = rows.new_empty(len(rows), len(w1)), torch.empty_like(rows)
        for tile, f, s, out in _tiles(rows, found, sloped, result):
            y = product(f, w0, b0).add_(tile)
            normed = F.layer_norm(y, y.shape[1:], gain, shift, eps)
            torch.mul(product(normed, w1, b1), _SLOPE, out=s)
            torch.add(y.add_(b2), product(F.silu(s), w2), alpha=1 / _SLOPE, out=out)
        ctx.save_for_backward(rows, found, sloped, b0, w0, gain, shift, w1, w2)
        ctx.eps = eps
        return result.view(x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        rows, found, sloped, b0, w0, gain, shift, w1, w2 = ctx.saved_tensors
        after = gradients[0].reshape(rows.shape)
        x_gradient, found_gradient = torch.empty_like(rows), torch.empty_like(found)
        b0_sum, b1_sum = torch.zeros_like(b0), w1.new_zeros(len(w1))
        # Of the norm's gain and shift, then of the three matrices; those that are frozen are not added up.
        sums = [torch.zeros_like(t) for t in (gain, shift, w0, w1, w2)]
        wanted = [ctx.needs_input_grad[place] for place in (6, 9, 10)]
        for tile, f, s, a, out, f_out in _tiles(rows, found, sloped, after, x_gradient, found_gradient):
            y = product(f, w0, b0).add_(tile)
            normed, mean, deviation = torch.native_layer_norm(y, y.shape[1:], gain, shift, ctx.eps)
            if wanted[2]:
                sums[4].add_(product(a.t(), F.silu(s).t()), alpha=1 / _SLOPE)
            # 1 / _SLOPE of the result and _SLOPE of the argument cancel in the gradient of the argument.
            inner = torch.ops.aten.silu_backward(product(a, w2.t()), s)
            b1_sum += inner.sum(0)
            if wanted[1]:
                sums[3] += product(inner.t(), normed.t())
            _norm_backward(product(inner, w1.t()), (y, mean, deviation), (gain, shift), out, sums)
            out += a
            b0_sum += out.sum(0)
            f_out.copy_(product(out, w0.t()))
            if wanted[0]:
                sums[2] += product(out.t(), f.t())
        matrices = [total if want else None for total, want in zip(sums[2:], wanted, strict=True)]
        shape = gradients[0].shape
        inputs = x_gradient.view(shape), found_gradient.view(*shape[:-1], -1)
        return *inputs, None, b0_sum, b1_sum, after.sum(0), matrices[0], sums[0], sums[1], matrices[1], matrices[2]


def _tiles(*rows: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The same positions of several tensors, tile by tile."""
    size = max(TILE, -(-len(rows[0]) // TILES))
    return zip(*(whole.split(size) for whole in rows), strict=True)


def _norm_backward(
    after: Tensor, normed: tuple[Tensor, Tensor, Tensor], affine: tuple[Tensor, Tensor], out: Tensor, sums: list[Tensor]
) -> None:
    """The gradient of a norm's input, written to `out`, and those of its gain and shift, added to the first sums.

    Args:
        after: gradient of the norm's result.
        normed: the norm's input, its mean and the inverse of its deviation.
        affine: gain and shift.
        out: like the input.
        sums: gradients so far.
    """
    x, mean, deviation = normed
    every = [True, True, True]
    found = torch.ops.aten.native_layer_norm_backward(after, x, x.shape[1:], mean, deviation, *affine, every)
    out.copy_(found[0])
    sums[0] += found[1]
    sums[1] += found[2]
