"""Where the keys that a new position sees lie in its cache: for every pattern one contiguous run of slots.

That is what the layouts of `cache` are for. A kernel needs no mask then, only where to begin and how many: integers
that follow from the position alone. They are written here once, for Python integers and tensors alike, and proved
against the patterns' definition; kernels repeat them.
"""

from dataclasses import dataclass
from typing import Literal

from jukebox.prior.cache import Columns, Ends, Ring, layout, slots_of
from jukebox.prior.patterns import Index, Pattern, PreviousRow, Row

Kind = Literal["row", "previous", "window", "column", "ends"]


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The slot that a position writes, and the run of slots that it reads, of one pattern.

    Args:
        kind: which rule holds.
        slots: of a whole cache.
        capacity: slots that are ever read, without empty keys.
        length: of a row; of a column; what the ends are of.
        tail: positions that are kept of every `length`; elsewhere 0.
        empty: slots at the beginning that stay zero and are always read.
    """

    kind: Kind
    slots: int
    capacity: int
    length: int
    tail: int = 0
    empty: int = 0

    @classmethod
    def of(cls, pattern: Pattern, context: int) -> "Runs":
        """Those of a pattern in a window of `context` positions."""
        kept, slots = layout(pattern, context), slots_of(pattern, context)
        match kept:
            case Ring():
                kind: Kind = "window"
                if isinstance(pattern, Row | PreviousRow):
                    kind = "row" if isinstance(pattern, Row) else "previous"
                length = kept.capacity // 2 if kind == "previous" else kept.capacity
                return cls(kind=kind, slots=slots, capacity=kept.capacity, length=length)
            case Columns():
                # `length` is the stride: positions of one row.
                return cls(kind="column", slots=slots, capacity=kept.capacity, length=kept.stride)
            case _:
                assert isinstance(kept, Ends), kept
                return cls(
                    kind="ends", slots=slots, capacity=kept.capacity, length=kept.length, tail=kept.tail,
                    empty=pattern.empty_keys,
                )  # fmt: skip

    def write(self, position: Index) -> Index:
        """The slot that a position's key goes to."""
        if self.kind == "column":
            return position % self.length * (self.capacity // self.length) + position // self.length
        if self.kind != "ends":
            return position % self.capacity
        place = position // self.length * self.tail + position % self.length - (self.length - self.tail)
        kept = (position % self.length >= self.length - self.tail) & (
            position // self.length * self.tail < self.capacity
        )
        return self.empty + self.capacity + (place - self.capacity) * kept

    def first(self, position: Index) -> Index:
        """The first slot that a position reads."""
        if self.kind == "previous":
            return (position // self.length + 1) % 2 * self.length
        if self.kind == "column":
            return position % self.length * (self.capacity // self.length)
        return position * 0

    def count(self, position: Index) -> Index:
        """How many slots a position reads, its own among them where it sees itself; 0 where it sees nothing."""
        match self.kind:
            case "row":
                return position % self.length + 1
            case "previous":
                return (position >= self.length) * self.length
            case "window":
                return _least(position + 1, self.length)
            case "column":
                return position // self.length + 1
            case _:
                end = position + 1
                inside = end % self.length - (self.length - self.tail)
                before = end // self.length * self.tail + inside * (inside > 0)
                return self.empty + _least(before, self.capacity)


def _least(value: Index, most: int) -> Index:
    """The smaller of both."""
    return value - (value - most) * (value > most)
