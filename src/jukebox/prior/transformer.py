"""The stack of a prior: residual blocks of sparse attention and an MLP (facts 3.2).

One code path serves a whole window, a chunk after a state and a step of one token per item; modules hold parameters
only.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from jukebox.config import TransformerConfig
from jukebox.errors import ConfigError
from jukebox.nn.basics import quick_gelu
from jukebox.nn.linear import Linear
from jukebox.nn.norm import LayerNorm
from jukebox.prior import patterns
from jukebox.prior.attention import CrossAttention, Place, SelfAttention
from jukebox.prior.cache import TransformerState, empty_cache
from jukebox.prior.fused import TILE, TILES, after_attention, is_plain
from jukebox.prior.span import Span
from jukebox.prior.step import Step

Hidden = Float[Tensor, "batch positions width"]
Encoded = Float[Tensor, "batch lyrics width"]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to give besides the last layer's output; nothing of it changes any other output.

    Args:
        layers: whose outputs, counted from 0.
        attention: whose softmax over keys; layers D, L and X have one.
        head: of the attention only this head; None for all of them.
        alone: nothing else is wanted; layers after the deepest of these are not computed, and need not be there.
    """

    layers: frozenset[int] = frozenset()
    attention: frozenset[int] = frozenset()
    head: int | None = None
    alone: bool = False

    def needed(self, depth: int) -> int:
        """How many layers of a stack of `depth` have to be computed, from the first on."""
        return max(self.layers | self.attention, default=-1) + 1 if self.alone else depth

    def heads(self, layer: int) -> slice | None:
        """The heads of a layer whose softmax is wanted, None for none of them."""
        if layer not in self.attention:
            return None
        return slice(None) if self.head is None else slice(self.head, self.head + 1)


@dataclass(frozen=True, kw_only=True)
class TransformerOutput:
    """What the stack gives.

    Args:
        hidden: output of the last layer that was computed, in float32 or wider; there is no final norm.
        layers: outputs of the layers that were wanted.
        attention: softmax [batch heads positions keys] in float32 of the layers that were wanted. The keys of X are
            the lyrics; those of D and L are the window's positions from 0 on, as many as the layer has kept.
        state: where to go on, when a state was given.
    """

    hidden: Hidden
    layers: Mapping[int, Hidden] = field(default_factory=dict)
    attention: Mapping[int, Tensor] = field(default_factory=dict)
    state: TransformerState | None = None


