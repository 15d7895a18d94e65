"""The randomness of sampling: a pure function of (seed, take, level, position, token), counted, never drawn in turn.

The same song has the same noise whatever else is computed beside it, in whatever order, before or after a pause.
The mixing function is splitmix64 (Steele, Lea, Flood 2014), whose outputs for consecutive counters are independent
as far as the usual batteries of tests can tell.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

_MASK = (1 << 64) - 1
_STEP, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
# Counters between two positions: more than any vocabulary has tokens.
_STRIDE = 1 << 20


def noise_key(seed: int, take: int, level: int) -> int:
    """The key of one level of one take, a signed 64-bit integer; any integers will do."""
    key = 0
    for value in (seed, take, level):
        key = _mixed((key + _STEP + value) & _MASK)
    return _signed(key)


def gumbel(keys: Int64[Tensor, " slots"], positions: Int64[Tensor, " slots"], count: int) -> Float[Tensor, "slots _"]:
    """Standard Gumbel noise for `count` tokens at one position of every slot, in float32.

    The token that is largest in logits + noise is a draw from the softmax of the logits.

    Args:
        keys: as `noise_key` gives them.
        positions: of the code in its song at that level, 0 or more.
        count: tokens of the vocabulary, at most 2 ** 20.
    """
    # In place: on a processor, making room for a result costs as much as the result.
    tokens = torch.arange(count, device=positions.device) * _signed(_STEP)
    bits = (keys + positions * _signed(_STRIDE * _STEP & _MASK))[:, None] + tokens
    bits.bitwise_xor_(_shifted(bits, 30)).mul_(_signed(_FIRST))
    bits.bitwise_xor_(_shifted(bits, 27)).mul_(_signed(_SECOND))
    bits.bitwise_xor_(_shifted(bits, 31))
    # Half a step off the ends: never 0. Near 0, where the winners come from, float32 still tells all values apart.
    uniform = _shifted(bits, 32).float().add_(0.5).mul_(2.0**-32)
    return uniform.clamp_max_(1.0 - 2.0**-24).neg_().log1p_().neg_().log_().neg_()


def _shifted(bits: Int64[Tensor, "slots count"], by: int) -> Int64[Tensor, "slots count"]:
    """A shift to the right that brings zeros in; PyTorch's brings the sign."""
    return (bits >> by).bitwise_and_((1 << (64 - by)) - 1)


def _mixed(bits: int) -> int:
    bits = (bits ^ bits >> 30) * _FIRST & _MASK
    bits = (bits ^ bits >> 27) * _SECOND & _MASK
    return bits ^ bits >> 31


def _signed(bits: int) -> int:
    return bits - (1 << 64) if bits >> 63 else bits
