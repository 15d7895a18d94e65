"""Where the keys and values of a pattern are kept while tokens are written one by one: as many as it needs, no more.

A cache is a tensor [batch, slots, 2, heads, head width]: a key and its value side by side. A layout says which slot
a position has. Row, previous row and window are rings; a column is stored so that it is contiguous; tails and
prefixes keep the positions that are ever looked at, and have one more slot for all others, which nobody reads. The
empty keys of a pattern are its first slots, which stay zero.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from jukebox.nn import pages
from jukebox.prior.patterns import Dense, Index, Pattern, Prefix, PreviousRow, Row, Strided, Tails, Window

Cache = Float[Tensor, "batch slots 2 heads head_width"]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Slots for positions, counted after the empty keys: everything a query may see is in them when it is asked for."""

    capacity: int

    def slot(self, position: Index) -> Index:
        """The slot of a position that is kept."""
        raise NotImplementedError

    def keeps(self, position: Index) -> Index:
        """Whether (as bool or bool tensor) a position of the window has a slot."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Ring(Layout):
    """The last `capacity` positions."""

    def slot(self, position: Index) -> Index:
        """Slots are taken in turn."""
        return position % self.capacity

    def keeps(self, position: Index) -> Index:
        """Every position is kept for a while."""
        return position >= 0

    def position(self, slot: Index, latest: Index) -> Index:
        """What a slot holds when `latest` was the last position written; negative: nothing yet."""
        return latest - (latest - slot) % self.capacity


@dataclass(frozen=True, kw_only=True)
class Columns(Layout):
    """All positions; those with the same remainder by `stride` follow one another."""

    stride: int

    @property
    def rows(self) -> int:
        """Positions of one column."""
        return self.capacity // self.stride

    def slot(self, position: Index) -> Index:
        """Column after column."""
        return position % self.stride * self.rows + position // self.stride

    def keeps(self, position: Index) -> Index:
        """Every position is kept."""
        return position < self.capacity

    def position(self, slot: Index) -> Index:
        """What a slot is for."""
        return slot % self.rows * self.stride + slot // self.rows


@dataclass(frozen=True, kw_only=True)
class Ends(Layout):
    """The last `tail` positions of every row of `length`, in order. A row that is all tail is a run of positions."""

    length: int
    tail: int

    def slot(self, position: Index) -> Index:
        """Tail after tail."""
        return position // self.length * self.tail + position % self.length - (self.length - self.tail)

    def keeps(self, position: Index) -> Index:
        """Only what is in a tail of the rows that count."""
        counts = position // self.length * self.tail < self.capacity
        return (position % self.length >= self.length - self.tail) & counts

    def position(self, slot: Index) -> Index:
        """What a slot is for."""
        return slot // self.tail * self.length + slot % self.tail + (self.length - self.tail)

    def before(self, end: int) -> int:
        """How many slots belong to positions before `end`."""
        inside = max(0, end % self.length - (self.length - self.tail))
        return min(self.capacity, end // self.length * self.tail + inside)


def layout(pattern: Pattern, context: int) -> Layout:
    """The layout that holds what `pattern` may look at in a window of `context` positions."""
    match pattern:
        case Row() | Window():
            return Ring(capacity=pattern.length)
        case PreviousRow():
            return Ring(capacity=2 * pattern.length)
        case Strided():
            return Columns(capacity=-(-context // pattern.stride) * pattern.stride, stride=pattern.stride)
        case Tails():
            return Ends(capacity=pattern.rows * pattern.tail, length=pattern.length, tail=pattern.tail)
        case Prefix():
            return Ends(capacity=pattern.length, length=pattern.length, tail=pattern.length)
        case _:
            assert isinstance(pattern, Dense), pattern
            return Ends(capacity=context, length=context, tail=context)


@dataclass(frozen=True, kw_only=True)
class TransformerState:
    """Where each item of a batch is, and what its layers have kept.

    The caches are written in place; the positions are not: whoever calls the transformer goes on with the state it
    returns. A call that fails or is interrupted can be repeated with the state it was given, which it has not spoilt;
    an older state than that is of no more use.

    Args:
        positions: the next position of each item, 0 to context - 1.
        furthest: the largest of `positions`, or more: layers that keep everything read no further.
        caches: of every layer, one for each of its patterns; X layers have the keys and values of the lyrics.
    """

    positions: Int64[Tensor, " batch"]
    furthest: int
    caches: tuple[tuple[Tensor, ...], ...]

    def at(self, positions: list[int]) -> "TransformerState":
        """The same caches with each item at a new position; one that begins anew, at 0, sees nothing of the past."""
        moved = torch.tensor(positions, dtype=torch.int64, device=self.positions.device)
        return replace(self, positions=moved, furthest=max(positions))

    def items(self, first: int, last: int) -> "TransformerState":
        """The items `first` to `last` - 1: their caches are the same memory, so writing to them fills this state's."""
        caches = tuple(tuple(cache[first:last] for cache in layer) for layer in self.caches)
        return replace(self, positions=self.positions[first:last], caches=caches)

    def advanced(self, count: int) -> "TransformerState":
        """Every item `count` positions further."""
        return replace(self, positions=self.positions + count, furthest=self.furthest + count)


def empty_cache(
    pattern: Pattern, context: int, item: Float[Tensor, "batch 2 heads head_width"]
) -> Float[Tensor, "batch slots 2 heads head_width"]:
    """A cache of zeros for a pattern, with batch, heads, device and dtype of `item`."""
    shape = (len(item), slots_of(pattern, context), *item.shape[1:])
    on_cpu = item.device.type == "cpu" and item.dtype == torch.float32
    return pages.zeros(*shape) if on_cpu else item.new_zeros(shape)


def slots_of(pattern: Pattern, context: int) -> int:
    """How many slots the cache of a pattern has, the empty keys and the one for what nobody reads included."""
    kept = layout(pattern, context)
    return pattern.empty_keys + kept.capacity + isinstance(kept, Ends)
