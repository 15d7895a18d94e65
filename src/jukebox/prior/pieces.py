"""How a run of positions is cut for attention: groups of queries that look at the same keys. Integers only.

A piece is a run of queries laid out as a grid, whose rows or columns are its groups. A group's mask is at most row
times row, or slab times kept keys: the cost of a layer is T * sqrt(T), and a T x T matrix is never formed for a
sparse pattern.
"""

import itertools
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int64
from torch import Tensor

from jukebox.prior.cache import Ends, layout
from jukebox.prior.patterns import Dense, Pattern, PreviousRow, Row, Strided, Window

# Queries that share one mask over kept keys: bounds the memory of masks, and spares keys after the slab.
SLAB = 2048


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Queries `start` to `stop` - 1 as a grid with rows of `size`, and the keys that each group of them looks at.

    Args:
        start: the first query.
        stop: one after the last.
        origin: position of the grid's first place; what is before `start`, or fills the last row, is padding.
        size: length of a row.
        keys: how many keys a group has, without empty ones.
        by_column: the groups are the columns; otherwise the rows.
        seen: of its keys a query sees all, or those up to its own place in the group, or what its pattern defines.
        first_key: position of the first key of the first group, where the groups of keys move on with the rows.
    """

    start: int
    stop: int
    origin: int
    size: int
    keys: int
    by_column: bool = False
    seen: Literal["all", "causal", "defined"] = "defined"
    first_key: int = 0

    @property
    def rows(self) -> int:
        """Rows of the grid."""
        return -(-(self.stop - self.origin) // self.size)

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return self.size if self.by_column else self.rows

    def query_positions(self) -> Int64[Tensor, "groups queries"]:
        """Where the queries of each group are, padding included."""
        grid = torch.arange(self.origin, self.origin + self.rows * self.size).view(self.rows, self.size)
        return grid.t() if self.by_column else grid


def pieces(pattern: Pattern, start: int, stop: int) -> tuple[Piece, ...]:
    """The pieces, in order, of those queries from `start` to `stop` - 1 that see anything."""
    start = max(start, pattern.blind)
    if start >= stop:
        return ()
    match pattern:
        case Row():
            return (_row_piece(start, stop, pattern.length, seen="causal"),)
        case PreviousRow():
            return (_row_piece(start, stop, pattern.length, back=1, seen="all"),)
        case Window():
            # Within the first `length` positions a window is all that came before; there is no row to look back at.
            length, middle = pattern.length, min(max(start, pattern.length), stop)
            opening = [_row_piece(start, middle, length, seen="causal")] if start < middle else []
            rest = [_row_piece(middle, stop, length, back=1, seen="defined")] if middle < stop else []
            return (*opening, *rest)
        case Strided():
            return (_column_piece(start, stop, pattern.stride),)
        case Dense() if start == 0:
            return (Piece(start=0, stop=stop, origin=0, size=stop, keys=stop, seen="causal"),)
        case _:
            cuts = [*range(start, stop, SLAB), stop]
            return tuple(_slab(pattern, first, last) for first, last in itertools.pairwise(cuts))


def _row_piece(start: int, stop: int, size: int, *, back: int = 0, seen: Literal["all", "causal", "defined"]) -> Piece:
    """Rows that look at their own keys, or `back` rows further."""
    origin = start - start % size
    keys = 2 * size if seen == "defined" else size
    return Piece(start=start, stop=stop, origin=origin, size=size, keys=keys, seen=seen, first_key=origin - back * size)


def _column_piece(start: int, stop: int, stride: int) -> Piece:
    """Columns that look at all their keys so far."""
    origin, keys = start - start % stride, -(-stop // stride)
    seen = "causal" if origin == 0 else "defined"
    return Piece(start=start, stop=stop, origin=origin, size=stride, keys=keys, by_column=True, seen=seen)


def _slab(pattern: Pattern, start: int, stop: int) -> Piece:
    """Queries that look at what is kept of the positions before `stop`."""
    kept = layout(pattern, stop)
    assert isinstance(kept, Ends)
    return Piece(start=start, stop=stop, origin=start, size=stop - start, keys=kept.before(stop))
