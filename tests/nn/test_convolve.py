"""Convolutions whose gradients are found in tiles are torch's."""

import pytest
import torch
from torch import nn

from jukebox.nn.conv1d import Conv1d, ConvTranspose1d
from jukebox.nn.convolve import Shape, trained_convolution, trained_transposed

TOLERANCE = 5e-6
"""Relative to the largest entry; measured: 1e-6."""


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several tiles of 100 rows, of which the last is shorter."""
    monkeypatch.setattr("jukebox.nn.tiles._TILE_ELEMENTS", 100 * 7)


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "time"),
    [(3, 1, 1, 250), (3, 1, 90, 250), (3, 1, 300, 250), (4, 2, 1, 451), (8, 4, 1, 1003), (1, 1, 1, 5)],
)
def test_convolution(kernel: int, stride: int, dilation: int, time: int) -> None:
    """Also where the stride leaves rows over at the end, which have a gradient of zero."""
    padding = stride // 2 if stride > 1 else dilation * (kernel - 1) // 2
    conv = Conv1d(5, 7, kernel, stride, padding=padding, dilation=dilation)
    check(trained_convolution, nn.Conv1d.forward, conv, torch.randn(2, time, 5), Shape(stride, padding, dilation))


@pytest.mark.parametrize("stride", [2, 4])
def test_transposed_convolution(stride: int) -> None:
    conv = ConvTranspose1d(5, 7, 2 * stride, stride, padding=stride // 2)
    shape = Shape(stride, stride // 2, 1)
    check(trained_transposed, nn.ConvTranspose1d.forward, conv, torch.randn(2, 230, 5), shape)


def check(mine, torchs, conv: Conv1d | ConvTranspose1d, x: torch.Tensor, shape: Shape) -> None:
    x.requires_grad_()
    inputs = [x, *conv.parameters()]
    results = [mine(x, conv.weight, conv.bias, shape), torchs(conv, x.transpose(1, 2)).transpose(1, 2)]
    weights = torch.randn_like(results[0])
    found, expected = ([y, *torch.autograd.grad((y * weights).sum(), inputs)] for y in results)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        assert (ours - theirs).abs().max() <= TOLERANCE * theirs.abs().max()


def test_the_input_of_a_model_needs_no_gradient() -> None:
    conv = Conv1d(1, 4, 4, 2, padding=1)
    conv(torch.randn(1, 64, 1)).sum().backward()
    assert conv.weight.grad is not None


@pytest.mark.parametrize("kind", [Conv1d, ConvTranspose1d])
def test_what_is_frozen_has_no_gradient_and_the_rest_has_its_own(kind: type[Conv1d | ConvTranspose1d]) -> None:
    conv, x = kind(3, 4, 4, 2, padding=1), torch.randn(1, 64, 3, requires_grad=True)
    conv(x).sum().backward()
    wanted = x.grad
    conv.zero_grad(set_to_none=True)
    x.grad = None
    conv.weight.requires_grad_(False)
    conv(x).sum().backward()
    assert conv.weight.grad is None
    assert conv.bias is not None
    assert conv.bias.grad is not None
    assert wanted is not None
    assert x.grad is not None
    assert torch.equal(x.grad, wanted)
