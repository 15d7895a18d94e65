"""The norm before a product, and the MLP, for training in float32: what can be made again cheaply is not kept.

Autograd keeps eight activations of the width in each block: the norms' results and the parts of the activation
function are among them, although one pass over memory makes each again. These functions keep the inputs of the norms
and of the activation. Results are those of the modules, to rounding.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Rows = Float[Tensor, "*places width"]

# quick_gelu(h) = silu(1.702 h) / 1.702; both factors go into the products before and after.
_SLOPE = 1.702


def is_plain(x: Tensor, *modules: nn.Module) -> bool:
    """Whether a gradient is wanted of usual modules in float32: in half precision compilers fuse, and casts differ."""
    if not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return False
    if any(type(module) not in (nn.Linear, nn.LayerNorm) for module in modules):
        return False
    kinds = {x.dtype, *(p.dtype for module in modules for p in module.parameters())}
    return kinds == {torch.float32} and not torch.is_autocast_enabled(x.device.type)


def norm_linear(x: Rows, norm: nn.LayerNorm, linear: nn.Linear) -> Float[Tensor, "*places outputs"]:
    """linear(norm(x))."""
    found = _NormLinear.apply(x, norm.weight, norm.bias, norm.eps, linear.weight, linear.bias)
    assert isinstance(found, Tensor)
    return found


def norm_mlp(y: Rows, norm: nn.LayerNorm, inner: nn.Linear, outer: nn.Linear) -> Rows:
    """y + outer(quick_gelu(inner(norm(y))))."""
    found = _NormMlp.apply(y, norm.weight, norm.bias, norm.eps, inner.weight, inner.bias, outer.weight, outer.bias)
    assert isinstance(found, Tensor)
    return found


class _NormLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, shift: Tensor, eps: float, weight: Tensor, bias: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        normed, mean, deviation = torch.native_layer_norm(rows, rows.shape[1:], gain, shift, eps)
        ctx.save_for_backward(rows, mean, deviation, gain, shift, weight)
        ctx.eps = eps
        return torch.addmm(bias, normed, weight.t()).view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        rows, mean, deviation, gain, shift, weight = ctx.saved_tensors
        outer = gradients[0].reshape(-1, weight.shape[0])
        normed = torch.native_layer_norm(rows, rows.shape[1:], gain, shift, ctx.eps)[0]
        weight_gradient = outer.t() @ normed if ctx.needs_input_grad[4] else None
        del normed
        x, gain_gradient, shift_gradient = _norm_backward(outer @ weight, rows, mean, deviation, gain, shift)
        shape = (*gradients[0].shape[:-1], -1)
        return x.view(shape), gain_gradient, shift_gradient, None, weight_gradient, outer.sum(0)


class _NormMlp(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, y: Tensor, gain: Tensor, shift: Tensor, eps: float, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor
    ) -> Tensor:
        rows = y.reshape(-1, y.shape[-1])
        normed, mean, deviation = torch.native_layer_norm(rows, rows.shape[1:], gain, shift, eps)
        sloped = torch.addmm(b1, normed, w1.t(), beta=_SLOPE, alpha=_SLOPE)
        del normed
        ctx.save_for_backward(rows, mean, deviation, gain, shift, w1, w2, sloped)
        ctx.eps = eps
        return torch.addmm(rows, F.silu(sloped), w2.t(), alpha=1 / _SLOPE).add_(b2).view(y.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        rows, mean, deviation, gain, shift, w1, w2, sloped = ctx.saved_tensors
        outer = gradients[0].reshape(rows.shape)
        # 1 / _SLOPE of the result and _SLOPE of the argument cancel in the gradient of the argument.
        w2_gradient = torch.mm(outer.t(), F.silu(sloped)).mul_(1 / _SLOPE) if ctx.needs_input_grad[6] else None
        inner = torch.ops.aten.silu_backward(outer @ w2, sloped)
        normed = torch.native_layer_norm(rows, rows.shape[1:], gain, shift, ctx.eps)[0]
        w1_gradient = inner.t() @ normed if ctx.needs_input_grad[4] else None
        del normed
        y, gain_gradient, shift_gradient = _norm_backward(inner @ w1, rows, mean, deviation, gain, shift)
        biases = inner.sum(0), outer.sum(0)
        y = y.add_(outer).view(gradients[0].shape)
        return y, gain_gradient, shift_gradient, None, w1_gradient, biases[0], w2_gradient, biases[1]


def _norm_backward(
    outer: Tensor, rows: Tensor, mean: Tensor, deviation: Tensor, gain: Tensor, shift: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of a norm's input, gain and shift."""
    every = [True, True, True]
    return torch.ops.aten.native_layer_norm_backward(outer, rows, rows.shape[1:], mean, deviation, gain, shift, every)
