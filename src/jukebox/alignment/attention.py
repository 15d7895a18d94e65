"""How much each code of a song attends to each character of its lyrics: a prior's alignment head, over windows."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float32, Int64
from torch import Tensor

from jukebox.alignment.window import HeardWindow, hear
from jukebox.labels.labels import SongTokens
from jukebox.labels.timing import SongSpan
from jukebox.prior.prior import Prior

_NOT_SHOWN = -1.0

Hear = Callable[[int, SongTokens], HeardWindow]
"""Hears the window that begins at a code, told of the song by these labels."""


def align(
    prior: Prior,
    codes: Int64[Tensor, " codes"],
    tokens: SongTokens,
    span: Callable[[int], SongSpan],
    starts: Sequence[int],
    *,
    follow: bool = False,
) -> Float32[np.ndarray, "codes characters"]:
    """The attention of every code to every character, merged over windows.

    Where two windows overlap, the earlier one's weights for the characters that it is shown take the place of the
    later one's. Source: the original's alignment read-out.

    Args:
        prior: one with an alignment head, in evaluation mode.
        codes: of its level, at least one; on any device.
        tokens: labels of the song.
        span: where the window that begins at a code lies in the song.
        starts: of the windows that cover the song, ascending.
        follow: whether a window is shown the lyrics around what the one before was heard to sing, as such a song is
            written.

    Returns:
        Weights of 0 to 1; 0 where no window shows the character. No column for a song without lyrics.

    Raises:
        ConfigError: the prior has no alignment head.
    """
    prior.config.alignment_head()
    context = prior.config.codes_context

    def hear_at(start: int, told: SongTokens) -> HeardWindow:
        return hear(prior, codes[start : start + context], told, span(start))

    return merge(hear_at, len(codes), tokens, span, starts, follow=follow)


def merge(
    hear_at: Hear,
    codes: int,
    tokens: SongTokens,
    span: Callable[[int], SongSpan],
    starts: Sequence[int],
    *,
    follow: bool = False,
) -> Float32[np.ndarray, "codes characters"]:
    """What windows are heard to sing as one; as `align`, with `codes` codes in all and windows that `hear_at` reads."""
    merged = np.full((codes, len(tokens.lyric_tokens)), _NOT_SHOWN, np.float32)
    if not tokens.lyric_tokens:
        return merged
    told, after = tokens, [*starts[1:], None]
    for start, next_start in zip(starts, after, strict=True):
        heard = hear_at(start, told)
        part = merged[start : start + len(heard.weights), heard.shown[0] : heard.shown[-1] + 1]
        np.copyto(part, heard.weights, where=part == _NOT_SHOWN)
        if follow and tokens.can_be_followed and next_start is not None:
            told = tokens.around(heard.middle_of(span(next_start)))
    return np.maximum(merged, 0.0, out=merged)
