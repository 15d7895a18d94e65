"""The codes of the level above as one vector for each position below (facts 3.2)."""

from jaxtyping import Float, Int64
from torch import Tensor, nn

from jukebox.config import UpsamplerConfig, dilations
from jukebox.nn.conv1d import Conv1d, ResidualStack, UpStep


class UpsampleConditioner(nn.Module):
    """Embeds the codes above, mixes neighbours by dilated convolutions and doubles their rate step by step."""

    def __init__(self, config: UpsamplerConfig, codebook_size: int, width: int) -> None:
        super().__init__()
        inner, hidden = config.width, int(config.hidden_ratio * config.width)
        rates = dilations(config.depth, config.dilation_growth, config.dilation_cycle)
        scale = config.depth**-0.5 if config.residual_scale else 1.0
        channels = [inner] * (config.steps - 1) + [width]
        self.token_embedding = nn.Embedding(codebook_size, width)
        self.input = Conv1d(width, inner, 3, padding=1)
        self.steps = nn.ModuleList(
            UpStep(ResidualStack(inner, hidden, rates, scale), inner, outputs, config.stride) for outputs in channels
        )
        self.norm = nn.LayerNorm(width)

    def forward(
        self, codes_above: Int64[Tensor, "batch codes_above"], *, recompute: bool = False
    ) -> Float[Tensor, "batch positions width"]:
        """`stride ** steps` positions for each code above, which cover the same sound.

        With `recompute` only the input of each residual block is kept for the gradient.
        """
        x = self.input(self.token_embedding(codes_above))
        for step in self.steps:
            x = step(x, recompute)
        return self.norm(x)
