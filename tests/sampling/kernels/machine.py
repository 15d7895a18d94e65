"""Where kernels run in these tests: on a CUDA device where there is one, else in Triton's interpreter."""

import torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")

# Errors of products of about 200 factors of order 1, measured in the interpreter: 2e-6; half precision is rounded
# once before the product (and truncated by the interpreter): 2e-2 for results of order 10.
TOLERANCES = {torch.float32: 2e-5, torch.bfloat16: 0.15, torch.float16: 0.02}


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    """Normal numbers, always the same."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape))).to(DEVICE)
