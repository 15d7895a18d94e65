"""Softmax attention of grouped queries: whole, as weights, and in parts that are joined to a union.

Queries are [groups, queries, heads, width], pairs of key and value [groups, keys, 2, heads, width], masks (true where
a query sees a key) broadcast to [groups, queries, keys]. The softmax is in float32 where the model is in half
precision: a sum over many keys would lose the small ones.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

Queries = Float[Tensor, "groups queries heads width"]
Pairs = Float[Tensor, "groups keys 2 heads width"]
Mask = Bool[Tensor, "#groups #queries keys"]

# Stands for the logarithm of nothing where a maximum over no keys is asked for; its exponential is 0.
_NOTHING = -1e30


def attend(
    queries: Queries,
    pairs: Pairs,
    mask: Mask | Float[Tensor, "#groups #queries keys"] | None,
    *,
    causal: bool = False,
) -> Queries:
    """The attention of every query over the keys that it sees, at least one.

    Args:
        queries: already rotated or normalised where the model does so; scaled here by width ** -0.5.
        pairs: a key and its value for every key position.
        mask: which keys are seen; None for all. Or what is added to the logits, in the queries' dtype.
        causal: query i sees the keys up to i; instead of a mask.
    """
    keys, values = pairs.unbind(2)
    found = F.scaled_dot_product_attention(
        queries.transpose(1, 2),
        keys.transpose(1, 2),
        values.transpose(1, 2),
        attn_mask=None if mask is None else mask[:, None],
        is_causal=causal,
    )
    return found.transpose(1, 2)


def weights(queries: Queries, pairs: Pairs, mask: Mask | None) -> Float[Tensor, "groups heads queries keys"]:
    """The softmax itself, in float32 or better."""
    logits = _logits(queries, pairs)
    if mask is not None:
        logits = logits.masked_fill(~mask[:, None], -torch.inf)
    return logits.softmax(-1)


def _logits(queries: Queries, pairs: Pairs) -> Float[Tensor, "groups heads queries keys"]:
    scaled = queries * queries.shape[-1] ** -0.5
    return _at_least_float32(scaled.transpose(1, 2) @ pairs[:, :, 0].permute(0, 2, 3, 1))


def _at_least_float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def part(queries: Queries, pairs: Pairs, mask: Mask) -> Float[Tensor, "groups queries heads width_and_2"]:
    """Attention over some of the keys, perhaps none, to be joined with that over others.

    Returns:
        In float32 or better and side by side: the sum of exp(logit - peak) * value; the sum of exp(logit - peak), 0
        where there are no keys; and the largest logit, the peak, a constant for gradients.
    """
    logits = _logits(queries, pairs).masked_fill(~mask[:, None], -torch.inf)
    peak = logits.detach().amax(-1, keepdim=True).clamp_min(_NOTHING)
    exponentials = (logits - peak).exp()
    values = exponentials @ _at_least_float32(pairs[:, :, 1].transpose(1, 2))
    return torch.cat([values, exponentials.sum(-1, keepdim=True), peak], -1).transpose(1, 2)


def join(parts: list[Float[Tensor, "*places width_and_2"]]) -> Float[Tensor, "*places width"]:
    """The attention over the keys of all parts together, none of them in two; zero where there are no keys at all."""
    stacked = torch.stack(parts)
    values, totals, peaks = stacked[..., :-2], stacked[..., -2:-1], stacked[..., -1:]
    peaks = peaks.masked_fill(totals == 0, _NOTHING)
    factors = (peaks - peaks.amax(0)).exp()
    total = (totals * factors).sum(0)
    return (values * factors).sum(0) / total.masked_fill(total == 0, 1.0)
