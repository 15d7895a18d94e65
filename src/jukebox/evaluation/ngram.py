"""A back-off n-gram of codes: what can be said about the next code from the few before it alone.

The reference for the priors: interpolated Kneser-Ney with one discount per order. Counts stand in sorted arrays of
packed integers, so that millions of codes are counted and looked up in seconds.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from jukebox.errors import ConfigError

Sequences = list[Int64[np.ndarray, " codes"]]


@dataclass(frozen=True, kw_only=True)
class _Order:
    """The counts of one order: of n-grams, and of the n - 1 codes that begin them."""

    grams: np.ndarray
    counts: np.ndarray
    contexts: np.ndarray
    context_counts: np.ndarray
    context_kinds: np.ndarray  # how many different codes follow
    discount: float


class Ngram:
    """Probabilities of the next code, given up to `order - 1` before it."""

    def __init__(self, sequences: Iterable[np.ndarray], size: int, order: int = 4) -> None:
        """Count.

        Args:
            sequences: runs of codes, each in 0..size-1; none reaches into another.
            size: of the codebook.
            order: the longest n-gram, 1 to 62 / bits of a code.

        Raises:
            ConfigError: the n-grams do not fit into 62 bits, or a code is outside the codebook.
        """
        self.size, self.order = size, order
        self._bits = max(1, (size - 1).bit_length())
        if order < 1 or order * self._bits > 62:
            raise ConfigError(f"The order is {order}: codes of {size} allow 1 to {62 // self._bits}.")
        runs = [np.asarray(sequence, np.int64) for sequence in sequences]
        if any(len(run) and (run.min() < 0 or run.max() >= size) for run in runs):
            raise ConfigError(f"The codes are not all in 0 to {size - 1}: give those of this codebook.")
        highest = np.concatenate([np.empty(0, np.int64), *(self._packed(run, order) for run in runs)])
        grams, counts = np.unique(highest, return_counts=True)
        orders = [self._counted(grams, counts, order)]
        for n in range(order - 1, 0, -1):
            # Kneser-Ney: a lower order counts in how many contexts a gram occurs, not how often; grams that begin a
            # run have no context, so they count themselves.
            shorter = grams & ((1 << n * self._bits) - 1)
            firsts = [self._packed(run[:n], n) for run in runs if len(run) >= n]
            grams, counts = np.unique(np.concatenate([shorter, *firsts]), return_counts=True)
            orders.append(self._counted(grams, counts, n))
        self._orders = orders[::-1]

    def bits(self, sequence: np.ndarray) -> Float64[np.ndarray, " codes"]:
        """-log2 of the probability of every code of a run.

        A code near the beginning is given as many before it as there are.
        """
        run = np.asarray(sequence, np.int64)
        probability = np.full(len(run), 1 / self.size)
        for n, order in enumerate(self._orders, start=1):
            grams = self._packed(run, n)
            context, seen = _look_up(order.contexts, grams >> self._bits)
            gram, known = _look_up(order.grams, grams)
            count = np.where(known, order.counts[gram] if len(order.grams) else 0, 0)
            total = np.where(seen, order.context_counts[context] if len(order.contexts) else 1, 1)
            kinds = np.where(seen, order.context_kinds[context] if len(order.contexts) else 0, 0)
            lower = probability[n - 1 :]
            better = (np.maximum(count - order.discount, 0) + order.discount * kinds * lower) / total
            probability[n - 1 :] = np.where(seen, better, lower)
        return -np.log2(probability)

    def _packed(self, run: np.ndarray, n: int) -> np.ndarray:
        """Every n codes in a row as one integer, the last in the lowest bits."""
        count = max(0, len(run) - n + 1)
        packed = np.zeros(count, np.int64)
        for place in range(n):
            packed = packed << self._bits | run[place : place + count]
        return packed

    def _counted(self, grams: np.ndarray, counts: np.ndarray, n: int) -> _Order:
        contexts, first = np.unique(grams >> self._bits, return_index=True)  # sorted grams: contexts are runs
        once, twice = (counts == 1).sum(), (counts == 2).sum()
        return _Order(
            grams=grams,
            counts=counts,
            contexts=contexts,
            context_counts=np.add.reduceat(counts, first) if len(first) else counts,
            context_kinds=np.diff(np.append(first, len(grams))),
            # Ney's estimate; without single or double counts nothing says how much to keep for the unseen.
            discount=float(once / (once + 2 * twice)) if once and twice else 0.5,
        )


def _look_up(table: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The places of values in a sorted table, and whether they are there."""
    if not len(table):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    places = np.minimum(np.searchsorted(table, wanted), len(table) - 1)
    return places, table[places] == wanted
