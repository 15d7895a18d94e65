"""Matrices for inference, kept as the step of sampling reads them fastest: reading them is what it costs.

Where all numbers fit in half precision, as in the released files, they are kept so: the same values in half the memory
traffic. FBGEMM widens them to float32 in registers; sums are in float32 as everywhere. Others are kept in float32 in
the order in which oneDNN reads them, where that is the faster library (`nn.linear`).
"""

import warnings
from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from jukebox.nn.linear import has_operator, prepared, prepared_product

Product = Callable[[Float[Tensor, "*places inner"]], Float[Tensor, "*places outer"]]


class PackedLinear(nn.Module):
    """A linear map like `nn.Linear`, for inference; its matrix is packed and has no gradient.

    Args:
        linear: is not held, nor a file that it lies in.
        half: whether all its numbers fit in half precision.
    """

    def __init__(self, linear: nn.Linear, *, half: bool) -> None:
        super().__init__()
        bias = None if linear.bias is None else linear.bias.detach().clone()
        self.product = (_half if half else _whole)(linear.weight.detach().contiguous(), bias)

    def forward(self, x: Float[Tensor, "*places inner"]) -> Float[Tensor, "*places outer"]:
        """The same as that of the `nn.Linear` it was made from, but for the order of additions."""
        return self.product(x)


def packed(linear: nn.Linear) -> nn.Linear | PackedLinear:
    """The map with its matrix packed, or as it is.

    It is as it is where the processor or this build of PyTorch has no kernels for it, and where the matrix is elsewhere
    or of another type.
    """
    weight = linear.weight
    if weight.device.type != "cpu" or weight.dtype != torch.float32:
        return linear
    # Some rows at a time: a copy of the whole in another type would be the peak of memory.
    half = _supported() and all(torch.equal(rows.half().float(), rows) for rows in weight.detach().split(256))
    return PackedLinear(linear, half=half) if half or has_operator() else linear


def pack(module: nn.Module) -> None:
    """Replace every linear map below `module` by what `packed` makes of it; what was replaced is freed."""
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Linear):
            setattr(module, name, packed(child))
        else:
            pack(child)


def product_of(linear: nn.Module) -> Product:
    """A map, packed or not, as a function: calling a module costs as much as a small product."""
    if isinstance(linear, PackedLinear):
        return linear.product
    assert isinstance(linear, nn.Linear)
    weight, bias = linear.weight.detach(), None if linear.bias is None else linear.bias.detach()
    return lambda x: F.linear(x, weight, bias)


@cache
def rows_are_alike() -> bool:
    """Whether a row of a packed product is the same bits among four or any more: with AVX-512, but not with AVX2.

    Tried once, with one vector in all rows: which instructions are used is the libraries' own choice.
    """
    if not _supported():
        return False
    random = torch.Generator().manual_seed(0)
    weight, vector = torch.randn(16, 64, generator=random).half().float(), torch.randn(1, 64, generator=random)
    for product in (_half(weight, None), *([_whole(weight, None)] if has_operator() else [])):
        found = [product(vector.repeat(rows, 1)) for rows in range(4, 40)]
        if not all(torch.equal(each, found[0][:1].expand_as(each)) for each in found):
            return False
    return True


def _whole(weight: Tensor, bias: Tensor | None) -> Product:
    matrix = prepared(weight)
    return lambda x: prepared_product(x, matrix, bias)


def _half(weight: Tensor, bias: Tensor | None) -> Product:
    if _has_functions():
        matrix, multiply = torch.fbgemm_pack_gemm_matrix_fp16(weight), torch.fbgemm_linear_fp16_weight_fp32_activation
        added = weight.new_zeros(len(weight)) if bias is None else bias
        return lambda x: multiply(x, matrix, added)
    held, multiply_held = torch.ops.quantized.linear_prepack_fp16(weight, bias), torch.ops.quantized.linear_dynamic_fp16
    return lambda x: multiply_held.default(x, held)


@cache
def _has_functions() -> bool:
    """Whether the plain functions are there: PyTorch is to drop them, but their calls cost 8 microseconds less."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # each warns once
            matrix = torch.fbgemm_pack_gemm_matrix_fp16(torch.zeros(8, 8))
            torch.fbgemm_linear_fp16_weight_fp32_activation(torch.zeros(1, 8), matrix, torch.zeros(8))
    except (AttributeError, RuntimeError):
        return False
    return True


def _supported() -> bool:
    return "fbgemm" in torch.backends.quantized.supported_engines and (
        torch.backends.cpu.get_cpu_capability().startswith("AVX")
    )
