"""The decoder of one level: latents to sound, the encoder's mirror (facts 2.1)."""

from jaxtyping import Float
from torch import Tensor, nn

from jukebox.config import VqvaeConfig
from jukebox.nn.conv1d import Conv1d, ResidualStack, UpStep


class DecoderStage(nn.Module):
    """A convolution from the embedding width, then repetitions of residual stack and upsampling."""

    def __init__(self, config: VqvaeConfig, level: int, stage: int) -> None:
        super().__init__()
        width = config.width * config.multipliers[level]
        hidden = int(config.hidden_ratio * width)
        dilations = config.dilations(level)
        if config.reverse_decoder_dilation:
            dilations = dilations[::-1]
        self.input = Conv1d(config.embedding_width, width, 3, padding=1)
        outputs = [width] * (config.steps[stage] - 1) + [config.embedding_width]
        self.steps = nn.ModuleList(
            UpStep(ResidualStack(width, hidden, dilations), width, output, config.strides[stage]) for output in outputs
        )

    def forward(
        self, x: Float[Tensor, "batch codes embedding"], recompute: bool = False
    ) -> Float[Tensor, "batch time embedding"]:
        """The stage applied to a whole window."""
        x = self.input(x)
        for step in self.steps:
            x = step(x, recompute)
        return x


class Decoder(nn.Module):
    """Stages `level` down to 0, then a convolution to the waveform's channels; no output nonlinearity."""

    def __init__(self, config: VqvaeConfig, level: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(DecoderStage(config, level, stage) for stage in range(level + 1))
        self.output = Conv1d(config.embedding_width, config.channels, 3, padding=1)

    def forward(
        self, x: Float[Tensor, "batch codes embedding"], recompute: bool = False
    ) -> Float[Tensor, "batch samples channels"]:
        """Sound of a whole window: codes * hop samples."""
        for stage in reversed(self.stages):
            x = stage(x, recompute)
        return self.output(x)
