"""Matrices for inference, kept as the step of sampling reads them fastest: reading them is what it costs.

Where all numbers fit in half precision, as in the released files, they are kept so: the same values in half the memory
traffic. FBGEMM widens them to float32 in registers; sums are in float32 as everywhere. Others are kept in float32 in
the order in which oneDNN reads them, where that is the faster library (`nn.linear`). The package's own library takes
matrices in few bits too.
"""

import warnings
from functools import cache
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from jukebox.native.matrix import NativeMatrix, panels, panels4, panels8
from jukebox.nn import pages
from jukebox.nn.linear import has_operator, prepared, prepared_product
from jukebox.nn.quantised import Linear4, Linear8, Reduced
from jukebox.nn.replacing import replace_each

Rows = Float[Tensor, "*places inner"]
Results = Float[Tensor, "*places outer"]


@runtime_checkable
class Multiply(Protocol):
    """A packed matrix times inputs, plus a bias; the result may be put into `out`, or into a tensor of its own."""

    def __call__(self, x: Rows, bias: Float[Tensor, " outer"] | None, out: Results | None = None) -> Results:
        """The results."""
        ...


@runtime_checkable
class Product(Protocol):
    """A linear map of inputs; the result may be put into `out`, or into a tensor of its own."""

    def __call__(self, x: Rows, out: Results | None = None) -> Results:
        """The results."""
        ...


class PackedLinear(nn.Module):
    """A linear map like `nn.Linear`, for inference; its matrix is packed and has no gradient.

    Args:
        multiply: by its matrix.
        bias: is not held, nor a file that it lies in.
        outputs: how many there are.
    """

    def __init__(self, multiply: Multiply, bias: Float[Tensor, " outer"] | None, outputs: int) -> None:
        super().__init__()
        self.bias = None if bias is None else bias.detach().float().clone()
        self.multiply, self.out_features = multiply, outputs

    def forward(self, x: Float[Tensor, "*places inner"]) -> Float[Tensor, "*places outer"]:
        """The same as that of the `nn.Linear` it was made from, but for the order of additions."""
        return self.multiply(x, self.bias)


def packed(linear: nn.Linear, *, native: bool = False) -> nn.Linear | PackedLinear:
    """The map with its matrix packed, or as it is, for inputs in float32.

    It is as it is where the processor or this build of PyTorch has no kernels for it, and where the matrix is elsewhere
    or neither in float32 nor, as it may be stored, in half precision.

    Args:
        linear: the map.
        native: pack for the package's own library, which must be there (`native.library`).
    """
    weight = linear.weight
    if weight.device.type != "cpu" or weight.dtype not in (torch.float32, torch.float16):
        return linear
    # Some rows at a time: a copy of the whole in another type would be the peak of memory.
    half = native or _supported()
    half = half and all(torch.equal(rows.half().float(), rows.float()) for rows in weight.detach().split(256))
    if not half and not native and not has_operator():
        return linear.float()
    multiply = NativeMatrix(panels(weight, half=half)) if native else (_half if half else _whole)(_widened(weight))
    return PackedLinear(multiply, linear.bias, linear.out_features)


def pack(module: nn.Module, *, native: bool = False) -> None:
    """Replace every linear map below `module` by what `packed` makes of it; what was replaced is freed."""
    replace_each(module, nn.Linear, lambda linear: packed(linear, native=native))
    if native:
        replace_each(module, Reduced, _packed_reduced)


def _packed_reduced(linear: Reduced) -> PackedLinear:
    if isinstance(linear, Linear4):
        found = panels4(linear.weight, linear.step, linear.low, linear.inner)
    else:
        assert isinstance(linear, Linear8)
        found = panels8(linear.weight, linear.scale)
    return PackedLinear(NativeMatrix(found), linear.bias, found.outputs)


def product_of(linear: nn.Module, *, bias: float = 1.0) -> Product:
    """A map, packed or not, as a function: calling a module costs as much as a small product.

    Args:
        linear: the map.
        bias: what its bias is multiplied by.
    """
    assert isinstance(linear, nn.Linear | PackedLinear)
    added = None if linear.bias is None else linear.bias.detach() * bias
    if isinstance(linear, PackedLinear):
        multiply = linear.multiply
        return lambda x, out=None: multiply(x, added, out)
    weight = linear.weight.detach()
    return lambda x, out=None: F.linear(x, weight, added)


@cache
def rows_are_alike() -> bool:
    """Whether a row of a packed product is the same bits among four or any more: with AVX-512, but not with AVX2.

    Tried once, with one vector in all rows: which instructions are used is the libraries' own choice.
    """
    if not _supported():
        return False
    random = torch.Generator().manual_seed(0)
    weight, vector = torch.randn(16, 64, generator=random).half().float(), torch.randn(1, 64, generator=random)
    for multiply in (_half(weight), *([_whole(weight)] if has_operator() else [])):
        found = [multiply(vector.repeat(rows, 1), None) for rows in range(4, 40)]
        if not all(torch.equal(each, found[0][:1].expand_as(each)) for each in found):
            return False
    return True


def _widened(weight: Tensor) -> Tensor:
    if weight.dtype == torch.float32:
        return weight.contiguous()
    # In pages of its own, which go back at once: among the packed matrices holes would be left, as large as these.
    return pages.zeros(*weight.shape).copy_(weight)


def _whole(weight: Tensor) -> Multiply:
    matrix = prepared(weight)
    return lambda x, bias, out=None: prepared_product(x, matrix, bias)


def _half(weight: Tensor) -> Multiply:
    functions, outputs = _functions()
    if functions:
        matrix, multiply = torch.fbgemm_pack_gemm_matrix_fp16(weight), torch.fbgemm_linear_fp16_weight_fp32_activation
        zero = weight.new_zeros(len(weight))  # earlier versions want a bias
        if not outputs:
            return lambda x, bias, out=None: multiply(x, matrix, zero if bias is None else bias)
        return lambda x, bias, out=None: (
            multiply(x, matrix, bias) if out is None else multiply(x, matrix, bias, output=out)
        )
    held, of_held = torch.ops.quantized.linear_prepack_fp16(weight, None), torch.ops.quantized.linear_dynamic_fp16
    return lambda x, bias, out=None: of_held.default(x, held) if bias is None else of_held.default(x, held).add_(bias)


@cache
def _functions() -> tuple[bool, bool]:
    """Whether the plain functions are there, and whether they take a tensor for the result.

    PyTorch is to drop them, but their calls cost 8 microseconds less than the operation's on a packed object.
    """
    x, bias = torch.ones(1, 8), torch.zeros(8)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # each warns once
            matrix = torch.fbgemm_pack_gemm_matrix_fp16(torch.zeros(8, 8))
            torch.fbgemm_linear_fp16_weight_fp32_activation(x, matrix, bias)
    except (AttributeError, RuntimeError):
        return False, False
    try:
        torch.fbgemm_linear_fp16_weight_fp32_activation(x, matrix, None, output=torch.empty(1, 8))
    except (TypeError, RuntimeError):
        return True, False
    return True, True


def _supported() -> bool:
    return "fbgemm" in torch.backends.quantized.supported_engines and (
        torch.backends.cpu.get_cpu_capability().startswith("AVX")
    )
