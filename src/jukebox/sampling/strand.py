"""A chain that is being written: its codes so far, and the window that an engine needs next."""

from collections.abc import Callable

import torch
from jaxtyping import Int32, Int64
from torch import Tensor

from jukebox.prior.conditions import Conditions
from jukebox.sampling.engine import Window, listened
from jukebox.sampling.token import SamplingConfig
from jukebox.sampling.windows import Chain, PlannedWindow

UNWRITTEN = -(1 << 31)
"""Stands in the codes of a level where none are written yet. Raw codes may be negative, but never as much."""

Condition = Callable[[PlannedWindow], Conditions]


class Strand:
    """The codes of one chain, raw, as they grow.

    Args:
        chain: what is to be written.
        given: codes that it begins with, `chain.known` of them.
        key: of its noise.
        sampling: how its codes are drawn.
        condition: the conditions of a window of it, computed when the window begins.
        written: raw codes that followed the given ones when it was interrupted.
    """

    def __init__(
        self,
        chain: Chain,
        given: Int64[Tensor, " known"],
        *,
        key: int,
        sampling: SamplingConfig,
        condition: Condition,
        written: Int32[Tensor, " _"] | None = None,
    ) -> None:
        assert len(given) == chain.known
        self.chain = chain
        self._key, self._sampling, self._condition = key, sampling, condition
        self.codes = torch.full((chain.end - chain.start,), UNWRITTEN, dtype=torch.int32)
        self.codes[: chain.known] = given.to(torch.int32)
        self.count = chain.known
        if written is not None:
            self.codes[self.count : self.count + len(written)] = written
            self.count += len(written)
        # How many windows are still to begin, and codes that they will read again.
        left = [window for window in chain.windows if window.end - chain.start > self.count]
        self.unbegun, self.unread = len(left), sum(window.first - window.start for window in left)
        self._window: PlannedWindow | None = None
        self._cursor = len(self.codes) if self.done else self.next_window.first - chain.start

    @property
    def done(self) -> bool:
        """Whether all of it is written."""
        return self.count == len(self.codes)

    @property
    def written(self) -> Int32[Tensor, " _"]:
        """The raw codes that follow the given ones."""
        return self.codes[self.chain.known : self.count]

    @property
    def windows_done(self) -> int:
        """How many of its windows are whole."""
        return sum(window.end - self.chain.start <= self.count for window in self.chain.windows)

    @property
    def left(self) -> int:
        """How many codes an engine has still to give for all of it, replayed ones among them."""
        return len(self.codes) - self._cursor

    @property
    def next_window(self) -> PlannedWindow:
        """The first window that is not whole."""
        return next(w for w in self.chain.windows if w.end - self.chain.start > self.count)

    @property
    def left_in_window(self) -> int:
        """How many codes an engine has still to give for the window that was begun, replayed ones among them."""
        assert self._window is not None
        return self._window.end - self.chain.start - self._cursor

    @property
    def window_after(self) -> PlannedWindow | None:
        """The window that follows the one that was begun, where its first codes are being written; None: no such."""
        after = [w for w in self.chain.windows if self._window is not None and w.first >= self._window.end]
        return after[0] if after else None

    def begin(self) -> Window:
        """The window that comes next, with what is to be replayed of it."""
        window = self.next_window
        first = window.first - self.chain.start
        self._enter(window)
        return self._described(window, known=first, replay=self.codes[first : self.count].long())

    def follow(self) -> Window:
        """The window after the one that was begun, knowing what an engine has given so far."""
        window = self.window_after
        assert window is not None
        return self._described(window, known=self._cursor, replay=self.codes[:0].long())

    def advance(self) -> None:
        """The window that followed is begun: an engine has read what it knows."""
        window = self.window_after
        assert window is not None
        self._enter(window)

    def steps_before(self, window: PlannedWindow) -> int:
        """How many codes an engine has still to give before the first of a window."""
        return max(0, window.start - self.chain.start - self._cursor)

    def _enter(self, window: PlannedWindow) -> None:
        self._window, self._cursor = window, window.first - self.chain.start
        self.unbegun -= 1
        self.unread -= window.first - window.start

    def _described(self, window: PlannedWindow, *, known: int, replay: Int64[Tensor, " replay"]) -> Window:
        """A window that knows the codes up to a place in the chain."""
        return Window(
            conditions=self._condition(window),
            known=self.codes[window.start - self.chain.start : known].long(),
            replay=replay,
            start=window.start,
            key=self._key,
            sampling=self._sampling,
        )

    def accept(self, codes: Int64[Tensor, " steps"]) -> int:
        """Take what an engine has written; returns how many codes are new."""
        end = self._cursor + len(codes)
        self.codes[self._cursor : end] = codes.to(torch.int32)
        self._cursor = end
        new = max(0, end - self.count)
        self.count += new
        return new


def joined(strands: list[Strand], length: int, given: Int64[Tensor, " _"]) -> Int32[Tensor, " length"]:
    """The raw codes of a level from those of its chains; `UNWRITTEN` where there are none yet."""
    level = torch.full((length,), UNWRITTEN, dtype=torch.int32)
    level[: len(given)] = given[:length].to(torch.int32)
    for strand in strands:
        chain = strand.chain
        level[chain.kept : chain.end] = strand.codes[chain.kept - chain.start :]
    return level


def prefix(level: Int32[Tensor, " length"]) -> Int64[Tensor, " _"]:
    """The codes up to the first place that is unwritten, as everyone else reads them."""
    missing = (level == UNWRITTEN).nonzero()
    end = int(missing[0]) if len(missing) else len(level)
    return listened(level[:end].long())
