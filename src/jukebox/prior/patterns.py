"""What each attention pattern may look at, as sets of positions. Integers only; everything else follows from here.

A pattern is its `sees`: whether a query position sees a key position. It is written once and works alike on Python
integers and on tensors of positions. Definitions and their numbers in the original: facts 4.1, 4.2.
"""

from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from jukebox.config import TransformerConfig

Index = TypeVar("Index", int, Tensor)


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """A set of keys for every query, all of them at or before it.

    Args:
        blind: how many queries at the beginning see nothing; their attention is zero, never an average.
        empty_keys: zero keys with zero values beside the real ones, which take their share of the softmax.
    """

    blind: int = 0
    empty_keys: int = 0

    def sees(self, query: Index, key: Index) -> Index:
        """Whether (as bool or bool tensor) the query at one position sees the key at another."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Dense(Pattern):
    """D: everything so far."""

    def sees(self, query: Index, key: Index) -> Index:
        """Not what comes after."""
        return key <= query


@dataclass(frozen=True, kw_only=True)
class Row(Pattern):
    """R: the own row so far."""

    length: int

    def sees(self, query: Index, key: Index) -> Index:
        """Up to the query, and in its row."""
        return (key <= query) & (key // self.length == query // self.length)


@dataclass(frozen=True, kw_only=True)
class PreviousRow(Pattern):
    """P: the whole row before."""

    length: int

    def sees(self, query: Index, key: Index) -> Index:
        """In the row before the query's."""
        return key // self.length == query // self.length - 1


@dataclass(frozen=True, kw_only=True)
class Window(Pattern):
    """W: the last `length` positions, the own among them."""

    length: int

    def sees(self, query: Index, key: Index) -> Index:
        """Up to the query, and near enough."""
        return (key <= query) & (key > query - self.length)


@dataclass(frozen=True, kw_only=True)
class Strided(Pattern):
    """S: every `stride`-th position, back from the own. With the length of a row it is C, the column."""

    stride: int

    def sees(self, query: Index, key: Index) -> Index:
        """Up to the query, and a whole number of strides from it."""
        return (key <= query) & (key % self.stride == query % self.stride)


@dataclass(frozen=True, kw_only=True)
class Tails(Pattern):
    """F: the last `tail` positions of every row. E and T: those of the first `rows` rows, and empty keys."""

    length: int
    tail: int
    rows: int

    def sees(self, query: Index, key: Index) -> Index:
        """Up to the query, at the end of a row that counts."""
        summary = key % self.length >= self.length - self.tail
        return (key <= query) & summary & (key // self.length < self.rows)


@dataclass(frozen=True, kw_only=True)
class Prefix(Pattern):
    """L: the first `length` positions, the lyrics and a little more."""

    length: int

    def sees(self, query: Index, key: Index) -> Index:
        """Up to the query, and in the prefix."""
        return (key <= query) & (key < self.length)


def of_layer(letters: str, config: TransformerConfig, prefix: int) -> tuple[Pattern, ...]:
    """The patterns whose union a layer sees: one for each of its letters (none of them X).

    Args:
        letters: one of `config.layers`.
        prefix: lyric tokens at the beginning; L sees them up to the end of the `config.rows`-th part they reach into,
            as the original does: its first music tokens are visible too.
    """
    return tuple(_of_letter(letter, config, prefix) for letter in letters)


def _of_letter(letter: str, config: TransformerConfig, prefix: int) -> Pattern:
    rows, tail = config.rows or 1, config.tail or 1
    length = config.context // rows
    match letter:
        case "D":
            return Dense()
        case "R":
            return Row(length=length)
        case "P":
            return PreviousRow(length=length, blind=length)
        case "C":
            return Strided(stride=length)
        case "W":
            assert config.window is not None
            return Window(length=config.window)
        case "S":
            assert config.stride is not None
            return Strided(stride=config.stride)
        case "F":
            return Tails(length=length, tail=tail, rows=rows, blind=length - tail)
        case "E":
            return Tails(length=length, tail=1, rows=rows - 1, empty_keys=1)
        case "T":
            return Tails(length=length, tail=tail, rows=rows - 1, empty_keys=tail)
        case _:
            assert letter == "L", letter
            return Prefix(length=min(config.context, (prefix // rows + 1) * rows))
