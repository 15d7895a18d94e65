"""Token and position tables and the transformer over them: what a prior and a lyrics encoder have in common."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from jukebox.config import TransformerConfig
from jukebox.prior.transformer import Transformer

Tokens = Int64[Tensor, "batch positions"]
Positions = Int64[Tensor, "items positions"]
"""0 to context - 1; one row for each item, or one row for all."""


class TokenStack(nn.Module):
    """The transformer of `config` over a vocabulary; `prefix` of its tokens are lyrics, `depth` layers are built."""

    def __init__(
        self,
        config: TransformerConfig,
        vocabulary: int,
        *,
        learned_start: bool,
        prefix: int = 0,
        depth: int | None = None,
    ) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(vocabulary, config.width)
        learned = config.position == "learned"
        self.position_embedding = nn.Embedding(config.context, config.width) if learned else None
        self.start_token = nn.Parameter(torch.zeros(1, config.width)) if learned_start else None
        self.transformer = Transformer(config, prefix=prefix, depth=depth)

    def inputs(
        self,
        previous: Tokens,
        positions: Positions,
        start: Float[Tensor, "batch width"],
        hidden: Bool[Tensor, "batch positions"] | None = None,
    ) -> Float[Tensor, "batch positions width"]:
        """The embedding of the token before each position, and of the position itself.

        Args:
            previous: the token before each position; ignored at position 0, where `start` takes its place.
            positions: where that is, for each item or for all.
            start: stands for the token before the first.
            hidden: tokens of `previous` that nothing stands for; None for none.
        """
        embedded = self.token_embedding(previous)
        if hidden is not None:
            embedded = embedded.masked_fill(hidden[..., None], 0.0)
        tokens = torch.where((positions == 0)[..., None], start[:, None], embedded)
        return tokens if self.position_embedding is None else tokens + self.position_embedding(positions)


def before(tokens: Tensor) -> Tensor:
    """The token before each; 0, which nobody looks at, before the first."""
    return torch.nn.functional.pad(tokens[:, :-1], (1, 0))


def all_positions(tokens: Tokens) -> Int64[Tensor, "1 positions"]:
    """0, 1, 2, ... for all items."""
    return torch.arange(tokens.shape[1], device=tokens.device)[None]
