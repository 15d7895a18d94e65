"""The next token of many windows, for processors: a prior's step as a list of few operations.

Beside a small prior's products every operation, view and call of a module costs as much again. Here keys and values
lie so that attention is two products of batches without copies, and whatever depends on positions alone is made for
many steps at once. It is `Prior.extend` but for rounding, and an item's results are the same bits in any company.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from jukebox.config import TransformerConfig
from jukebox.nn.packed import product_of
from jukebox.prior.attention import SelfAttention, turns
from jukebox.prior.patterns import Pattern
from jukebox.prior.places import Places, places_of, runs_of
from jukebox.prior.prior import Prior, PriorState
from jukebox.prior.step import rows_for
from jukebox.prior.transformer import Layer

Rows = Float[Tensor, "rows width"]
Turns = Float[Tensor, "items 1 1 2 half"]

# Numbers of the largest mask of a block of steps, and steps in a block.
_MASK, _STEPS = 1 << 18, 16


@dataclass(frozen=True, kw_only=True)
class Block:
    """What steps of the first items need to know of their positions, by step.

    Args:
        positions: of each item.
        base: added to the embedded tokens; None where nothing is.
        added: added to the result before the logits; None where nothing is.
        first: items whose first position it is.
        places: of each pattern.
        turns: what the two halves of a head are multiplied by, and what the other half is; None where no head turns.
    """

    positions: Sequence[Int64[Tensor, " items"]]
    base: Sequence[Float[Tensor, "items width"]] | None
    added: Sequence[Float[Tensor, "items width"]] | None
    first: Sequence[list[int]]
    places: dict[Pattern, Places]
    turns: Sequence[tuple[Turns, Turns]] | None


class ProcessorStep:
    """The step of a prior for up to `items` windows, with all that is kept of them; to be used without gradients.

    Args:
        prior: packed, on the CPU in float32, such as `fits` says yes to.
        items: how many windows.
    """

    def __init__(self, prior: Prior, items: int) -> None:
        config, self._context = prior.config, prior.config.transformer.context
        lyrics = config.lyrics.tokens if config.lyrics is not None else 0
        modules = cast(list[Layer], list(prior.transformer.layers))
        self._layers = [_Layer(module, items, self._context, lyrics) for module in modules]
        self._tokens = prior.token_embedding.weight.detach()
        self._places = None if prior.position_embedding is None else prior.position_embedding.weight.detach()
        assert prior.output is not None
        self._output, self._recondition = product_of(prior.output), config.recondition
        kept = prior.empty_conditioning(items)
        self._start, self._added = kept.start, kept.added
        rotary = config.transformer.position == "rotary"
        self._turns = _turns(config.transformer) if rotary else None
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
            layer.cache[:, :, item] = cache[0].unflatten(0, (len(layer.cache), -1)).permute(0, 2, 3, 1, 4)

    def move(self, item: int, to: int) -> None:
        """Copy an item to another place."""
        for kept in (self._start, self._added):
            if kept is not None:
                kept[to] = kept[item]
        for layer in self._layers:
            layer.cache[:, :, to] = layer.cache[:, :, item]

    def block(self, positions: Sequence[int], steps: int) -> Block:
        """What the next steps need, at most so many: of the first items, each at its position."""
        self._bind(len(positions))
        largest = max(layer.mask_numbers for layer in self._layers)
        steps = max(1, min(steps, _STEPS, _MASK // (largest * len(positions))))
        places = torch.tensor(positions) + torch.arange(steps)[:, None]
        added = None
        if self._added is not None:
            windows = torch.arange(len(positions)) * self._context
            added = self._added.flatten(0, 1).index_select(0, (windows + places).flatten()).unflatten(0, places.shape)
        base = None if self._places is None else F.embedding(places, self._places)
        if added is not None:
            base = added if base is None else base + added
        patterns = {layer.pattern: layer.cache for layer in self._layers if layer.pattern is not None}
        return Block(
            positions=places.unbind(),
            base=None if base is None else base.unbind(),
            added=added.unbind() if added is not None and self._recondition else None,
            first=[[item for item, at in enumerate(row) if at == 0] for row in places.tolist()],
            places={pattern: places_of(pattern, self._context, places, cache) for pattern, cache in patterns.items()},
            turns=None if self._turns is None else list(zip(*(part[places] for part in self._turns), strict=True)),
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
        for layer in self._layers:
            x = layer(x, block, step)
        if block.added is not None:
            x.narrow(0, 0, self._items).add_(block.added[step])
        return self._output(x).narrow(0, 0, self._items)

    def _bind(self, items: int) -> None:
        """Make room for so many items, the first ones."""
        if items != self._items:
            self._items, rows = items, rows_for(items)
            self._inputs = torch.zeros(rows, self._tokens.shape[1])
            for layer in self._layers:
                layer.bind(items, rows)


def _turns(config: TransformerConfig) -> tuple[Float[Tensor, "context 1 1 2 half"], ...]:
    """What the halves of a head are multiplied by at every position, and what the other halves are."""
    cosine, sine = turns(torch.arange(config.context), config.head_width)
    return torch.stack([cosine, cosine], 1)[:, None, None], torch.stack([-sine, sine], 1)[:, None, None]


class _Layer:
    """A block of the stack, with the keys and values of all items: [runs, kinds, items, heads, slots, head width]."""

    def __init__(self, module: Layer, items: int, context: int, lyrics: int) -> None:
        attention = module.attention
        self.pattern = attention.patterns[0] if isinstance(attention, SelfAttention) else None
        runs, slots, self._count = (1, lyrics, lyrics) if self.pattern is None else runs_of(self.pattern, context)
        self.cache = torch.zeros(runs, 2, items, attention.heads, slots, attention.head_width)
        self.mask_numbers = attention.heads * self._count
        self._heads, self._width, self._scale = attention.heads, attention.head_width, attention.head_width**-0.5
        self._flat = self.cache.view(-1, self._width)
        self._project = product_of(attention.qkv if isinstance(attention, SelfAttention) else attention.query)
        self._output = product_of(attention.output)
        self._norms = [
            (list(norm.normalized_shape), norm.weight.detach(), norm.bias.detach(), norm.eps)
            for norm in (module.attention_norm, module.mlp_norm)
        ]
        self._inner, self._outer = product_of(module.mlp.input), product_of(module.mlp.output)
        self._branch = module.scale
        self._head_norms = None
        if isinstance(attention, SelfAttention) and attention.query_norm is not None and attention.key_norm is not None:
            weights = [attention.query_norm.weight.detach(), attention.key_norm.weight.detach()]
            self._head_norms = (torch.stack(weights)[:, None], attention.query_norm.eps)

    def bind(self, items: int, rows: int) -> None:
        """Make what depends on the number of items."""
        self._items = items
        used = self.cache[:, :, :items]
        keys, values = used.flatten(2, 3).narrow(3, 0, self._count).unbind(1)
        # By run.
        self._written, self._keys, self._values = used.unbind(), keys.transpose(2, 3).unbind(), values.unbind()
        self._found = torch.zeros(rows, self._heads * self._width)
        self._attended = self._found[:items]
        self._by_head = self._attended.view(items * self._heads, 1, self._width)

    def __call__(self, x: Rows, block: Block, step: int) -> Rows:
        """The block's output; its inputs may be written over, but not its own result."""
        a = self._attend(torch.layer_norm(x, *self._norms[0]), block, step)
        y = a.add_(x) if self._branch == 1.0 else x + a
        hidden = self._inner(torch.layer_norm(y, *self._norms[1]))
        # quick_gelu: x sigmoid(1.702 x).
        m = self._outer(torch.mul(hidden, torch.sigmoid_(hidden * 1.702)))
        return m.add_(y) if self._branch == 1.0 else x + self._branch * (a + m)

    def _attend(self, normed: Rows, block: Block, step: int) -> Rows:
        items, heads, width = self._items, self._heads, self._width
        projected, blind = self._project(normed), None
        if self.pattern is None:
            queries = projected.as_strided((items, heads, width), (heads * width, width, 1))
            logits = torch.bmm(queries.reshape(items * heads, 1, width), self._keys[0]).mul_(self._scale)
            values = self._values[0]
        else:
            places, inner = block.places[self.pattern], heads * width
            if block.turns is not None or self._head_norms is not None:
                self._turn(projected, block, step)
            write, read, blind = places.write[step], places.read[step], places.blind[step]
            if isinstance(write, tuple):
                pairs = projected.as_strided((2, items, heads, width), (inner, 3 * inner, width, 1), inner)
                self._written[write[0]].select(3, write[1]).copy_(pairs)
            else:
                pairs = projected.as_strided((items, 2, heads, width), (3 * inner, inner, width, 1), inner)
                self._flat.index_put_((write,), pairs)
            if isinstance(read, int):
                keys, values = self._keys[read], self._values[read]
            else:
                runs = self._flat.view(-1, self._count, width).index_select(0, read)
                keys, values = runs.view(2, items * heads, self._count, width).unbind()
                keys = keys.transpose(1, 2)
            queries = projected.as_strided((items, heads, width), (3 * inner, width, 1))
            queries = queries.reshape(items * heads, 1, width)
            logits = torch.baddbmm(places.mask[step], queries, keys, alpha=self._scale)
        torch.bmm(torch.softmax(logits, -1), values, out=self._by_head)
        if blind is not None:
            self._attended.masked_fill_(blind, 0.0)
        return self._output(self._found)

    def _turn(self, projected: Rows, block: Block, step: int) -> None:
        """Normalise queries and keys, and turn them by their positions, in place."""
        inner = self._heads * self._width
        both = projected.as_strided((self._items, 2, self._heads, self._width), (3 * inner, inner, self._width, 1))
        found = both
        if self._head_norms is not None:
            weights, epsilon = self._head_norms
            found = F.rms_norm(both, [self._width], None, epsilon).mul_(weights)
        if block.turns is not None:
            own, other = block.turns[step]
            halves = found.unflatten(-1, (2, -1))
            found = torch.mul(halves, own).add_(halves.flip(-2).mul_(other)).view(both.shape)
        both.copy_(found)
