"""Attention of a run of positions at once: a whole window, or a chunk after what a state has kept."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from jukebox.prior import softmax
from jukebox.prior.cache import Columns, Ends, Ring, layout
from jukebox.prior.patterns import Pattern
from jukebox.prior.pieces import Piece, pieces

Queries = Float[Tensor, "batch positions heads width"]
Pairs = Float[Tensor, "batch positions 2 heads width"]


@dataclass(frozen=True, kw_only=True)
class _Write:
    """New content of a ring."""

    cache: Tensor
    slots: Tensor
    pairs: Tensor


class Span:
    """Positions `start` to `start + count` - 1 of every item of a batch, in a window of `context`.

    It lives for one call of the transformer: masks are made once for all layers of a pattern, and rings are written
    by `commit`, when nothing can fail any more. What else is written lies where no query before `start` looks.
    """

    def __init__(self, start: int, count: int, context: int, device: torch.device) -> None:
        self.start, self.stop, self.context, self.device = start, start + count, context, device
        self._masks: dict[tuple[tuple[Pattern, ...], Piece], Tensor] = {}
        self._writes: list[_Write] = []

    @property
    def positions(self) -> Int64[Tensor, "1 positions"]:
        """Where the queries are, the same for every item."""
        return torch.arange(self.start, self.stop, device=self.device)[None]

    def attend(
        self, patterns: tuple[Pattern, ...], queries: Queries, pairs: Pairs, caches: tuple[Tensor, ...]
    ) -> Queries:
        """The attention of every position over the union of what the patterns see.

        Args:
            patterns: those of one layer.
            queries: of these positions.
            pairs: keys and values of these positions; they are written to the caches.
            caches: one for each pattern, with what came before `start`; none for a window from its beginning.
        """
        for pattern, cache in zip(patterns, caches, strict=False):
            self._write(pattern, pairs, cache)
        found = []
        for index, pattern in enumerate(patterns):
            cache = caches[index] if caches else None
            grids = []
            for piece in pieces(pattern, self.start, self.stop):
                grouped = self._group(piece, queries)
                keys = self._keys(pattern, piece, pairs, cache)
                if len(patterns) > 1:
                    mask = self._mask(patterns[: index + 1], piece)
                    mask = mask if len(mask) == 1 else mask.repeat(len(queries), 1, 1)
                    out = softmax.part(grouped, keys, mask)
                else:
                    mask = self._mask(patterns, piece) if piece.seen == "defined" else None
                    out = softmax.attend(grouped, keys, mask, causal=piece.seen == "causal")
                grids.append(_ungroup(piece, out, len(queries)))
            if grids:
                found.append(_after_blind(grids, queries.shape[1]))
        if not found:
            return torch.zeros_like(queries)
        return found[0] if len(patterns) == 1 else softmax.join(found).to(queries.dtype)

    def weights(
        self, pattern: Pattern, queries: Queries, pairs: Pairs, cache: Tensor | None
    ) -> Float[Tensor, "batch heads positions keys"]:
        """The softmax of a pattern that keeps its keys in one row, by key; its cache has been written."""
        found = []
        for piece in pieces(pattern, self.start, self.stop):
            keys, mask = self._keys(pattern, piece, pairs, cache), self._mask((pattern,), piece)
            found.append(softmax.weights(self._group(piece, queries), keys, mask))
        longest = found[-1].shape[-1]
        return torch.cat([F.pad(slab, (0, longest - slab.shape[-1])) for slab in found], 2)

    def commit(self) -> None:
        """Write the rings."""
        for write in self._writes:
            write.cache[:, write.slots] = write.pairs
        self._writes.clear()

    def _group(self, piece: Piece, queries: Queries) -> Float[Tensor, "groups queries heads width"]:
        """The queries of a piece in groups, item after item."""
        own = _cut(queries, self.start, piece.origin, piece.origin + piece.rows * piece.size)
        grid = own.unflatten(1, (piece.rows, piece.size))
        return (grid.transpose(1, 2) if piece.by_column else grid).flatten(0, 1)

    def _keys(
        self, pattern: Pattern, piece: Piece, pairs: Pairs, cache: Tensor | None
    ) -> Float[Tensor, "groups keys 2 heads width"]:
        """The keys and values of the groups, item after item; empty ones first."""
        kept = layout(pattern, self.context)
        if isinstance(kept, Ring):
            # Rows of `keys`, each `size` further than the one before: they overlap where a row looks back.
            stop = piece.first_key + (piece.rows - 1) * piece.size + piece.keys
            run = _cut(pairs, self.start, max(piece.first_key, self.start), stop)
            if piece.first_key < self.start:
                assert cache is not None
                past = torch.arange(piece.first_key, self.start, device=self.device)
                run = torch.cat([cache[:, kept.slot(past)], run], 1)
            return run.unfold(1, piece.keys, piece.size).movedim(-1, 2).flatten(0, 1)
        if isinstance(kept, Columns):
            if cache is None:
                grid = _cut(pairs, 0, 0, piece.keys * piece.size).unflatten(1, (piece.keys, piece.size)).transpose(1, 2)
            else:
                grid = cache[:, : kept.capacity].unflatten(1, (piece.size, kept.rows))[:, :, : piece.keys]
            return grid.flatten(0, 1)
        assert isinstance(kept, Ends)
        if cache is not None:
            return cache[:, : pattern.empty_keys + piece.keys]
        own = pairs[:, kept.position(torch.arange(piece.keys, device=self.device))]
        return F.pad(own, (0, 0, 0, 0, 0, 0, pattern.empty_keys, 0))

    def _mask(self, patterns: tuple[Pattern, ...], piece: Piece) -> Bool[Tensor, "groups queries keys"]:
        """Which keys the last pattern sees and the others do not; of one pattern alone, the mask of all its groups."""
        if (patterns, piece) not in self._masks:
            self._masks[patterns, piece] = self._defined(patterns, piece)
        return self._masks[patterns, piece]

    def _defined(self, patterns: tuple[Pattern, ...], piece: Piece) -> Bool[Tensor, "groups queries keys"]:
        """The mask by the patterns' definitions, which are the same for every group of one pattern."""
        *others, pattern = patterns
        kept, order = layout(pattern, self.context), torch.arange(piece.keys)
        if isinstance(kept, Ring):
            keys = piece.first_key + torch.arange(piece.rows)[:, None] * piece.size + order
        elif isinstance(kept, Columns):
            keys = torch.arange(piece.size)[:, None] + order * piece.size
        else:
            assert isinstance(kept, Ends)
            keys = kept.position(order)[None]
        groups = len(keys) if others else 1
        queries = piece.query_positions()[:groups, :, None].to(self.device)
        keys = keys[:groups, None].to(self.device)
        mask = pattern.sees(queries, keys)
        for other in others:
            mask = mask & ~other.sees(queries, keys)
        return F.pad(mask, (pattern.empty_keys, 0), value=True)

    def _write(self, pattern: Pattern, pairs: Pairs, cache: Tensor) -> None:
        """Keep what the pattern may look at later."""
        kept = layout(pattern, self.context)
        if isinstance(kept, Ring):
            first = max(self.start, self.stop - kept.capacity)
            slots = kept.slot(torch.arange(first, self.stop, device=self.device))
            self._writes.append(_Write(cache=cache, slots=slots, pairs=pairs[:, first - self.start :].clone()))
            return
        positions = torch.arange(self.start, self.stop)
        positions = positions[kept.keeps(positions)].to(self.device)
        cache[:, pattern.empty_keys + kept.slot(positions)] = pairs[:, positions - self.start]


