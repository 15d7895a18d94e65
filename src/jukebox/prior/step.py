"""Attention of one new position for every item of a batch, each at its own place in the window."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from jukebox.prior import softmax
from jukebox.prior.cache import Columns, Ends, Ring, TransformerState, layout, slots_of
from jukebox.prior.patterns import Pattern

Queries = Float[Tensor, "rows 1 heads width"]
Pairs = Float[Tensor, "rows 1 2 heads width"]

ROWS = 4
"""A step has at least so many rows, the last ones empty where there are fewer items: products of one to three rows go
through other kernels, which round otherwise, and an item shall not depend on how many others are beside it."""

# Layers that keep everything read it in pieces of so many slots, up to the furthest item.
_SLOTS = 512


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """Where a pattern writes and reads, the same for all its layers.

    Args:
        write: slot of each item's new key, counted through all items.
        read: which column of which item, counted through all items; or how many slots from the first.
        keys: positions of the keys that are read; negative where nothing was written yet.
    """

    write: Int64[Tensor, " batch"]
    read: Int64[Tensor, " batch"] | int
    keys: Int64[Tensor, "#batch keys"]


@dataclass(frozen=True, kw_only=True)
class _Ready:
    """A plan with its mask, as layers use it.

    Args:
        write: as in the plan.
        read: as in the plan.
        shape: of a cache of columns: how many there are, of all items, and their length.
        mask: what is added to logits.
        blind: which items see nothing; None where that cannot be.
    """

    write: Int64[Tensor, " batch"]
    read: Int64[Tensor, " batch"] | int
    shape: tuple[int, int] | None
    mask: Float[Tensor, "#batch 1 1 keys"]
    blind: Bool[Tensor, "batch 1 1 1"] | None

    def pairs(self, cache: Tensor) -> Float[Tensor, "batch keys 2 heads width"]:
        """The keys and values that are looked at."""
        if self.shape is not None:
            assert isinstance(self.read, Tensor)
            return cache.view(*self.shape, *cache.shape[2:]).index_select(0, self.read)
        assert isinstance(self.read, int)
        return cache if self.read == cache.shape[1] else cache.narrow(1, 0, self.read)


class Step:
    """The next position of every item, as `state` says. It lives for one call of the transformer.

    Shapes depend on the layers and, in pieces of 512, on the furthest item; never on where an item is.
    """

    def __init__(self, state: TransformerState, context: int) -> None:
        self.context, self._at, self._furthest = context, state.positions, state.furthest
        self._items = torch.arange(len(state.positions), device=state.positions.device)
        self._plans: dict[Pattern, _Plan] = {}
        self._ready: dict[Pattern, _Ready] = {}
        self._seen: dict[tuple[Pattern, ...], Tensor] = {}
        self._masks: dict[tuple[Pattern, torch.dtype], tuple[Tensor, Tensor | None]] = {}

    @property
    def positions(self) -> Int64[Tensor, "batch 1"]:
        """Where each item's query is."""
        return self._at[:, None]

    def attend(
        self, patterns: tuple[Pattern, ...], queries: Queries, pairs: Pairs, caches: tuple[Tensor, ...]
    ) -> Queries:
        """The attention of the new position over the union of what the patterns see; its key is written first.

        There may be more queries than items: the rest are empty rows, and so are their results.
        """
        items, rows = len(self._items), len(queries)
        if items < rows:
            queries, pairs = queries.narrow(0, 0, items), pairs.narrow(0, 0, items)
        for pattern, cache in zip(patterns, caches, strict=True):
            # One new key for every item; `flatten` of a cache is a view.
            cache.flatten(0, 1).index_copy_(0, self._plan(pattern).write, pairs.select(1, 0))
        if len(patterns) == 1:
            found = self._alone(patterns[0], queries, caches[0])
        else:
            parts = [
                softmax.part(queries, self._keys(pattern, cache), self._visible(patterns[: index + 1]))
                for index, (pattern, cache) in enumerate(zip(patterns, caches, strict=True))
            ]
            found = softmax.join(parts).to(queries.dtype)
        return found if items == rows else F.pad(found, (0, 0, 0, 0, 0, 0, 0, rows - items))

    def attend_alone(
        self, pattern: Pattern, triples: Float[Tensor, "rows 3 heads width"], cache: Tensor
    ) -> Float[Tensor, "rows 1 inner"]:
        """As `attend`, of one pattern, from query, key and value side by side: the same in fewer operations."""
        items, rows = len(self._items), len(triples)
        if items < rows:
            triples = triples.narrow(0, 0, items)
        if pattern not in self._ready:
            self._ready[pattern] = self._prepared(pattern, triples.dtype)
        ready = self._ready[pattern]
        cache.flatten(0, 1).index_copy_(0, ready.write, triples.narrow(1, 1, 2))
        keys, values = ready.pairs(cache).unbind(2)
        found = F.scaled_dot_product_attention(
            triples.narrow(1, 0, 1).transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2), ready.mask
        )
        if ready.blind is not None:
            found = found.masked_fill(ready.blind, 0.0)
        found = found.reshape(items, 1, -1)
        return found if items == rows else F.pad(found, (0, 0, 0, 0, 0, rows - items))

    def _prepared(self, pattern: Pattern, dtype: torch.dtype) -> "_Ready":
        """All that the layers of one pattern share in this step."""
        plan, kept = self._plan(pattern), layout(pattern, self.context)
        mask, blind = self._additive(pattern, dtype)
        shape = (len(self._items) * kept.stride, kept.rows) if isinstance(kept, Columns) else None
        return _Ready(write=plan.write, read=plan.read, shape=shape, mask=mask[:, None], blind=blind)

    def weights(
        self, pattern: Pattern, queries: Queries, pairs: Pairs, cache: Tensor | None
    ) -> Float[Tensor, "batch heads 1 keys"]:
        """The softmax of a pattern that keeps its keys in one row, by key; its cache has been written."""
        assert cache is not None
        return softmax.weights(queries[: len(self._at)], self._keys(pattern, cache), self._visible((pattern,)))

    def commit(self) -> None:
        """Nothing is held back: a key is written where its own step alone looks."""

    def _alone(self, pattern: Pattern, queries: Queries, cache: Tensor) -> Queries:
        """The attention over what one pattern sees."""
        key = (pattern, queries.dtype)
        if key not in self._masks:
            self._masks[key] = self._additive(pattern, queries.dtype)
        mask, blind = self._masks[key]
        found = softmax.attend(queries, self._keys(pattern, cache), mask)
        return found if blind is None else found.masked_fill(blind, 0.0)

    def _additive(self, pattern: Pattern, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
        """The mask as something to add to logits, which is made once for all layers; and who sees nothing at all."""
        visible, blind = self._visible((pattern,)), None
        if pattern.blind:
            # Softmax needs something to look at; what it finds is thrown away.
            blind = (self._at < pattern.blind)[:, None, None]
            visible = visible | blind
        mask = torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill(~visible, -torch.inf)
        return mask, None if blind is None else blind[..., None]

    def _keys(self, pattern: Pattern, cache: Tensor) -> Float[Tensor, "batch keys 2 heads width"]:
        read = self._plan(pattern).read
        if isinstance(read, int):
            return cache if read == cache.shape[1] else cache.narrow(1, 0, read)
        kept = layout(pattern, self.context)
        assert isinstance(kept, Columns)
        columns = cache.view(len(cache) * kept.stride, kept.rows, *cache.shape[2:])
        return columns.index_select(0, read)

    def _plan(self, pattern: Pattern) -> _Plan:
        if pattern not in self._plans:
            self._plans[pattern] = self._planned(pattern)
        return self._plans[pattern]

    def _planned(self, pattern: Pattern) -> _Plan:
        kept, at = layout(pattern, self.context), self._at
        first = self._items * slots_of(pattern, self.context)
        if isinstance(kept, Columns):
            column = at % kept.stride
            keys = column[:, None] + torch.arange(kept.rows, device=at.device) * kept.stride
            return _Plan(write=first + kept.slot(at), read=self._items * kept.stride + column, keys=keys)
        if isinstance(kept, Ring):
            slots = torch.arange(kept.capacity, device=at.device)
            keys = kept.position(slots[None], at[:, None])
            return _Plan(write=first + kept.slot(at), read=kept.capacity, keys=keys)
        assert isinstance(kept, Ends)
        write = torch.where(kept.keeps(at), pattern.empty_keys + kept.slot(at), pattern.empty_keys + kept.capacity)
        # At least one slot, though nobody sees it: a softmax is over something.
        count = min(kept.capacity, -(-max(1, kept.before(self._furthest + 1)) // _SLOTS) * _SLOTS)
        keys = kept.position(torch.arange(count, device=at.device))[None]
        return _Plan(write=first + write, read=pattern.empty_keys + count, keys=keys)

    def _visible(self, patterns: tuple[Pattern, ...]) -> Bool[Tensor, "batch 1 keys"]:
        """Which of its keys the last pattern sees and the others do not, by their definition."""
        if patterns not in self._seen:
            *others, pattern = patterns
            keys, queries = self._plan(pattern).keys, self.positions
            mask = pattern.sees(queries, keys) & (keys >= 0)
            for other in others:
                mask = mask & ~other.sees(queries, keys)
            self._seen[patterns] = F.pad(mask, (pattern.empty_keys, 0), value=True)[:, None]
        return self._seen[patterns]
