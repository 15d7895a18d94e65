"""Memory in large pages is memory."""

import gc

import pytest
import torch

from jukebox.nn import pages


@pytest.mark.parametrize("shape", [(3, 5, 7), (1 << 20,), (0, 4)])
def test_zeros_are_zeros_and_stay(shape: tuple[int, ...]) -> None:
    found = pages.zeros(*shape)
    assert found.equal(torch.zeros(shape))
    assert found.dtype == torch.float32
    part = found.flatten()[1:3]
    found += 1
    del found
    gc.collect()
    pages.zeros(*shape)
    assert part.eq(1).all()
