"""The two attention modules: over the positions of the window by any pattern, and over encoded lyrics."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from jukebox.config import TransformerConfig
from jukebox.nn.linear import Linear
from jukebox.prior import softmax
from jukebox.prior.fused import norm_linear
from jukebox.prior.patterns import Pattern
from jukebox.prior.span import Span
from jukebox.prior.step import Step

Inputs = Float[Tensor, "batch positions width"]
Heads = Float[Tensor, "batch positions heads head_width"]


Place = Span | Step
"""Where in the window the new positions are: a run of them, or one for each item."""


class SelfAttention(nn.Module):
    """Attention over the window's own positions, by the union of `patterns`."""

    def __init__(self, config: TransformerConfig, patterns: tuple[Pattern, ...]) -> None:
        super().__init__()
        inner = config.attention_width
        self.patterns, self.rotary = patterns, config.position == "rotary"
        self.heads, self.head_width = config.heads, config.head_width
        self.qkv: nn.Linear = Linear(config.width, 3 * inner)
        self.output = Linear(inner, config.width)
        self.query_norm = nn.RMSNorm(config.head_width, eps=1e-6) if config.query_key_norm else None
        self.key_norm = nn.RMSNorm(config.head_width, eps=1e-6) if config.query_key_norm else None

    def forward(
        self, x: Inputs, place: Place, caches: tuple[Tensor, ...], *, heads: slice | None = None
    ) -> tuple[Inputs, Float[Tensor, "batch shown positions keys"] | None]:
        """What each position learns from those that it sees, and the softmax where it is wanted; as `look`."""
        found, weights = self.look(x, place, caches, heads=heads)
        return self.output(found), weights

    def look(
        self,
        x: Inputs,
        place: Place,
        caches: tuple[Tensor, ...],
        *,
        heads: slice | None = None,
        norm: nn.LayerNorm | None = None,
    ) -> tuple[Float[Tensor, "batch positions inner"], Float[Tensor, "batch shown positions keys"] | None]:
        """The values that each position finds, of all heads, before the output matrix.

        Args:
            x: inputs of the new positions.
            place: where these are; it does the attention.
            caches: of each pattern, with what came before; none for a window from its beginning.
            heads: also give their softmax, which only D and L layers have by key; None for none.
            norm: normalises the inputs, where that has not been done.
        """
        queries, pairs = self._queries_and_pairs(x, place, norm)
        found = place.attend(self.patterns, queries, pairs, caches)
        weights = None
        if heads is not None:
            (pattern,) = self.patterns
            cache = caches[0][..., heads, :] if caches else None
            weights = place.weights(pattern, queries[:, :, heads], pairs[..., heads, :], cache)
        return found.flatten(2), weights

    def _queries_and_pairs(
        self, x: Inputs, place: Place, norm: nn.LayerNorm | None
    ) -> tuple[Heads, Float[Tensor, "batch positions 2 heads head_width"]]:
        projected = self.qkv(x) if norm is None else norm_linear(x, norm, self.qkv)
        triples = projected.view(*x.shape[:2], 3, self.heads, -1)
        if self.query_norm is None and not self.rotary:
            return triples.select(2, 0), triples.narrow(2, 1, 2)
        queries, keys, values = triples.unbind(2)
        if self.query_norm is not None and self.key_norm is not None:
            queries, keys = self.query_norm(queries), self.key_norm(keys)
        if self.rotary:
            positions = place.positions
            if 1 < len(positions) < len(queries):  # a step with empty rows
                positions = F.pad(positions, (0, 0, 0, len(queries) - len(positions)))
            queries, keys = rotated(queries, positions), rotated(keys, positions)
        return queries, torch.stack([keys, values], 2)


class CrossAttention(nn.Module):
    """Attention of every position over all encoded lyrics."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads, self.head_width = config.heads, config.head_width
        self.query = Linear(config.width, config.attention_width)
        self.key_value = Linear(config.width, 2 * config.attention_width)
        self.output = Linear(config.attention_width, config.width)

    def pairs(
        self, encoded_lyrics: Float[Tensor, "batch lyrics width"]
    ) -> Float[Tensor, "batch lyrics 2 heads head_width"]:
        """Keys and values of the lyrics: made once, and kept by a state."""
        return self.key_value(encoded_lyrics).unflatten(-1, (2, self.heads, -1))

    def forward(
        self, x: Inputs, pairs: Float[Tensor, "items lyrics 2 heads head_width"], *, heads: slice | None = None
    ) -> tuple[Inputs, Float[Tensor, "items shown positions lyrics"] | None]:
        """What each position learns from the lyrics, and the softmax where it is wanted; as `look`."""
        found, weights = self.look(x, pairs, heads=heads)
        return self.output(found), weights

    def look(
        self,
        x: Inputs,
        pairs: Float[Tensor, "items lyrics 2 heads head_width"],
        *,
        heads: slice | None = None,
        norm: nn.LayerNorm | None = None,
    ) -> tuple[Float[Tensor, "batch positions inner"], Float[Tensor, "items shown positions lyrics"] | None]:
        """The values that each position finds in the lyrics, of all heads, before the output matrix.

        There may be more inputs than items that have lyrics: the rest are a step's empty rows.

        Args:
            x: inputs of the new positions.
            pairs: keys and values of the lyrics.
            heads: also give their softmax; None for none.
            norm: normalises the inputs, where that has not been done.
        """
        rows, items = len(x), len(pairs)
        projected = self.query(x) if norm is None else norm_linear(x, norm, self.query)
        queries = projected[:items].unflatten(-1, (self.heads, -1))
        found = softmax.attend(queries, pairs, None).flatten(2)
        if items < rows:
            found = F.pad(found, (0, 0, 0, 0, 0, rows - items))
        if heads is None:
            return found, None
        return found, softmax.weights(queries[:, :, heads], pairs[..., heads, :], None)


def turns(
    positions: Int64[Tensor, "*places"], width: int
) -> tuple[Float[Tensor, "*places half"], Float[Tensor, "*places half"]]:
    """Cosine and sine of the angles by which the pairs of a head of some width turn at positions."""
    half = width // 2
    speeds = 10000.0 ** (-torch.arange(half, device=positions.device, dtype=torch.float32) / half)
    angles = positions[..., None] * speeds
    return angles.cos(), angles.sin()


def rotated(heads: Heads, positions: Int64[Tensor, "#batch positions"]) -> Heads:
    """Rotary position: the i-th pair of each head turns by position * 10000 ** (-2 i / head width).

    Angles are in float32, since half precision cannot tell far positions apart. The pair is the i-th entry of the
    first half and of the second.
    """
    cosine, sine = (part[..., None, :] for part in turns(positions, heads.shape[-1]))
    first, second = heads.chunk(2, -1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1).to(heads.dtype)
