"""Matrices whose numbers all fit in half precision, kept so: the same values in half the memory traffic.

The released matrices are stored in half precision, and reading them is what a step of sampling costs. FBGEMM widens
them to float32 in registers; sums are in float32 as everywhere.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class PackedLinear(nn.Module):
    """A linear map like `nn.Linear`, for inference; its matrix is packed in half precision and has no gradient."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        bias = linear.bias
        self._packed = torch.ops.quantized.linear_prepack_fp16(
            linear.weight.detach().contiguous(), None if bias is None else bias.detach()
        )

    def forward(self, x: Float[Tensor, "*places inner"]) -> Float[Tensor, "*places outer"]:
        """The same as that of the `nn.Linear` it was made from, but for the order of additions."""
        return torch.ops.quantized.linear_dynamic_fp16.default(x, self._packed)


def packed(linear: nn.Linear) -> nn.Linear | PackedLinear:
    """The map with its matrix packed, or as it is.

    It is as it is where numbers need more than half precision, where the processor or this build of PyTorch has no
    such kernels, and where the matrix is elsewhere or of another type.
    """
    weight = linear.weight
    if weight.device.type != "cpu" or weight.dtype != torch.float32 or not _supported():
        return linear
    # Some rows at a time: a copy of the whole in another type would be the peak of memory.
    exact = all(torch.equal(rows.half().float(), rows) for rows in weight.detach().split(256))
    return PackedLinear(linear) if exact else linear


def pack(module: nn.Module) -> None:
    """Replace every linear map below `module` by what `packed` makes of it; what was replaced is freed."""
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Linear):
            setattr(module, name, packed(child))
        else:
            pack(child)


def _supported() -> bool:
    return "fbgemm" in torch.backends.quantized.supported_engines and (
        torch.backends.cpu.get_cpu_capability().startswith("AVX")
    )
