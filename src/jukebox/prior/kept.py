"""The keys and values of one layer for many windows, and the attention of one new position of each, for processors.

One query of every head is multiplied by a few keys. NumPy's products of so little are shorter than PyTorch's: MKL takes
its generic kernel for a single row, and every call costs more than it does. Larger ones NumPy's library would share
among threads of its own, which nobody has counted; they are PyTorch's.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from jukebox.nn import pages
from jukebox.prior.patterns import Pattern
from jukebox.prior.places import Place, runs_of

# Numbers of a matrix that OpenBLAS, NumPy's usual library, multiplies by a vector in the thread that asks: fewer than
# 9216; by the next power of two below.
_ALONE = 8192

# Slots that are read at once, where that does not change a bit.
_PIECE = 16

Room = Callable[[str, int], Float[Tensor, "rows width"]]
"""Memory for what is soon used up, by name and width: the same for all layers, so that it stays in the cache."""


class Kept:
    """Keys and values of all items: [runs, kinds, items, heads, slots, head width], kinds being keys and values.

    Args:
        pattern: that they are looked at by; None for lyrics, of which all is seen.
        items: how many windows.
        heads: of the attention.
        width: of a head.
        context: positions of a window.
        lyrics: tokens of the lyrics, where `pattern` is None.
    """

    def __init__(
        self, pattern: Pattern | None, *, items: int, heads: int, width: int, context: int, lyrics: int
    ) -> None:
        self.pattern, self._heads, self._width, self._scale = pattern, heads, width, width**-0.5
        runs, slots, self.count = (1, lyrics, lyrics) if pattern is None else runs_of(pattern, context)
        self.cache = pages.zeros(runs, 2, items, heads, slots, width)
        self._by_numpy = self.count * width <= _ALONE
        self._multiply: Any = np.matmul if self._by_numpy else torch.matmul
        in_pieces = self._by_numpy and self.count % _PIECE == 0 and _sums_go_on(self.count, width)
        self.piece = _PIECE if in_pieces and pattern is not None else None

    def bind(self, items: int, rows: int, room: Room) -> None:
        """Make what depends on the number of items, the first ones; a step has so many rows."""
        heads, width, inner = self._heads, self._width, self._heads * self._width
        of_each = 1 if self.pattern is None else 3  # queries alone, or keys and values after them
        self.projected = room("projected", of_each * inner)
        self.found = room("found", inner)
        used, self._items, self._flat = self.cache[:, :, :items], items, self.cache.view(-1, width)
        keys, values = (part.narrow(3, 0, self.count).unbind() for part in used.unbind(1))
        self._keys, self._values = [self._given(part.mT) for part in keys], [self._given(part) for part in values]
        self._written = [part.numpy() for part in used.unbind()]
        step = of_each * inner
        self._queries = self._given(self.projected.as_strided((items, heads, 1, width), (step, width, width, 1)))
        if self.pattern is not None:
            pairs = self.projected.as_strided((2, items, heads, width), (inner, step, width, 1), inner)
            self._pairs, self._pairs_by_item = pairs.numpy(), pairs.transpose(0, 1)
        piece = self.piece or self.count
        self._sums = {count: self._sums_of(count, items, room) for count in range(piece, self.count + 1, piece)}
        self._attended = self.found[:items]
        self._attended_given = self._given(self._attended.view(items, heads, 1, width))

    def attend(self, place: Place | None) -> Float[Tensor, "rows inner"]:
        """What the queries in `projected` find, after the keys and values beside them were written; 0 in empty rows.

        Args:
            place: where they are; None for lyrics.
        """
        if place is None:
            keys, values, count, mask, blind = self._keys[0], self._values[0], self.count, None, None
        else:
            write, read, count, mask, blind = place
            if isinstance(write, tuple):
                self._written[write[0]][:, :, :, write[1]] = self._pairs
            else:
                self._flat.index_put_((write,), self._pairs_by_item)
            if count == 0:
                self._attended.zero_()
                return self.found
            keys, values = (self._keys[read], self._values[read]) if isinstance(read, int) else self._gathered(read)
            if count < self.count:
                keys, values = keys[..., :count], values[..., :count, :]
        logits, weights, logits_given, weights_given = self._sums[count]
        self._multiply(self._queries, keys, out=logits_given)
        if mask is None:
            logits.mul_(self._scale)
        else:
            torch.add(mask, logits, alpha=self._scale, out=logits)
        torch.softmax(logits, -1, out=weights)
        self._multiply(weights_given, values, out=self._attended_given)
        if blind is not None:
            self._attended.masked_fill_(blind, 0.0)
        return self.found

    def _gathered(self, runs: Int64[Tensor, " kinds_items_heads"]) -> tuple[Any, Any]:
        """Keys and values of items that look at different runs."""
        found = self._flat.view(-1, self.count, self._width).index_select(0, runs)
        keys, values = found.view(2, self._items, self._heads, self.count, self._width).unbind()
        return self._given(keys.mT), self._given(values)

    def _sums_of(self, count: int, items: int, room: Room) -> tuple[Tensor, Tensor, Any, Any]:
        """Where the logits of so many keys and their softmax are."""
        rooms = (room(name, self._heads * count)[:items] for name in ("logits", "weights"))
        logits, weights = (each.view(items, self._heads, 1, count) for each in rooms)
        return logits, weights, self._given(logits), self._given(weights)

    def _given(self, tensor: Tensor) -> Any:
        """A tensor as the library that multiplies takes it, in the same memory."""
        return tensor.numpy() if self._by_numpy else tensor


@cache
def _sums_go_on(count: int, width: int) -> bool:
    """Whether products with the first keys are the same bits whether those after them are left out or weigh nothing.

    Tried once: NumPy's library has other loops for every kind of processor.
    """
    random = np.random.default_rng(0)
    query, keys, values = (random.standard_normal((4, n, width), dtype=np.float32) for n in (1, count, count))
    weights = random.random((4, 1, count), dtype=np.float32)
    for some in range(_PIECE, count, _PIECE):
        few = np.concatenate([weights[..., :some], np.zeros_like(weights[..., some:])], -1)
        logits, whole = query @ keys[:, :some].swapaxes(-1, -2), query @ keys.swapaxes(-1, -2)
        if not np.array_equal(logits, whole[..., :some]):
            return False
        if not np.array_equal(few[..., :some] @ values[:, :some], few @ values):
            return False
    return True
