"""When lyrics are sung: the times of lines or words, and the character that is sung at any moment of the song."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float64, Int64

from jukebox.config import Config
from jukebox.errors import LabelError
from jukebox.labels.text import LyricAlphabet


@dataclass(frozen=True, kw_only=True)
class TimedText(Config, called="a line of lyric_times"):
    """A line or a word, and when it is sung.

    Args:
        start_s: when it begins, in seconds from the start of the song, 0 or more.
        end_s: when it has been sung, at or after `start_s`.
        text: as it stands in the lyrics.

    Raises:
        LabelError: when a time is outside its range.
    """

    start_s: float
    end_s: float
    text: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and math.isfinite(self.end_s) and 0 <= self.start_s <= self.end_s):
            raise LabelError(
                f"{self.text!r} is sung from {self.start_s} to {self.end_s} seconds: "
                "give two times in seconds, the earlier one first, neither negative."
            )


def places(lyrics: str, timed: Sequence[TimedText]) -> tuple[tuple[int, int], ...] | None:
    """Where each timed text stands in the lyrics: (first character, one past the last), in the order of the song.

    Returns:
        One place per text, ascending, or None where a text is not in the lyrics after the one before.
    """
    found, position = [], 0
    for item in timed:
        # Whole words only: the word "a" is not the second letter of "was".
        match = re.compile(rf"(?<!\w){re.escape(item.text.strip())}(?!\w)").search(lyrics, position)
        if match is None:
            return None
        found.append(match.span())
        position = match.end()
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class LyricTimes:
    """Which character of a song's cleaned lyrics is being sung at a sample.

    Args:
        samples: moments of the song, ascending.
        characters: how many characters have been sung at each, not descending.
    """

    samples: tuple[int, ...]
    characters: tuple[int, ...]

    def character_at(self, sample: int | float) -> int:
        """The character sung at a sample: evenly spread within a line, the next one's first in a pause."""
        return int(np.interp(sample, self.samples, self.characters))

    def sung_at(self, samples: Float64[np.ndarray, " moments"]) -> Int64[np.ndarray, "moments 2"]:
        """The line or word that is sung at each sample: its first character and one past its last; -1 in a pause."""
        # Starts and ends take turns: after a start something is sung, after an end nothing.
        passed = np.searchsorted(self.samples, samples, side="right")
        characters = np.array(self.characters, np.int64).reshape(-1, 2)
        found = characters[np.minimum(passed // 2, len(characters) - 1)]
        return np.where((passed % 2 == 1)[:, None], found, -1)

    @classmethod
    def of(cls, lyrics: str, timed: Sequence[TimedText], alphabet: LyricAlphabet, sample_rate: int) -> "LyricTimes":
        """The times of lyrics after their clean-up for a model.

        Args:
            lyrics: as a person wrote them.
            timed: lines or words of them, in the order in which they are sung.
            alphabet: the characters of the model.
            sample_rate: of the model, in Hz.

        Raises:
            LabelError: when the texts are not in the lyrics, or their times are not in order.
        """
        found = places(lyrics, timed)
        if found is None:
            raise LabelError(
                "The timed lines or words are not those of the lyrics: give each as it stands there, in its order."
            )
        if any(later.start_s < earlier.start_s for earlier, later in pairwise(timed)):
            raise LabelError("The timed lines or words are not in the order of their times: sort them.")
        ends = [min(item.end_s, later.start_s) for item, later in pairwise(timed)] + [timed[-1].end_s]
        samples, characters, position, cleaned = [], [], 0, 0
        for item, end_s, place in zip(timed, ends, found, strict=True):
            for moment_s, character in zip((item.start_s, end_s), place, strict=True):
                cleaned += len(alphabet.clean(lyrics[position:character]))
                position = character
                samples.append(round(moment_s * sample_rate))
                characters.append(cleaned)
        return cls(samples=tuple(samples), characters=tuple(characters))
