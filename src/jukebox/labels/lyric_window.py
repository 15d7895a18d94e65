"""Which characters of a song's lyrics a window of it is shown: those around the one sung at its own middle.

Where nobody has said when each word is sung, characters are taken to be spread evenly over the song.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from jukebox.errors import LabelError
from jukebox.labels.lyric_times import LyricTimes
from jukebox.labels.text import PADDING_TOKEN
from jukebox.labels.timing import SongSpan

Rounding = Literal["float64", "float32"]
"""The original computed in double precision when it made labels, in single precision when it sampled."""

PADDING_INDEX = -1


def lyric_indices(
    character_count: int,
    token_count: int,
    span: SongSpan,
    rounding: Rounding = "float64",
    times: LyricTimes | None = None,
) -> tuple[int, ...]:
    """Choose which of a song's characters fill the lyric tokens of one window.

    Args:
        character_count: number of characters in the song's cleaned lyrics, 0 or more.
        token_count: lyric tokens per window, 0 or more.
        span: where the window lies in the song.
        rounding: "float32" repeats the choice of the original's sampler, one character off at some offsets.
        times: when the characters are sung, where that is known; None spreads them evenly.

    Returns:
        `token_count` indices into the lyrics, ascending by one; lyrics that are shorter are preceded by -1.

    Raises:
        LabelError: when a count is negative.
    """
    if character_count < 0 or token_count < 0:
        raise LabelError(
            f"A lyric window of {token_count} tokens from {character_count} characters: neither count may be negative."
        )
    if character_count <= token_count:
        return (PADDING_INDEX,) * (token_count - character_count) + tuple(range(character_count))
    if times is None:
        centre = _centre(character_count, span, rounding)
    else:
        centre = times.character_at(span.offset_samples + span.window_length_samples / 2)
    first = centre - token_count // 2
    first = min(max(first, 0), character_count - token_count)
    return tuple(range(first, first + token_count))


def _centre(character_count: int, span: SongSpan, rounding: Rounding) -> int:
    """The character at the middle of the window; each operation rounds, so their order matters."""
    real = np.float64 if rounding == "float64" else np.float32
    middle_samples = real(span.offset_samples) + real(span.window_length_samples / 2)
    return int(real(character_count) * middle_samples / real(span.total_length_samples))


def take_lyrics(lyric_tokens: Sequence[int], indices: Sequence[int]) -> tuple[int, ...]:
    """The tokens at `indices`, as `lyric_indices` gives them: index -1 gives the empty token 0."""
    return tuple(PADDING_TOKEN if index == PADDING_INDEX else lyric_tokens[index] for index in indices)
