"""What a prior makes of a take, without anybody listening: how much of its words is sung, how probable its codes are.

Only codes of the top level are read, so a sketch is measured as a finished song is. Nothing is drawn: a take has the
same numbers whatever stands beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from jukebox.alignment.attention import merge
from jukebox.alignment.path import monotonic_path
from jukebox.alignment.window import HeardWindow, heard, read_window, window_conditions
from jukebox.errors import DataError
from jukebox.evaluation.likelihood import output_bits, window_bits
from jukebox.labels.labels import SongTokens
from jukebox.labels.timing import SongSpan
from jukebox.prior.prior import Prior
from jukebox.sampling.beginnings import beginnings_of
from jukebox.sampling.level import LevelWork
from jukebox.sampling.model import SongModel
from jukebox.sampling.plan import Item, plan_song
from jukebox.sampling.session import Session
from jukebox.sampling.windows import window_starts

PIECE_S = 0.5
"""Length of the pieces whose different codes are counted."""

Codes = Int64[Tensor, " codes"]
Span = Callable[[int], SongSpan]
"""Where the window that begins at a code lies in the song."""


@dataclass(frozen=True, kw_only=True)
class Take:
    """A take as far as its top level is written.

    Args:
        item: what was planned of it.
        song: which of the request's songs it is.
        codes: of the top level, at least one.
        tokens: its labels at that level.
    """

    item: Item
    song: int
    codes: Codes
    tokens: SongTokens


@dataclass(frozen=True, kw_only=True)
class TakeMeasures:
    """What is known of a take.

    Args:
        seconds: how long it is, as far as it is written.
        bits: per code, as it was told; where lyrics followed what was sung, as if they were spread evenly.
        sung: of the characters that are due in this time, the share that the alignment head passes, at most 1; where
            lyrics have no times they are due evenly. None where there are none, or no such head.
        variety: different codes in half a second, the mean.
    """

    seconds: float
    bits: float
    sung: float | None
    variety: float


def takes_of(session: Session, model: SongModel) -> list[Take]:
    """The takes of a session whose top level is begun, or was given.

    Args:
        session: finished or not; it may be written meanwhile.
        model: that writes it.

    Raises:
        DataError: nothing of the top level is there.
        ConfigError: the model has no prior of that level.
    """
    request, top = session.request(), model.top
    usual = replace(model.level(top), forgiving=True)  # a given top level was not written by these names
    plan = plan_song(request, model, session.beginnings() or beginnings_of(request, model))
    codes = {item.name: item.given[top] for item in plan.items if top in item.given}
    for level in plan.levels:
        if level.level == top:
            codes = LevelWork(
                level, plan.items, model, seed=request.seed, above=None, session=session, previews=None, stream=None
            ).codes()
    told = request.level(top)
    found = [
        Take(
            item=item,
            song=song,
            codes=codes[item.name],
            tokens=item.tokens.get(top) or usual.song(told.labels(request.songs[song])),
        )
        for (song, _, _), item in zip(request.item_names(), plan.items, strict=True)
        if len(codes.get(item.name, ()))
    ]
    if not found:
        raise DataError(
            f"{session.folder} has no codes of the top level, which takes are ranked by: write some by "
            f"`jukebox continue {session.folder}`, or name another session."
        )
    return found


@torch.no_grad()
def measure(prior: Prior, model: SongModel, take: Take) -> TakeMeasures:
    """Measure a take; `prior` is that of the model's top level, in evaluation mode, on any device."""
    grid, top = model.grid, model.top
    codes = take.codes.to(prior.token_embedding.weight.device)

    def span(start: int) -> SongSpan:
        return take.item.span(grid, top, start, prior.config.codes_context)

    windows = _Windows(prior, codes, take.tokens, span)
    sung = _sung(windows, take, grid.token_samples(top, len(codes)))
    bits = windows.bits()
    pieces = _pieces(take.codes.numpy(), round(PIECE_S * grid.tokens_per_second(top)))
    return TakeMeasures(
        seconds=grid.token_seconds(top, len(codes)),
        bits=float(bits.mean(dtype=np.float64)),
        sung=sung,
        variety=float(np.mean([len(np.unique(piece)) for piece in pieces])),
    )


@torch.no_grad()
def song_bits(prior: Prior, codes: Codes, tokens: SongTokens, span: Span) -> Float32[np.ndarray, " codes"]:
    """Bits of every code of a song of any length, each in the first window that has it.

    Windows begin every half context, so that a code has as much before it, or all that there is.
    """
    return _Windows(prior, codes, tokens, span).bits()


class _Windows:
    """The windows of a song, one at a time: among others one might be rounded otherwise.

    What is heard in a window comes out of the same reading as the bits of its codes, where both are told the same.
    """

    def __init__(self, prior: Prior, codes: Codes, tokens: SongTokens, span: Span) -> None:
        self._prior, self._codes, self._tokens, self._span = prior, codes, tokens, span
        self._context = prior.config.codes_context
        self._starts = window_starts(len(codes), self._context, max(1, self._context // 2))
        self._bits: dict[int, np.ndarray] = {}

    @property
    def can_be_heard(self) -> bool:
        """Whether there are lyrics, and a head that follows them."""
        lyrics = self._prior.config.lyrics
        return lyrics is not None and lyrics.alignment_head is not None and bool(self._tokens.lyric_tokens)

    def bits(self) -> Float32[np.ndarray, " codes"]:
        """Of every code, as in `song_bits`."""
        found, known = list[np.ndarray](), 0
        for start in self._starts:
            window = self._window(start)
            if start not in self._bits:
                conditions = window_conditions(self._prior, self._tokens, self._span(start))
                self._bits[start] = window_bits(self._prior, window[None], conditions)[0]
            found.append(self._bits[start][known - start :])
            known = start + len(window)
        return np.concatenate(found)

    def attention(self, *, follow: bool) -> Float32[np.ndarray, "codes characters"]:
        """As `align` says, of a prior with an alignment head."""
        return merge(self._hear, len(self._codes), self._tokens, self._span, self._starts, follow=follow)

    def _hear(self, start: int, told: SongTokens) -> HeardWindow:
        prior, window, span = self._prior, self._window(start), self._span(start)
        conditions = window_conditions(prior, told, span)
        output = read_window(prior, window, conditions)
        # A window that was filled up is longer than its codes, which may be rounded otherwise alone.
        if told is self._tokens and len(window) == self._context:
            self._bits[start] = output_bits(prior, output, window[None], conditions)[0]
        return heard(prior, output, len(window), told, span)

    def _window(self, start: int) -> Codes:
        return self._codes[start : start + self._context]


def _pieces(codes: np.ndarray, length: int) -> list[np.ndarray]:
    """Whole pieces from the beginning on; all of what is shorter than one."""
    length = max(1, min(length, len(codes)))
    return [codes[start : start + length] for start in range(0, len(codes) - length + 1, length)]


def _sung(windows: _Windows, take: Take, length_samples: int) -> float | None:
    """See `TakeMeasures`."""
    tokens, item = take.tokens, take.item
    if not windows.can_be_heard:
        return None
    start, end = item.offset_samples, item.offset_samples + length_samples
    due = len(tokens.lyric_tokens) * length_samples / item.total_samples
    if tokens.lyric_times is not None:
        due = tokens.lyric_times.character_at(end) - tokens.lyric_times.character_at(start)
    if due < 1:
        return None
    path = monotonic_path(windows.attention(follow=item.follows))
    return min(1.0, float(path[-1] - path[0] + 1) / due)
