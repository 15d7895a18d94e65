"""Attention of one new position for every item of a batch, each at its own place in the window."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from jukebox.nn.packed import rows_are_alike
from jukebox.prior import softmax
from jukebox.prior.cache import Columns, Ends, Ring, TransformerState, layout, slots_of
from jukebox.prior.patterns import Pattern

Queries = Float[Tensor, "rows 1 heads width"]
Pairs = Float[Tensor, "rows 1 2 heads width"]

_LEAST_ROWS = 4


def rows_for(items: int) -> int:
    """Rows of a step, the last ones empty: an item shall not depend on how many others are beside it.

    Products of one to three rows go through other kernels, which round otherwise. So do one or two that are left when
    a packed product is cut into pieces of six, as FBGEMM does with AVX2: of a multiple of three none are.
    """
    if items <= _LEAST_ROWS:
        return _LEAST_ROWS
    return items if rows_are_alike() else -(-items // 3) * 3


# Layers that keep everything read it in pieces of so many slots, up to the furthest item.
_SLOTS = 512


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """Where a pattern writes and reads, the same for all its layers.

    Args:
        write: slot of each item's new key, counted through all items.
        read: which column of which item, counted through all items; or how many slots from the first.
        columns: of a cache of columns: how many there are, of all items, and their length.
        keys: positions of the keys that are read; negative where nothing was written yet.
    """

    write: Int64[Tensor, " batch"]
    read: Int64[Tensor, " batch"] | int
    columns: tuple[int, int] | None
    keys: Int64[Tensor, "#batch keys"]

    def pairs(self, cache: Tensor) -> Float[Tensor, "batch keys 2 heads width"]:
        """The keys and values that are looked at."""
        if self.columns is not None:
            assert isinstance(self.read, Tensor)
            return cache.view(*self.columns, *cache.shape[2:]).index_select(0, self.read)
        assert isinstance(self.read, int)
        return cache if self.read == cache.shape[1] else cache.narrow(1, 0, self.read)


@dataclass(frozen=True, kw_only=True)
class _Mask:
    """What a pattern sees alone, as layers use it.

    Args:
        added: to the logits.
        blind: which items see nothing at all; None where that cannot be.
    """

    added: Float[Tensor, "#batch 1 keys"]
    blind: Bool[Tensor, "batch 1 1 1"] | None


class Step:
    """The next position of every item, as `state` says. It lives for one call of the transformer.

    Shapes depend on the layers and, in pieces of 512, on the furthest item; never on where an item is. Every operation
    costs more than its few numbers do: what layers of a pattern share is made once.
    """

    def __init__(self, state: TransformerState, context: int) -> None:
        self.context, self._at, self._furthest = context, state.positions, state.furthest
        self._items = torch.arange(len(state.positions), device=state.positions.device)
        self._plans: dict[Pattern, _Plan] = {}
        self._masks: dict[Pattern, _Mask] = {}
        self._seen: dict[tuple[Pattern, ...], Tensor] = {}

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
        plans = [self._plan(pattern) for pattern in patterns]
        for plan, cache in zip(plans, caches, strict=True):
            # One new key for every item; `flatten` of a cache is a view.
            cache.flatten(0, 1).index_copy_(0, plan.write, pairs.select(1, 0))
        if len(patterns) == 1:
            mask = self._mask(patterns[0], queries.dtype)
            found = softmax.attend(queries, plans[0].pairs(caches[0]), mask.added)
            found = found if mask.blind is None else found.masked_fill(mask.blind, 0.0)
        else:
            parts = [
                softmax.part(queries, plan.pairs(cache), self._visible(patterns[: index + 1]))
                for index, (plan, cache) in enumerate(zip(plans, caches, strict=True))
            ]
            found = softmax.join(parts).to(queries.dtype)
        return found if items == rows else F.pad(found, (0, 0, 0, 0, 0, 0, 0, rows - items))

    def weights(
        self, pattern: Pattern, queries: Queries, pairs: Pairs, cache: Tensor | None
    ) -> Float[Tensor, "batch heads 1 keys"]:
        """The softmax of a pattern that keeps its keys in one row, by key; its cache has been written."""
        assert cache is not None
        return softmax.weights(queries[: len(self._at)], self._plan(pattern).pairs(cache), self._visible((pattern,)))

    def commit(self) -> None:
        """Nothing is held back: a key is written where its own step alone looks."""

    def _mask(self, pattern: Pattern, dtype: torch.dtype) -> _Mask:
        """The mask as something to add to logits of a dtype, which is that of all layers."""
        if pattern not in self._masks:
            visible, blind = self._visible((pattern,)), None
            if pattern.blind:
                # Softmax needs something to look at; what it finds is thrown away.
                blind = (self._at < pattern.blind)[:, None, None]
                visible = visible | blind
            added = torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill(~visible, -torch.inf)
            self._masks[pattern] = _Mask(added=added, blind=None if blind is None else blind[..., None])
        return self._masks[pattern]

    def _plan(self, pattern: Pattern) -> _Plan:
        if pattern not in self._plans:
            self._plans[pattern] = self._planned(pattern)
        return self._plans[pattern]

    def _planned(self, pattern: Pattern) -> _Plan:
        kept, at = layout(pattern, self.context), self._at
        first = self._items * slots_of(pattern, self.context)
        if isinstance(kept, Columns):
            column, columns = at % kept.stride, (len(self._items) * kept.stride, kept.rows)
            keys = column[:, None] + torch.arange(kept.rows, device=at.device) * kept.stride
            read = self._items * kept.stride + column
            return _Plan(write=first + kept.slot(at), read=read, columns=columns, keys=keys)
        if isinstance(kept, Ring):
            slots = torch.arange(kept.capacity, device=at.device)
            keys = kept.position(slots[None], at[:, None])
            return _Plan(write=first + kept.slot(at), read=kept.capacity, columns=None, keys=keys)
        assert isinstance(kept, Ends)
        write = torch.where(kept.keeps(at), pattern.empty_keys + kept.slot(at), pattern.empty_keys + kept.capacity)
        # At least one slot, though nobody sees it: a softmax is over something.
        count = min(kept.capacity, -(-max(1, kept.before(self._furthest + 1)) // _SLOTS) * _SLOTS)
        keys = kept.position(torch.arange(count, device=at.device))[None]
        return _Plan(write=first + write, read=pattern.empty_keys + count, columns=None, keys=keys)

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
