"""Attention as the definition says it, from sets of visible keys: what every form is compared with."""

from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from jukebox.config import TransformerConfig
from jukebox.prior.attention import SelfAttention
from jukebox.prior.patterns import Pattern, of_layer

LAYERS = ("R", "C", "P", "D", "L", "W", "S", "F", "E", "T", "(RC)", "(RCP)", "(WS)", "(RF)", "(PF)", "(EW)", "(PL)")


def visible(patterns: tuple[Pattern, ...], query: int, context: int) -> set[int]:
    """The keys that a query sees, by the definition on integers."""
    return {key for key in range(context) for pattern in patterns if pattern.sees(query, key)}


def mask(patterns: tuple[Pattern, ...], context: int) -> Tensor:
    """The same on tensors, [queries, keys]."""
    positions = torch.arange(context)
    return torch.stack([pattern.sees(positions[:, None], positions) for pattern in patterns]).any(0)


def attention(module: SelfAttention, x: Tensor) -> Tensor:
    """The layer's output, query by query, from the sets. Dense work on purpose."""
    empty = sum(pattern.empty_keys for pattern in module.patterns)
    queries, keys, values = module.qkv(x).unflatten(-1, (3, module.heads, -1)).unbind(2)
    found = torch.zeros_like(queries)
    for query, sees in enumerate(mask(module.patterns, x.shape[1])):
        seen = sees.nonzero().flatten()
        if not len(seen) and not empty:
            continue  # zero before the projection
        logits = torch.einsum("bhd,bkhd->bhk", queries[:, query], keys[:, seen]) * queries.shape[-1] ** -0.5
        logits = torch.nn.functional.pad(logits, (empty, 0))
        shares = logits.softmax(-1)[..., empty:]
        found[:, query] = torch.einsum("bhk,bkhd->bhd", shares, values[:, seen])
    return module.output(found.flatten(2))


@st.composite
def sizes(draw: st.DrawFn, layers: tuple[str, ...] = LAYERS) -> dict[str, Any]:
    """Fields of the configuration of one layer, of any size."""
    rows, length = draw(st.integers(1, 6)), draw(st.integers(1, 7))
    context = rows * length
    return {
        "context": context,
        "width": 6,
        "attention": draw(st.sampled_from(layers)),
        "heads": draw(st.sampled_from([1, 3])),
        "rows": rows,
        "attention_ratio": 1.0,
        "tail": draw(st.integers(1, length)),
        "window": draw(st.integers(1, context)),
        "stride": draw(st.integers(1, context)),
    }


def layer(config: TransformerConfig, prefix: int, seed: int = 0) -> SelfAttention:
    """The first layer's attention with random weights, in float64."""
    torch.manual_seed(seed)
    return SelfAttention(config, of_layer(config.layers[0], config, prefix)).double()
