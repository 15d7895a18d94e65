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
        return torch.ops.quantized.linear_dynamic_fp16(x, self._packed)


@torch.no_grad()
def pack(module: nn.Module) -> int:
    """Put a `PackedLinear` in the place of every linear map below `module` whose numbers allow it; others stay.

    Where the processor or this build of PyTorch has no such kernels, or the parameters are elsewhere or of another
    type, nothing changes. What was replaced is freed.

    Returns:
        How many were replaced.
    """
    replaced = 0
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Linear) and _packable(child):
            setattr(module, name, PackedLinear(child))
            replaced += 1
        else:
            replaced += pack(child)
    return replaced


def _packable(linear: nn.Linear) -> bool:
    weight = linear.weight
    if weight.device.type != "cpu" or weight.dtype != torch.float32 or not _supported():
        return False
    # Row by row: a copy of the whole in another type would be the peak of memory.
    return all(torch.equal(rows.half().float(), rows) for rows in weight.split(256))


def _supported() -> bool:
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        return False
    capability = torch.backends.cpu.get_cpu_capability()
    return capability.startswith("AVX")
