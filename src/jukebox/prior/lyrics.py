"""Lyrics in both forms: encoded apart for cross-attention, or a prefix in one joint vocabulary (facts 3.3)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from jukebox.config import LyricsConfig, PriorConfig
from jukebox.nn.linear import Linear
from jukebox.prior.token_stack import TokenStack, all_positions, before

Lyrics = Int64[Tensor, "batch lyrics"]


@dataclass(frozen=True, kw_only=True)
class TokenLayout:
    """How codes, and lyrics where they are a prefix, become the tokens of one transformer.

    Args:
        prefix: lyric tokens before the first code; 0 unless the vocabulary is joint.
        shift: the token of code 0: lyric tokens come first in a joint vocabulary.
        vocabulary: how many tokens there are.
    """

    prefix: int
    shift: int
    vocabulary: int

    @classmethod
    def of(cls, config: PriorConfig) -> "TokenLayout":
        """The layout of a prior."""
        lyrics = config.lyrics
        if lyrics is None or lyrics.encoder is not None:
            return cls(prefix=0, shift=0, vocabulary=config.codebook_size)
        return cls(prefix=lyrics.tokens, shift=lyrics.vocabulary, vocabulary=lyrics.vocabulary + config.codebook_size)

    def tokens(self, codes: Int64[Tensor, "batch codes"], lyrics: Lyrics | None) -> Int64[Tensor, "batch positions"]:
        """The transformer's tokens from its first position on: the prefix, then the codes."""
        if self.prefix == 0:
            return codes
        assert lyrics is not None
        return torch.cat([lyrics, codes + self.shift], 1)

    def codes(self, tokens: Int64[Tensor, "*shape"]) -> Int64[Tensor, "*shape"]:
        """The codes of tokens after the prefix; a lyric token that was drawn among them counts as code 0."""
        return (tokens - self.shift).clamp_min(0)


class LyricsEncoder(TokenStack):
    """A causal transformer over the lyrics, whose projected output the prior's cross-attention looks at.

    It learns by predicting each character from those before it.
    """

    def __init__(self, config: LyricsConfig, width: int) -> None:
        assert config.encoder is not None
        super().__init__(config.encoder, config.vocabulary, learned_start=True)
        self.projection = Linear(config.encoder.width, width)
        self.norm = nn.LayerNorm(width)
        self.output = Linear(width, config.vocabulary, bias=False)

    def hidden(self, lyrics: Lyrics, *, recompute: bool = False) -> Float[Tensor, "batch lyrics inner"]:
        """The transformer's output; the t-th vector has seen the characters before the t-th."""
        assert self.start_token is not None
        inputs = self.inputs(before(lyrics), all_positions(lyrics), self.start_token.expand(len(lyrics), -1))
        return self.transformer(inputs, recompute=recompute).hidden

    def forward(self, lyrics: Lyrics, *, recompute: bool = False) -> Float[Tensor, "batch lyrics width"]:
        """The lyrics as cross-attention sees them."""
        hidden = self.hidden(lyrics, recompute=recompute)
        return self.norm(self.projection(hidden.to(self.norm.weight.dtype)))

    def logits(self, encoded: Float[Tensor, "batch lyrics width"]) -> Float[Tensor, "batch lyrics vocabulary"]:
        """What each character will be, from the `encoded` lyrics."""
        return self.output(encoded)
