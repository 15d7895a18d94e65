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

from jukebox.alignment.attention import align
from jukebox.alignment.path import monotonic_path
from jukebox.errors import DataError
from jukebox.evaluation.likelihood import window_bits
from jukebox.labels.labels import SongTokens
from jukebox.labels.timing import SongSpan
from jukebox.prior.conditions import conditions_of
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

    bits = song_bits(prior, codes, take.tokens, span)
    pieces = _pieces(take.codes.numpy(), round(PIECE_S * grid.tokens_per_second(top)))
    return TakeMeasures(
        seconds=grid.token_seconds(top, len(codes)),
        bits=float(bits.mean(dtype=np.float64)),
        sung=_sung(prior, take, span, grid.token_samples(top, len(codes))),
        variety=float(np.mean([len(np.unique(piece)) for piece in pieces])),
    )


@torch.no_grad()
def song_bits(prior: Prior, codes: Codes, tokens: SongTokens, span: Span) -> Float32[np.ndarray, " codes"]:
    """Bits of every code of a song of any length, each in the first window that has it.

    Windows begin every half context, so that a code has as much before it, or all that there is.
    """
    context, found, known = prior.config.codes_context, list[np.ndarray](), 0
    for start in window_starts(len(codes), context, max(1, context // 2)):
        # One window at a time: among others it might be rounded otherwise.
        conditions = conditions_of([tokens.window(span(start), "float32")], prior.config).to(codes.device)
        window = codes[start : start + context]
        found.append(window_bits(prior, window[None], conditions)[0, known - start :])
        known = start + len(window)
    return np.concatenate(found)


def _pieces(codes: np.ndarray, length: int) -> list[np.ndarray]:
    """Whole pieces from the beginning on; all of what is shorter than one."""
    length = max(1, min(length, len(codes)))
    return [codes[start : start + length] for start in range(0, len(codes) - length + 1, length)]


def _sung(prior: Prior, take: Take, span: Span, length_samples: int) -> float | None:
    """See `TakeMeasures`."""
    lyrics, tokens, item = prior.config.lyrics, take.tokens, take.item
    if lyrics is None or lyrics.alignment_head is None or not tokens.lyric_tokens:
        return None
    start, end = item.offset_samples, item.offset_samples + length_samples
    due = len(tokens.lyric_tokens) * length_samples / item.total_samples
    if tokens.lyric_times is not None:
        due = tokens.lyric_times.character_at(end) - tokens.lyric_times.character_at(start)
    if due < 1:
        return None
    context = prior.config.codes_context
    starts = window_starts(len(take.codes), context, max(1, context // 2))
    path = monotonic_path(align(prior, take.codes, tokens, span, starts, follow=item.follows))
    return min(1.0, float(path[-1] - path[0] + 1) / due)
