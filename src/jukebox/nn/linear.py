"""Linear maps in float32 at a processor's full rate.

PyTorch multiplies matrices with MKL, which on processors of other makers than its own stops at AVX2: half of what
AVX-512 gives. PyTorch's oneDNN does not; the operator is the one that torch.compile calls for the same purpose, so it
is looked for, not imported (docs/decisions/0007). On every other device, type and processor a map is PyTorch's own.
"""

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

LEAST_ROWS = 2
"""From here on a row has the same bits among any number of rows; a single one goes through another kernel."""

_USUAL_ROWS = 16  # that a matrix is prepared for; of others it costs nothing


class Linear(nn.Linear):
    """`nn.Linear`, faster in float32 where the processor has AVX-512."""

    def forward(self, input: Float[Tensor, "*places inner"]) -> Float[Tensor, "*places outer"]:
        """The input times the matrix, plus the bias."""
        return linear(input, self.weight, self.bias)


def linear(
    x: Float[Tensor, "*places inner"], weight: Float[Tensor, "outer inner"], bias: Tensor | None = None
) -> Float[Tensor, "*places outer"]:
    """`F.linear`, by the faster of two libraries."""
    wanted = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, weight, bias))
    if wanted and _suits(x, weight):
        found = _Linear.apply(x, weight, bias)
        assert isinstance(found, Tensor)
        return found
    return product(x, weight, bias)


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x @ weight.T + bias; either may be a transposed view. Of oneDNN there is no gradient: `linear` has it."""
    if not _suits(x, weight):
        return F.linear(x, weight, bias)
    return prepared_product(x, weight, bias)


def prepared(weight: Tensor) -> Tensor:
    """A matrix in the order in which the operator reads it, as an opaque tensor that only the operator takes."""
    return torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), _USUAL_ROWS)


def prepared_product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The operator itself, with a prepared matrix or any other, whatever the number of rows."""
    return torch.ops.mkldnn._linear_pointwise.default(x, weight, bias, "none", [], "")


def _suits(x: Tensor, weight: Tensor) -> bool:
    return (
        x.dtype == weight.dtype == torch.float32
        and x.device.type == "cpu" == weight.device.type
        and x.numel() >= LEAST_ROWS * x.shape[-1]
        and weight.numel() > 0
        and not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
        and has_operator()
    )


@cache
def has_operator() -> bool:
    """Whether the processor has AVX-512 and this build of PyTorch the operator."""
    if not torch.backends.cpu.get_cpu_capability().startswith("AVX512") or not torch.backends.mkldnn.is_available():
        return False
    x, weight = torch.eye(2), torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    try:
        found = [prepared_product(x, matrix) for matrix in (weight, prepared(weight))]
    except (AttributeError, RuntimeError):
        return False
    return all(each.equal(weight.t()) for each in found)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        x, weight = ctx.saved_tensors
        after = gradients[0].reshape(-1, len(weight))
        rows = x.reshape(-1, x.shape[-1])
        to_x = product(after, weight.t()).view(x.shape) if ctx.needs_input_grad[0] else None
        to_weight = product(after.t(), rows.t()) if ctx.needs_input_grad[1] else None
        return to_x, to_weight, after.sum(0) if ctx.needs_input_grad[2] else None
