"""Which windows a song is written in: pure integers."""

from dataclasses import dataclass
from itertools import pairwise

from jukebox.errors import ConfigError

WARM_UP = 1024
"""Tokens that a chain writes before those that are kept (at most half a context)."""


def window_starts(total_length: int, context: int, hop: int) -> tuple[int, ...]:
    """First positions of the windows that together cover a song.

    Windows start every `hop` tokens; the last is moved back so that it ends exactly with the song. A song
    that is not longer than the context is one window from its start. Source: the original's sampling loop.

    Args:
        total_length: tokens of the song, at least 1.
        context: tokens of a window, at least 1.
        hop: tokens from one window to the next, 1..context.

    Returns:
        Ascending positions, the first 0, the last max(0, total_length - context).

    Raises:
        ConfigError: when a number is outside its range.
    """
    if total_length < 1 or context < 1:
        raise ConfigError(
            f"A song of {total_length} tokens in windows of {context}: both must be at least 1 token long."
        )
    if not 1 <= hop <= context:
        raise ConfigError(
            f"The hop between windows is {hop} tokens: it must be 1..{context}, else the windows leave gaps."
        )
    last = max(0, total_length - context)
    return (*range(0, last, hop), last)


@dataclass(frozen=True, kw_only=True)
class PlannedWindow:
    """A window of a level: tokens `start` to `end` - 1, of which those before `first` are known when it begins."""

    start: int
    first: int
    end: int


def plan_windows(total_length: int, context: int, hop: int, known: int = 0) -> tuple[PlannedWindow, ...]:
    """The windows that write tokens `known` to `total_length` - 1, in their order.

    A window knows everything that is written before its end; one that has nothing to write is left out.

    Args:
        total_length: tokens of the song, at least 1.
        context: tokens of a window, at least 1.
        hop: tokens from one window to the next, 1..context.
        known: tokens at the song's beginning that exist already.
    """
    planned, written = [], known
    for start in window_starts(total_length, context, hop):
        end = min(start + context, total_length)
        if end > written:
            planned.append(PlannedWindow(start=start, first=max(written, start), end=end))
            written = end
    return tuple(planned)


def last_window(total_length: int, context: int, known: int) -> PlannedWindow:
    """The one window that writes all that is missing and ends with the song, with as much before it as fits.

    Raises:
        ConfigError: when nothing is missing, or more than a window holds.
    """
    missing = total_length - known
    if not 1 <= missing <= context:
        raise ConfigError(f"{missing} tokens cannot be written in one window: give 1 to {context}, a window's length.")
    start = max(0, total_length - context)
    return PlannedWindow(start=start, first=known, end=total_length)


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A part of a level that is written from left to right by itself, window by window.

    Args:
        start: first token that it holds.
        known: how many tokens it holds from its start on before anything is written.
        kept: first token that enters the song; those before it are a warm-up, or another chain's.
        end: one more than its last token.
        windows: what it is written in.
    """

    start: int
    known: int
    kept: int
    end: int
    windows: tuple[PlannedWindow, ...]

    @property
    def new_tokens(self) -> int:
        """Tokens that are written, a warm-up among them."""
        return self.end - self.start - self.known


@dataclass(frozen=True, kw_only=True)
class LevelWindows:
    """How the windows of a level are laid out.

    Args:
        context: tokens of a window.
        hop: tokens from one window to the next.
        unit: tokens for each of the level above; windows begin at multiples of it.
        chains: how many parts are written side by side; 1 is exact, more are an approximation.
        one_window: write all that is missing in one window, as `last_window` does.
    """

    context: int
    hop: int
    unit: int = 1
    chains: int = 1
    one_window: bool = False


def plan_chains(total_length: int, known: int, layout: LevelWindows) -> tuple[Chain, ...]:
    """The chains of one level of one song; none where nothing is missing.

    Each but the first begins with a warm-up of `WARM_UP` tokens (at most half a context) that the chain before it
    writes too, with the same noise; they are not kept.

    Args:
        total_length: tokens of the song.
        known: tokens at its beginning that exist already.
        layout: of the level.
    """
    if known >= total_length:
        return ()
    hop = max(layout.unit, layout.hop - layout.hop % layout.unit)
    if layout.one_window:
        window = last_window(total_length, layout.context, known)
        return (Chain(start=0, known=known, kept=0, end=total_length, windows=(window,)),)
    warm_up = min(WARM_UP, layout.context // 2)
    missing = total_length - known
    # A part that is no longer than its warm-up would be work without a gain.
    count = max(1, min(layout.chains, missing // max(1, warm_up)))
    borders = [known + missing * index // count for index in range(count + 1)]
    borders = [border - border % layout.unit if 0 < index < count else border for index, border in enumerate(borders)]
    chains = []
    for index, (kept, end) in enumerate(pairwise(borders)):
        start = 0 if index == 0 else max(0, kept - warm_up)
        start -= start % layout.unit
        held = max(0, known - start)
        windows = tuple(
            PlannedWindow(start=start + w.start, first=start + w.first, end=start + w.end)
            for w in plan_windows(end - start, layout.context, hop, held)
        )
        chains.append(Chain(start=start, known=held, kept=0 if index == 0 else kept, end=end, windows=windows))
    return tuple(chains)


def given_windows(chain: Chain, context: int) -> tuple[PlannedWindow, ...]:
    """Windows of what a chain begins with that nothing is written in: half a context apart, before those that are."""
    starts = range(chain.start, chain.windows[0].start, max(1, context // 2))
    end = chain.start + chain.known
    return tuple(PlannedWindow(start=each, first=each, end=min(each + context, end)) for each in starts)
