"""The encoder of one level: sound to latents, by strided convolutions and residual stacks (facts 2.1)."""

from jaxtyping import Float
from torch import Tensor, nn

from jukebox.config import VqvaeConfig
from jukebox.nn.conv1d import Conv1d, DownStep


class EncoderStage(nn.Module):
    """`steps` repetitions of stride and residual stack, then a convolution to the embedding width."""

    def __init__(self, config: VqvaeConfig, level: int, stage: int) -> None:
        super().__init__()
        width = config.width * config.multipliers[level]
        hidden = int(config.hidden_ratio * width)
        channels = config.channels if stage == 0 else config.embedding_width
        inputs = [channels] + [width] * (config.steps[stage] - 1)
        self.steps = nn.ModuleList(
            DownStep(i, width, hidden, config.strides[stage], config.dilations(level)) for i in inputs
        )
        self.output = Conv1d(width, config.embedding_width, 3, padding=1)

    def forward(
        self, x: Float[Tensor, "batch time channels"], recompute: bool = False
    ) -> Float[Tensor, "batch codes embedding"]:
        """The stage applied to a whole window."""
        for step in self.steps:
            x = step(x, recompute)
        return self.output(x)


class Encoder(nn.Module):
    """Stages 0 to `level`, each taking the output of the one before."""

    def __init__(self, config: VqvaeConfig, level: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(EncoderStage(config, level, stage) for stage in range(level + 1))

    def forward(
        self, x: Float[Tensor, "batch samples channels"], recompute: bool = False
    ) -> Float[Tensor, "batch codes embedding"]:
        """Latents of a whole window; a length that the strides do not divide is rounded down step by step."""
        for stage in self.stages:
            x = stage(x, recompute)
        return x
