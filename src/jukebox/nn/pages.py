"""Memory that is read in another order than it lies in: in large pages, whose addresses a processor finds faster."""

import mmap

import torch
from jaxtyping import Float
from torch import Tensor


def zeros(*shape: int) -> Float[Tensor, "..."]:
    """Zeros in float32 on the CPU, in pages of 2 MB where the system has them to give; like others, taken when written.

    A process has no more than a few thousand translations of addresses at hand: of pages of 4 KB that is a few MB.
    """
    numbers = torch.Size(shape).numel()
    try:
        mapped = mmap.mmap(-1, 4 * numbers, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        mapped.madvise(mmap.MADV_HUGEPAGE)
    except (AttributeError, OSError, ValueError):  # not Linux, or one without large pages; or nothing is wanted
        return torch.zeros(shape)
    return torch.frombuffer(mapped, dtype=torch.float32, count=numbers).view(shape)
