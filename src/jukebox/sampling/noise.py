"""The randomness of sampling: a pure function of (seed, take, level, position, token), counted, never drawn in turn.

The same song has the same noise whatever else is computed beside it, in whatever order, before or after a pause.
The mixing function is splitmix64 (Steele, Lea, Flood 2014), whose outputs for consecutive counters are independent
as far as the usual batteries of tests can tell.
"""

from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from torch import Tensor

_MASK = (1 << 64) - 1
_STEP, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
# Counters between two positions: more than any vocabulary has tokens.
_STRIDE = 1 << 20
# Rows of noise that are made at once on a processor.
_ROWS = 8


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
    first = keys + positions * _signed(_STRIDE * _STEP & _MASK)
    tokens = torch.arange(count, device=positions.device) * _signed(_STEP)
    if keys.device.type != "cpu":
        return _gumbel(_uniform_bits(first[:, None] + tokens).float())
    # A few rows at a time stay in the processor's cache; NumPy multiplies and shifts several integers at once.
    noise = torch.empty(len(keys), count)
    for begin, rows in zip(first.split(_ROWS), noise.split(_ROWS), strict=True):
        rows.copy_(torch.from_numpy(_uniform_bits(begin.numpy()[:, None] + tokens.numpy())))
        _gumbel(rows)
    return noise


Bits = TypeVar("Bits", Tensor, NDArray[np.int64])


def _uniform_bits(bits: Bits) -> Bits:
    """Counters made into numbers from 0 to 2 ** 32 - 1, over the counters."""
    bits ^= _shifted(bits, 30)
    bits *= _signed(_FIRST)
    bits ^= _shifted(bits, 27)
    bits *= _signed(_SECOND)
    bits ^= _shifted(bits, 31)
    return _shifted(bits, 32)


def _shifted(bits: Bits, by: int) -> Bits:
    """A shift to the right that brings zeros in."""
    if isinstance(bits, Tensor):
        return (bits >> by).bitwise_and_((1 << (64 - by)) - 1)  # PyTorch's brings the sign
    return (bits.view(np.uint64) >> np.uint64(by)).view(np.int64)


def _gumbel(uniform: Float[Tensor, "slots count"]) -> Float[Tensor, "slots count"]:
    """Gumbel noise over the numbers from 0 to 2 ** 32 - 1 that it is made of."""
    # Half a step off the ends: never 0. Near 0, where the winners come from, float32 still tells all values apart.
    uniform.add_(0.5).mul_(2.0**-32)
    return uniform.clamp_max_(1.0 - 2.0**-24).neg_().log1p_().neg_().log_().neg_()


def _mixed(bits: int) -> int:
    bits = (bits ^ bits >> 30) * _FIRST & _MASK
    bits = (bits ^ bits >> 27) * _SECOND & _MASK
    return bits ^ bits >> 31


def _signed(bits: int) -> int:
    return bits - (1 << 64) if bits >> 63 else bits