def _cut(run: Tensor, first: int, start: int, stop: int) -> Tensor:
    """Positions `start` to `stop` - 1 of a run that begins at `first`; zeros where it has none."""
    last = first + run.shape[1]
    inside = run[:, max(start - first, 0) : max(stop - first, 0)]
    before, after = max(first - start, 0), max(stop - max(last, start), 0)
    if before or after:
        return F.pad(inside, (0, 0) * (run.ndim - 2) + (before, after))
    return inside


def _ungroup(piece: Piece, found: Tensor, batch: int) -> Float[Tensor, "batch positions heads _"]:
    """The piece's own places of the grids, one after another."""
    grid = found.unflatten(0, (batch, piece.groups))
    grid = grid.transpose(1, 2) if piece.by_column else grid
    return grid.flatten(1, 2)[:, piece.start - piece.origin : piece.stop - piece.origin]


def _after_blind(grids: list[Tensor], count: int) -> Float[Tensor, "batch positions heads _"]:
    """The pieces one after another, preceded by zeros for the queries that see nothing: `count` in all."""
    missing = count - sum(grid.shape[1] for grid in grids)
    found = grids[0] if len(grids) == 1 else torch.cat(grids, 1)
    return F.pad(found, (0, 0, 0, 0, missing, 0)) if missing else found
