"""When characters, words and lines are sung, and how that is written down: LRC for players, JSON for programs."""

import json
import re
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float32

from jukebox.alignment.path import monotonic_path


@dataclass(frozen=True, kw_only=True)
class Sung:
    """A piece of the lyrics, and when it is sung, in seconds from the first code on."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True)
class SungLine(Sung):
    """A line of the lyrics, or what is sung of it, and its words."""

    words: tuple[Sung, ...]


@dataclass(frozen=True, kw_only=True)
class SungLyrics:
    """Everything that is sung, in order; nothing of it for an instrumental song."""

    characters: tuple[Sung, ...]
    lines: tuple[SungLine, ...]

    @property
    def words(self) -> tuple[Sung, ...]:
        """The words of all lines."""
        return tuple(word for line in self.lines for word in line.words)

    def to_lrc(self) -> str:
        """An LRC file with the time of each line and word, in hundredths of a second."""
        return "".join(
            f"[{_clock(line.start_s)}]"
            + " ".join(f"<{_clock(word.start_s)}>{word.text}" for word in line.words)
            + f" <{_clock(line.end_s)}>\n"
            for line in self.lines
        )

    def to_json(self) -> str:
        """The times of lines with their words, and of characters, in seconds."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n"


def sung_lyrics(lyrics: str, weights: Float32[np.ndarray, "codes characters"], tokens_per_second: float) -> SungLyrics:
    """When lyrics are sung.

    Args:
        lyrics: as the model reads them, one character for each column (`LyricAlphabet.clean`).
        weights: as `attention.align` gives them.
        tokens_per_second: codes in a second.

    Returns:
        The characters from the first that is sung to the last, and the words that they are in. Each begins with the
        first code that has come to it, and lasts until the next one; those that are passed over take no time.
    """
    if not lyrics or not len(weights):
        return SungLyrics(characters=(), lines=())
    path = monotonic_path(weights)
    first, last = int(path[0]), int(path[-1])
    codes = np.append(np.searchsorted(path, np.arange(first, last + 1)), len(path))
    moments_s = [round(float(code) / tokens_per_second, 6) for code in codes]

    def sung(start: int, end: int) -> Sung:
        start_s, end_s = moments_s[max(start, first) - first], moments_s[min(end, last + 1) - first]
        return Sung(text=lyrics[start:end], start_s=start_s, end_s=end_s)

    lines = []
    for line in re.compile(r"[^\n]+").finditer(lyrics):
        # The first and the last word are said whole where they are sung in part: nobody reads pieces of words.
        spans = [word.span() for word in re.compile(r"\S+").finditer(lyrics, *line.span())]
        words = tuple(sung(start, end) for start, end in spans if start <= last and end > first)
        if words:
            text = " ".join(word.text for word in words)
            lines.append(SungLine(text=text, start_s=words[0].start_s, end_s=words[-1].end_s, words=words))
    characters = tuple(sung(place, place + 1) for place in range(first, last + 1))
    return SungLyrics(characters=characters, lines=tuple(lines))


def _clock(moment_s: float) -> str:
    hundredths = int(moment_s * 100)  # cut: never after the song's end
    return f"{hundredths // 6000:02d}:{hundredths // 100 % 60:02d}.{hundredths % 100:02d}"
