"""The time-major convolutions are torch's, with axes exchanged."""

import pytest
import torch
from torch import nn

from jukebox.nn.conv1d import Conv1d, ConvTranspose1d, DownStep, ResidualBlock, ResidualStack, UpStep

TOLERANCE = 2e-6  # measured 5e-7: another order of summation


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 1, 1), (3, 1, 27), (4, 2, 1), (1, 1, 1), (8, 4, 1)])
def test_convolution(kernel: int, stride: int, dilation: int) -> None:
    torch.manual_seed(0)
    conv = Conv1d(5, 7, kernel, stride, padding=dilation, dilation=dilation)
    x = torch.randn(2, 100, 5)
    expected = nn.Conv1d.forward(conv, x.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(conv(x), expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_transposed_convolution(stride: int) -> None:
    torch.manual_seed(0)
    conv = ConvTranspose1d(5, 7, 2 * stride, stride, padding=stride // 2)
    x = torch.randn(2, 30, 5)
    expected = nn.ConvTranspose1d.forward(conv, x.transpose(1, 2)).transpose(1, 2)
    assert expected.shape[1] == 30 * stride
    torch.testing.assert_close(conv(x), expected, atol=TOLERANCE, rtol=0)


def test_rows_are_in_order_also_from_one_channel() -> None:
    """Else every module that follows works on scattered rows: twice the time."""
    assert Conv1d(1, 8, 4, 2, padding=1)(torch.randn(2, 64, 1)).is_contiguous()


def test_residual_scale_scales_the_branch() -> None:
    torch.manual_seed(0)
    block = ResidualBlock(4, 6, 3)
    x = torch.randn(1, 20, 4)
    branch = block(x) - x
    block.scale = 0.25
    torch.testing.assert_close(block(x), x + 0.25 * branch)


def test_steps_change_the_length_by_the_stride() -> None:
    down, up = DownStep(1, 4, 4, 2, (1, 3)), UpStep(ResidualStack(4, 4, (3, 1)), 4, 2, 4)
    assert down(torch.randn(1, 101, 1)).shape == (1, 50, 4)
    assert up(torch.randn(1, 25, 4)).shape == (1, 100, 2)
