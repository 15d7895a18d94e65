"""What a prior is trained on and judged by: bits per token (facts 3.2)."""

import math
from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

Scalar = Float[Tensor, ""]


@dataclass(frozen=True, kw_only=True)
class PriorLosses:
    """Mean bits per token: of lyric tokens (0 without lyrics), of codes, and the weighted mean of both.

    `total` counts every lyric token `loss_weight` times, but divides by the number of all tokens.
    """

    total: Scalar
    lyrics: Scalar
    music: Scalar


def bits(logits: Float[Tensor, "batch positions vocabulary"], targets: Int64[Tensor, "batch positions"]) -> Scalar:
    """Mean of -log2 of the probability that `logits` give to `targets`."""
    # float32: in half precision the logarithms of 2048 probabilities are too coarse to learn from.
    return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten()) / math.log(2.0)


def weighted(*, music: Scalar, codes: int, lyrics: Scalar, lyric_tokens: int, lyrics_weight: float) -> PriorLosses:
    """The losses of a window with `codes` codes and `lyric_tokens` lyric tokens."""
    total = (lyrics_weight * lyric_tokens * lyrics + codes * music) / (lyric_tokens + codes)
    return PriorLosses(total=total, lyrics=lyrics, music=music)
