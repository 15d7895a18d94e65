"""Matrices that stay on the host give the same results, and stay there."""

import pytest
import torch
from torch import nn

from jukebox.nn.host import HostLinear, keep_on_host
from jukebox.nn.quantised import quantise


@pytest.mark.parametrize("bits", [None, 8, 4])
def test_results_are_the_same(bits: int | None) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(20, 30), nn.Sequential(nn.ReLU(), nn.Linear(30, 5, bias=False))).eval()
    if bits is not None:
        quantise(module, 8 if bits == 8 else 4)
    x = torch.randn(3, 20)
    with torch.no_grad():
        expected = module(x)
        keep_on_host(module)
        assert torch.equal(module(x), expected)


def test_moving_leaves_them_where_they_are() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
    keep_on_host(module)
    moved = module.to("meta", torch.bfloat16)
    assert isinstance(moved[0], HostLinear)
    assert {tensor.device.type for tensor in moved[0]._kept.values()} == {"cpu"}
    assert not list(moved[0].parameters())
    assert moved[1].weight.device.type == "meta"
