"""The next token of many windows, for processors: a prior's step as a list of few operations.

Beside a small prior's products every operation, view and call of a module costs as much again. Here keys and values
lie so that attention is two products of batches without copies, and whatever depends on positions alone is made for
many steps at once. It is `Prior.extend` but for rounding, and an item's results are the same bits in any company.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from jukebox.nn.packed import product_of
from jukebox.prior.attention import SelfAttention
from jukebox.prior.kept import Kept, Room
from jukebox.prior.patterns import Pattern
from jukebox.prior.places import Place, places_of
from jukebox.prior.prior import Prior, PriorState
from jukebox.prior.step import rows_for
from jukebox.prior.transformer import Layer
from jukebox.prior.turned import Turn, Turned, Turns, all_turns

Rows = Float[Tensor, "rows width"]
LayerPlan = tuple[Place | None, Turn | None]

# Numbers of the largest mask of a block of steps, and steps in a block.
_MASK, _STEPS = 1 << 18, 16

# quick_gelu, x sigmoid(1.702 x), is silu of 1.702 x, divided by 1.702: both factors cost nothing where others are.
_SPEED = 1.702


@dataclass(frozen=True, kw_only=True)
class Block:
    """What steps of the first items need to know of their positions, by step.

    Args:
        positions: of each item.
        base: added to the embedded tokens; None where nothing is.
        added: added to the result before the logits; None where nothing is.
        first: items whose first position it is.
        layers: by layer first: where it writes and reads, which those of lyrics do not, and what its queries and keys
            are multiplied by where they are.
    """

    positions: Sequence[Int64[Tensor, " items"]]
    base: Sequence[Float[Tensor, "items width"]] | None
    added: Sequence[Float[Tensor, "items width"]] | None
    first: Sequence[list[int]]
    layers: Sequence[Sequence[LayerPlan]]


class ProcessorStep:
    """The step of a prior for up to `items` windows, with all that is kept of them; to be used without gradients.

    Args:
        prior: packed, on the CPU in float32, such as `fits` says yes to.
        items: how many windows.
    """

    def __init__(self, prior: Prior, items: int) -> None:
        config, self._context = prior.config, prior.config.transformer.context
        lyrics = config.lyrics.tokens if config.lyrics is not None else 0
        rotary = config.transformer.position == "rotary"
        modules = cast(list[Layer], list(prior.transformer.layers))
        self._layers = [_Layer(module, items, self._context, lyrics, rotary=rotary) for module in modules]
        self._patterns = {each.kept.pattern: each.kept for each in self._layers if each.kept.pattern is not None}
        self._tokens = prior.token_embedding.weight.detach()
        self._places = None if prior.position_embedding is None else prior.position_embedding.weight.detach()
        assert prior.output is not None
        self._output, self._recondition = product_of(prior.output), config.recondition
        kept = prior.empty_conditioning(items)
        self._start, self._added = kept.start, kept.added
        self._turns = all_turns(config.transformer) if rotary else None
        self._items, self._inputs = 0, torch.empty(0)

    @staticmethod
    def fits(prior: Prior) -> bool:
        """Whether a prior is of the kind that is written here: no layer sees a union of patterns."""
        weight = prior.token_embedding.weight
        single = all(len(letters) == 1 for letters in prior.config.transformer.layers)
        return weight.device.type == "cpu" and weight.dtype == torch.float32 and single

    def load(self, item: int, state: PriorState) -> None:
        """Take over what a state of one item has read."""
        self._start[item] = state.conditioning.start[0]
        if self._added is not None and state.conditioning.added is not None:
            self._added[item] = state.conditioning.added[0]
        for layer, (cache,) in zip(self._layers, state.transformer.caches, strict=True):
            layer.kept.cache[:, :, item] = cache[0].unflatten(0, (len(layer.kept.cache), -1)).permute(0, 2, 3, 1, 4)

    def move(self, item: int, to: int) -> None:
        """Copy an item to another place."""
        for kept in (self._start, self._added):
            if kept is not None:
                kept[to] = kept[item]
        for layer in self._layers:
            layer.kept.cache[:, :, to] = layer.kept.cache[:, :, item]

    def block(self, positions: Sequence[int], steps: int) -> Block:
        """What the next steps need, at most so many: of the first items, each at its position."""
        self._bind(len(positions))
        largest = max(layer.kept.count for layer in self._layers)
        steps = max(1, min(steps, _STEPS, _MASK // (largest * len(positions))))
        places = torch.tensor(positions) + torch.arange(steps)[:, None]
        added = None
        if self._added is not None:
            windows = torch.arange(len(positions)) * self._context
            added = self._added.flatten(0, 1).index_select(0, (windows + places).flatten()).unflatten(0, places.shape)
        base = None if self._places is None else F.embedding(places, self._places)
        if added is not None:
            base = added if base is None else base + added
        together = len(set(positions)) == 1
        planned = {
            pattern: places_of(pattern, self._context, places, kept.cache, piece=kept.piece)
            for pattern, kept in self._patterns.items()
        }
        turns = None
        if self._turns is not None:
            cosine, sine = (table[places[:, :1] if together else places] for table in self._turns)
            turns = cosine, sine
        return Block(
            positions=places.unbind(),
            base=None if base is None else base.unbind(),
            added=added.unbind() if added is not None and self._recondition else None,
            first=[[item for item, at in enumerate(row) if at == 0] for row in places.tolist()],
            layers=[layer.plan(planned, turns, steps) for layer in self._layers],
        )

    def logits(self, previous: Int64[Tensor, " items"], block: Block, step: int) -> Float[Tensor, "items vocabulary"]:
        """Logits of the next token of every item of a block, whose steps are made one after another."""
        inputs = torch.embedding(self._tokens, previous)
        for item in block.first[step]:
            inputs[item] = self._start[item]
        if block.base is None:
            self._inputs[: self._items] = inputs
        else:
            torch.add(inputs, block.base[step], out=self._inputs[: self._items])
        x = self._inputs
        for layer, plan in zip(self._layers, block.layers, strict=True):
            x = layer(x, *plan[step])
        if block.added is not None:
            x.narrow(0, 0, self._items).add_(block.added[step])
        return self._output(x).narrow(0, 0, self._items)

    def _bind(self, items: int) -> None:
        """Make room for so many items, the first ones."""
        if items != self._items:
            self._items, rows = items, rows_for(items)
            self._inputs = torch.zeros(rows, self._tokens.shape[1])
            rooms: dict[tuple[str, int], Tensor] = {}

            def room(name: str, width: int) -> Tensor:
                return rooms.setdefault((name, width), torch.zeros(rows, width))

            for index, layer in enumerate(self._layers):
                layer.bind(items, rows, room, odd=index % 2 == 1)


class _Layer:
    """A block of the stack, with the keys and values of all items."""

    def __init__(self, module: Layer, items: int, context: int, lyrics: int, *, rotary: bool) -> None:
        attention, pattern, self._turned = module.attention, None, None
        if isinstance(attention, SelfAttention):
            first, (pattern,) = attention.qkv, attention.patterns
            if rotary or attention.query_norm is not None:
                self._turned = Turned(attention)
        else:
            first = attention.query
        self.kept = Kept(
            pattern, items=items, heads=attention.heads, width=attention.head_width, context=context, lyrics=lyrics
        )
        self._project, self._output = product_of(first), product_of(attention.output)
        norm, second = module.attention_norm, module.mlp_norm
        shape = list(norm.normalized_shape)
        self._norm = (shape, norm.weight.detach(), norm.bias.detach(), norm.eps)
        # Towards the MLP everything is 1.702 times itself.
        self._second_norm = (shape, second.weight.detach() * _SPEED, second.bias.detach() * _SPEED, second.eps)
        self._inner, self._outer = (product_of(each, bias=_SPEED) for each in (module.mlp.input, module.mlp.output))
        self._branch, self._width, self._hidden = module.scale, shape[0], module.mlp.input.out_features

    def plan(self, places: Mapping[Pattern, Sequence[Place]], turns: Turns | None, steps: int) -> Sequence[LayerPlan]:
        """What its steps need to know, made of what depends on positions alone."""
        pattern = self.kept.pattern
        own = [None] * steps if pattern is None else places[pattern]
        return list(zip(own, [None] * steps if self._turned is None else self._turned.plan(turns, steps), strict=True))

    def bind(self, items: int, rows: int, room: Room, *, odd: bool) -> None:
        """Make what depends on the number of items; a layer and the next have their results in different rooms."""
        self.kept.bind(items, rows, room)
        if self._turned is not None:
            self._turned.bind(items, self.kept.projected)
        self._attended = room(f"attended {odd}", self._width)
        self._inside, self._done = room("inside", self._hidden), room("done", self._width)

    def __call__(self, x: Rows, place: Place | None, turn: Turn | None) -> Rows:
        """The block's output, which lasts until the layer after the next; its inputs stay as they are."""
        kept = self.kept
        projected = self._project(torch.layer_norm(x, *self._norm), kept.projected)
        if projected is not kept.projected:
            kept.projected.copy_(projected)
        if self._turned is not None:
            self._turned(turn)
        a = self._output(kept.attend(place), self._attended)
        y = a.add_(x) if self._branch == 1.0 else x + a
        hidden = self._inner(torch.layer_norm(y, *self._second_norm), self._inside)
        m = self._outer(F.silu(hidden, inplace=True), self._done)
        if self._branch == 1.0:
            return y.add_(m, alpha=1 / _SPEED)
        return torch.add(x, a, alpha=self._branch).add_(m, alpha=self._branch / _SPEED)
