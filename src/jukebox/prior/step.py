"""Attention of one new position for every item of a batch, each at its own place in the window."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from jukebox.prior import softmax
from jukebox.prior.cache import Columns, Ends, Ring, TransformerState, layout
from jukebox.prior.patterns import Pattern

Queries = Float[Tensor, "batch 1 heads width"]
Pairs = Float[Tensor, "batch 1 2 heads width"]


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """Where a pattern writes and reads, the same for all its layers.

    Args:
        write: slot of the new key.
        read: slots of the keys, or how many of the first.
        keys: their positions; negative where nothing was written yet.
    """

    write: Int64[Tensor, " batch"]
    read: Int64[Tensor, "batch keys"] | int
    keys: Int64[Tensor, "#batch keys"]


class Step:
    """The next position of every item, as `state` says. It lives for one call of the transformer."""

    def __init__(self, state: TransformerState, context: int) -> None:
        self.context, self._at, self._furthest = context, state.positions, state.furthest
        self._items = torch.arange(len(state.positions), device=state.positions.device)
        self._plans: dict[Pattern, _Plan] = {}
        self._masks: dict[tuple[Pattern, ...], Tensor] = {}

    @property
    def positions(self) -> Int64[Tensor, "batch 1"]:
        """Where each item's query is."""
        return self._at[:, None]

    def attend(
        self, patterns: tuple[Pattern, ...], queries: Queries, pairs: Pairs, caches: tuple[Tensor, ...]
    ) -> Queries:
        """The attention of the new position over the union of what the patterns see; its key is written first."""
        found = []
        for index, (pattern, cache) in enumerate(zip(patterns, caches, strict=True)):
            cache[self._items, self._plan(pattern).write] = pairs[:, 0]
            keys, mask = self._keys(pattern, cache), self._mask(patterns[: index + 1])
            if len(patterns) > 1:
                found.append(softmax.part(queries, keys, mask))
            elif pattern.blind:
                # Softmax needs something to look at; what it finds is thrown away.
                blind = (self._at < pattern.blind)[:, None, None]
                found.append(softmax.attend(queries, keys, mask | blind).masked_fill(blind[..., None], 0.0))
            else:
                found.append(softmax.attend(queries, keys, mask))
        return found[0] if len(patterns) == 1 else softmax.join(found).to(queries.dtype)

    def weights(
        self, pattern: Pattern, queries: Queries, pairs: Pairs, cache: Tensor | None
    ) -> Float[Tensor, "batch heads 1 keys"]:
        """The softmax of a pattern that keeps its keys in one row, by key; its cache has been written."""
        assert cache is not None
        return softmax.weights(queries, self._keys(pattern, cache), self._mask((pattern,)))

    def commit(self) -> None:
        """Nothing is held back: a key is written where its own step alone looks."""

    def _keys(self, pattern: Pattern, cache: Tensor) -> Float[Tensor, "batch keys 2 heads width"]:
        read = self._plan(pattern).read
        return cache[:, :read] if isinstance(read, int) else cache[self._items[:, None], read]

    def _plan(self, pattern: Pattern) -> _Plan:
        if pattern not in self._plans:
            self._plans[pattern] = self._planned(pattern)
        return self._plans[pattern]

    def _planned(self, pattern: Pattern) -> _Plan:
        kept, at = layout(pattern, self.context), self._at
        write = torch.where(kept.keeps(at), pattern.empty_keys + kept.slot(at), pattern.empty_keys + kept.capacity)
        if isinstance(kept, Columns):
            rows = torch.arange(self._furthest // kept.stride + 1, device=at.device)
            read = (at % kept.stride * kept.rows)[:, None] + rows
            return _Plan(write=write, read=read, keys=kept.position(read))
        if isinstance(kept, Ring):
            slots = torch.arange(kept.capacity, device=at.device)
            return _Plan(write=write, read=kept.capacity, keys=kept.position(slots[None], at[:, None]))
        assert isinstance(kept, Ends)
        # At least one slot, though nobody sees it: a softmax is over something.
        count = max(1, kept.before(self._furthest + 1))
        keys = kept.position(torch.arange(count, device=at.device))[None]
        return _Plan(write=write, read=pattern.empty_keys + count, keys=keys)

    def _mask(self, patterns: tuple[Pattern, ...]) -> Bool[Tensor, "batch 1 keys"]:
        """Which of its keys the last pattern sees and the others do not, by their definition."""
        if patterns not in self._masks:
            *others, pattern = patterns
            keys, queries = self._plan(pattern).keys, self.positions
            mask = pattern.sees(queries, keys) & (keys >= 0)
            for other in others:
                mask = mask & ~other.sees(queries, keys)
            self._masks[patterns] = F.pad(mask, (pattern.empty_keys, 0), value=True)[:, None]
        return self._masks[patterns]
