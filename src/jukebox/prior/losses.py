"""What a prior is trained on and judged by: bits per token (facts 3.2)."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

Scalar = Float[Tensor, ""]

# float32 has no logarithm of less; a head that gives a word nothing at all learns from its other words.
_LEAST_SHARE = 1e-30


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


def alignment_bits(attention: Float[Tensor, "batch codes lyrics"], sung: Int64[Tensor, "batch codes 2"]) -> Scalar:
    """How far attention is from the words being sung: -log2 of the share that they get, 0 at best.

    A word's share is that of its characters and of the one after it: the vector of a character has seen only those
    before it, so that the last character, or all of a word of one, is first seen there.

    Args:
        attention: of each code to each lyric token, in float32.
        sung: the first token of the word that is sung at each code and one past its last, -1 for none.

    Returns:
        The mean over the sung codes of each window, 0 for a window without any, then over windows.
    """
    first, end = sung[..., :1], sung[..., 1:]
    tokens = torch.arange(attention.shape[-1], device=attention.device)
    share = attention.masked_fill((tokens < first) | (tokens > end), 0.0).sum(-1)
    heard = first[..., 0] >= 0
    # Where nothing is sung the share is made 1: its logarithm is 0 and has no gradient.
    found = -share.clamp_min(_LEAST_SHARE).masked_fill(~heard, 1.0).log2()
    return (found.sum(1) / heard.sum(1).clamp_min(1)).mean()
