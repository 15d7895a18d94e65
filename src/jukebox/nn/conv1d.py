"""Convolutions along time: residual stacks, down- and upsampling. Shared by the VQ-VAE and the conditioner.

Everything here is time-major, [batch, time, channels]: a chunk of time is contiguous, so that the streaming form
(`jukebox.nn.conv_stream`) is a few matrix products on slices, and the whole-window form below runs as a channels-last
convolution, the fast layout on CPUs and GPUs alike.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from jukebox.nn.convolve import Shape, convolution, trained_convolution, trained_transposed, transposed
from jukebox.nn.residual import applies, residual_block


class Conv1d(nn.Conv1d):
    """A convolution on [batch, time, channels]; parameters and initialisation are `torch.nn.Conv1d`'s."""

    def forward(self, input: Float[Tensor, "batch time channels"]) -> Float[Tensor, "batch new_time width"]:
        """The convolution of the whole window, with zeros beyond its ends."""
        (padding,), (stride,), (dilation,) = self.padding, self.stride, self.dilation
        convolve = trained_convolution if applies(input, self) else convolution
        return convolve(input, self.weight, self.bias, Shape(stride, int(padding), dilation))


class ConvTranspose1d(nn.ConvTranspose1d):
    """A transposed convolution on [batch, time, channels]; parameters are `torch.nn.ConvTranspose1d`'s."""

    def forward(
        self, input: Float[Tensor, "batch time channels"], output_size: list[int] | None = None
    ) -> Float[Tensor, "batch new_time width"]:
        """The transposed convolution of the whole window; `output_size` is not used."""
        assert output_size is None
        (padding,), (stride,), (dilation,) = self.padding, self.stride, self.dilation
        convolve = trained_transposed if applies(input, self) else transposed
        return convolve(input, self.weight, self.bias, Shape(stride, int(padding), dilation))


class ResidualBlock(nn.Module):
    """x + scale * pointwise(relu(dilated(relu(x)))), of kernels 3 and 1 (facts 2.1)."""

    def __init__(self, width: int, hidden: int, dilation: int, scale: float = 1.0) -> None:
        super().__init__()
        self.dilated = Conv1d(width, hidden, 3, padding=dilation, dilation=dilation)
        self.pointwise = Conv1d(hidden, width, 1)
        self.scale = scale

    def forward(self, x: Float[Tensor, "batch time width"]) -> Float[Tensor, "batch time width"]:
        """The block applied to a whole window."""
        if applies(x, self.dilated, self.pointwise):
            return residual_block(x, self.dilated, self.pointwise, self.scale)
        branch = self.pointwise(F.relu(self.dilated(F.relu(x))))
        return x + branch if self.scale == 1.0 else x + self.scale * branch


class ResidualStack(nn.Sequential):
    """One residual block per dilation, in the given order."""

    def __init__(self, width: int, hidden: int, dilations: tuple[int, ...], scale: float = 1.0) -> None:
        super().__init__(*(ResidualBlock(width, hidden, dilation, scale) for dilation in dilations))

    def forward(
        self, input: Float[Tensor, "batch time width"], recompute: bool = False
    ) -> Float[Tensor, "batch time width"]:
        """The blocks applied to a whole window; with `recompute` only their inputs are kept for the gradient."""
        for block in self:
            input = checkpoint(block, input, use_reentrant=False) if recompute else block(input)
        return input


class DownStep(nn.Module):
    """A convolution with a stride, then a residual stack: [time] becomes floor(time / stride)."""

    def __init__(self, channels: int, width: int, hidden: int, stride: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.downsample = Conv1d(channels, width, 2 * stride, stride=stride, padding=stride // 2)
        self.blocks = ResidualStack(width, hidden, dilations)

    def forward(
        self, x: Float[Tensor, "batch time channels"], recompute: bool = False
    ) -> Float[Tensor, "batch steps width"]:
        """The step applied to a whole window."""
        return self.blocks(self.downsample(x), recompute)


class UpStep(nn.Module):
    """A residual stack, then a transposed convolution: [time] becomes time * stride."""

    def __init__(self, blocks: ResidualStack, width: int, channels: int, stride: int) -> None:
        super().__init__()
        self.blocks = blocks
        self.upsample = ConvTranspose1d(width, channels, 2 * stride, stride=stride, padding=stride // 2)

    def forward(
        self, x: Float[Tensor, "batch time width"], recompute: bool = False
    ) -> Float[Tensor, "batch new_time channels"]:
        """The step applied to a whole window."""
        return self.upsample(self.blocks(x, recompute))