class MLP(nn.Module):
    """Two linear maps with quick_gelu between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.input = Linear(width, hidden)
        self.output = Linear(hidden, width)

    def forward(self, x: Float[Tensor, "*places width"]) -> Float[Tensor, "*places width"]:
        """Each position by itself."""
        hidden = self.input(x)
        if torch.is_grad_enabled():
            return self.output(quick_gelu(hidden))
        # The same as quick_gelu, in place: x sigmoid(1.702 x) = silu(1.702 x) / 1.702.
        return self.output(F.silu(hidden.mul_(1.702), inplace=True).mul_(1 / 1.702))


class Layer(nn.Module):
    """x + a + m, where a = attention(norm(x)) and m = mlp(norm(x + a)).

    The norms' statistics are in float32 whatever the dtype: `layer_norm` sees to that.
    """

    def __init__(self, config: TransformerConfig, letters: str, prefix: int) -> None:
        super().__init__()
        self.attention_norm = LayerNorm(config.width)
        if letters == "X":
            self.attention = CrossAttention(config)
        else:
            self.attention = SelfAttention(config, patterns.of_layer(letters, config, prefix))
        self.mlp_norm = LayerNorm(config.width)
        self.mlp = MLP(config.width, config.mlp_width)
        self.scale = 1.0 / config.depth if config.residual_scale else 1.0

    def forward(
        self, x: Hidden, place: Place, kept: tuple[Tensor, ...], heads: slice | None
    ) -> tuple[Hidden, Float[Tensor, "batch shown positions keys"] | None]:
        """The block, and its attention's softmax where it is wanted.

        Args:
            x: inputs of the new positions.
            place: where these are.
            kept: the caches of the patterns, perhaps none; for X the keys and values of the lyrics, or the lyrics.
            heads: whose softmax to give; None for none.
        """
        attention, mlp = self.attention, (self.mlp.input, self.mlp.output)
        first = attention.query if isinstance(attention, CrossAttention) else attention.qkv
        fused = self.scale == 1.0 and is_plain(x, self.attention_norm, first, attention.output, self.mlp_norm, *mlp)
        normed, norm = (x, self.attention_norm) if fused else (self.attention_norm(x), None)
        if isinstance(attention, CrossAttention):
            (lyrics,) = kept
            pairs = attention.pairs(lyrics) if lyrics.ndim == 3 else lyrics
            found, weights = attention.look(normed, pairs, heads=heads, norm=norm)
        else:
            found, weights = attention.look(normed, place, kept, heads=heads, norm=norm)
        if fused:
            return after_attention(x, found, attention.output, self.mlp_norm, mlp), weights
        a = attention.output(found)
        if torch.is_grad_enabled() or isinstance(place, Step):
            return self._sum(x, a), weights
        # What follows is done position by position. In tiles its intermediate results stay in the processor's cache.
        result = x.new_empty(x.shape)
        tile = max(TILE, x.shape[0] * x.shape[1] // TILES)
        for *inputs, output in zip(*(whole.flatten(0, 1).split(tile) for whole in (x, a, result)), strict=True):
            output.copy_(self._sum(*inputs))
        return result, weights

    def _sum(
        self, x: Float[Tensor, "*places width"], a: Float[Tensor, "*places width"]
    ) -> Float[Tensor, "*places width"]:
        """Inputs, attention and the MLP of both; without gradients the sum may be written over the attention."""
        if self.scale != 1.0:
            return x + self.scale * (a + self.mlp(self.mlp_norm(x + a)))
        if not torch.is_grad_enabled():
            y = a.add_(x) if a.dtype == x.dtype else x + a
            return y.add_(self.mlp(self.mlp_norm(y)))
        y = x + a
        return y + self.mlp(self.mlp_norm(y))


class Transformer(nn.Module):
    """The layers that `config` names, over embedded tokens.

    Args:
        config: the stack.
        prefix: lyric tokens at the beginning of the window, for L layers.
        depth: build only so many layers, the first; None for all. The others cannot be computed then.
    """

    def __init__(self, config: TransformerConfig, *, prefix: int = 0, depth: int | None = None) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(Layer(config, letters, prefix) for letters in config.layers[:depth])

    def forward(
        self,
        x: Hidden,
        *,
        encoded_lyrics: Encoded | None = None,
        state: TransformerState | None = None,
        wanted: Wanted = Wanted(),
        recompute: bool = False,
    ) -> TransformerOutput:
        """The outputs of new positions: of a window from its beginning, or of those that follow a `state`.

        Args:
            x: embedded inputs. With a state, one position for every item wherever each is, perhaps with empty rows
                after the last item's (`step.rows_for`), or several positions where all items are at the same; no
                gradients flow then.
            encoded_lyrics: for X layers, without a state, which has its own.
            state: what came before; see `TransformerState` for what happens to it.
            wanted: what else to give.
            recompute: keep only the inputs of each layer for the backward pass.

        Raises:
            ConfigError: the attention of a layer is wanted that has none by key.
        """
        self._check(wanted, x, state, encoded_lyrics)
        if state is None and not torch.is_grad_enabled():
            # Items one after another, or a few: what lies between two layers of them stays in the processor's cache.
            items = max(-(-TILE // x.shape[1]), -(-len(x) // TILES))
            parts = [
                self._run(group, None if encoded_lyrics is None else encoded_lyrics[first : first + items], wanted)
                for first, group in zip(range(0, len(x), items), x.split(items), strict=True)
            ]
            return parts[0] if len(parts) == 1 else _joined(parts)
        return self._run(x, encoded_lyrics, wanted, state, recompute)

    def _run(
        self,
        x: Hidden,
        encoded_lyrics: Encoded | None,
        wanted: Wanted,
        state: TransformerState | None = None,
        recompute: bool = False,
    ) -> TransformerOutput:
        """All layers, for all items at once."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and state is None):
            # Each layer adds to the inputs: rounding that sum to 16 bits again and again costs more than all else.
            x, place = x.to(torch.promote_types(x.dtype, torch.float32)), self._place(x, state)
            layers: dict[int, Tensor] = {}
            attention: dict[int, Tensor] = {}
            for index, letters in enumerate(self.config.layers[: wanted.needed(self.config.depth)]):
                if state is not None:
                    kept = state.caches[index]
                else:
                    kept = (encoded_lyrics,) if letters == "X" else ()
                arguments = (x, place, kept, wanted.heads(index))
                if recompute and torch.is_grad_enabled():
                    again = checkpoint(self.layers[index], *arguments, use_reentrant=False, preserve_rng_state=False)
                    x, weights = cast(tuple[Tensor, Tensor | None], again)
                else:
                    x, weights = self.layers[index](*arguments)
                if index in wanted.layers:
                    layers[index] = x
                if weights is not None:
                    attention[index] = weights
            place.commit()
        moved = None if state is None else state.advanced(x.shape[1])
        return TransformerOutput(hidden=x, layers=layers, attention=attention, state=moved)

    @torch.no_grad()
    def new_state(self, batch: int, encoded_lyrics: Encoded | None = None) -> TransformerState:
        """A state at the beginning of a window for every item, on the parameters' device and in their dtype.

        Args:
            batch: how many items.
            encoded_lyrics: for X layers; their keys and values are made here.
        """
        config, caches = self.config, []
        like = cast(Layer, self.layers[0]).mlp_norm.weight  # a matrix may be packed
        item = like.new_empty(batch, 2, config.heads, config.head_width)
        for layer in cast(list[Layer], list(self.layers)):
            if isinstance(layer.attention, CrossAttention):
                assert encoded_lyrics is not None
                caches.append((layer.attention.pairs(encoded_lyrics),))
            else:
                caches.append(tuple(empty_cache(p, config.context, item) for p in layer.attention.patterns))
        positions = torch.zeros(batch, dtype=torch.int64, device=like.device)
        return TransformerState(positions=positions, furthest=0, caches=tuple(caches))

    def read_lyrics(self, encoded_lyrics: Encoded, state: TransformerState) -> None:
        """Make the keys and values of other lyrics for the items of a state, in place; there is nothing else to X."""
        for layer, caches in zip(cast(list[Layer], list(self.layers)), state.caches, strict=True):
            if isinstance(layer.attention, CrossAttention):
                caches[0].copy_(layer.attention.pairs(encoded_lyrics))

    def _place(self, x: Tensor, state: TransformerState | None) -> Place:
        context = self.config.context
        if state is None:
            return Span(0, x.shape[1], context, x.device)
        if x.shape[1] == 1:
            return Step(state, context)
        start = int(state.positions[0])
        assert bool((state.positions == start).all()), "a chunk of several positions needs all items at the same one"
        return Span(start, x.shape[1], context, x.device)

    def _check(self, wanted: Wanted, x: Tensor, state: TransformerState | None, encoded_lyrics: Tensor | None) -> None:
        assert (encoded_lyrics is not None) == (state is None and "X" in self.config.attention)
        start = 0 if state is None else state.furthest
        assert start + x.shape[1] <= self.config.context, "the window is full"
        assert wanted.alone <= (state is None), "a state goes through all layers"
        for index in wanted.layers | wanted.attention:
            if not 0 <= index < self.config.depth:
                raise ConfigError(f"Layer {index} is wanted; this model has layers 0 to {self.config.depth - 1}.")
        assert wanted.needed(self.config.depth) <= len(self.layers), "layers are wanted that were not built"
        if wanted.head is not None and not 0 <= wanted.head < self.config.heads:
            raise ConfigError(f"Head {wanted.head} is wanted; this model has heads 0 to {self.config.heads - 1}.")
        for index in wanted.attention:
            letters = self.config.layers[index]
            if letters not in ("D", "L", "X"):
                raise ConfigError(
                    f"The attention of layer {index} is wanted, which is {letters!r}; "
                    "only layers D, L and X can show theirs."
                )


@contextmanager
def layers_apart(transformer: Transformer) -> Iterator[list[Layer]]:
    """The layers of a stack, which has none inside: what it is a part of is moved or converted without them."""
    layers = transformer.layers
    transformer.layers = nn.ModuleList()
    try:
        yield cast(list[Layer], list(layers))
    finally:
        transformer.layers = layers


def _joined(parts: list[TransformerOutput]) -> TransformerOutput:
    """The outputs for groups of items as one."""
    first = parts[0]
    return TransformerOutput(
        hidden=torch.cat([part.hidden for part in parts]),
        layers={index: torch.cat([part.layers[index] for part in parts]) for index in first.layers},
        attention={index: torch.cat([part.attention[index] for part in parts]) for index in first.attention},
    )
