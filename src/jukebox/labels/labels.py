"""What a song is: its artist, genre and lyrics, and the numbers a prior is given instead."""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64

from jukebox.config import Config
from jukebox.config.base import require
from jukebox.errors import DataError, LabelError
from jukebox.labels.lrc import is_lrc, parse_lrc, untimed_line
from jukebox.labels.lyric_times import LyricTimes, TimedText
from jukebox.labels.lyric_window import Rounding, lyric_indices, take_lyrics
from jukebox.labels.text import LyricAlphabet
from jukebox.labels.timing import SongSpan
from jukebox.labels.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class Blend(Config, called="a blend"):
    """Another artist or genre that is mixed in.

    Args:
        weight: its share, above 0, up to 1; what all shares leave is the song's own.
        artist, genre: names of the model's vocabulary; None for the song's own.
    """

    weight: float
    artist: str | None = None
    genre: str | None = None

    def __post_init__(self) -> None:
        require(0 < self.weight <= 1, self, "weight", "a share above 0, up to 1")
        if self.artist is None and self.genre is None:
            raise LabelError("A blend has neither artist nor genre: name one of them, or both.")


@dataclass(frozen=True, kw_only=True)
class Labels(Config, called="a song"):
    """A song as a person describes it.

    Args:
        artist: name of an artist of the model's vocabulary.
        genre: a genre of it; for the v2 models up to five words.
        lyrics: the words that are sung over the whole song, lines separated by new lines; "" for none.
        total_duration_s: length of the song that the model should think of, in seconds, above 0; an intro
            comes at its start, an ending at its end. None: the length that is asked for.
        offset_s: where in that song the music starts, in seconds, 0 or more and below the total.
        lyric_times: lines or words of the lyrics with the times at which they are sung, in their order; without
            them the characters are taken to be spread evenly over the song.
        blend: artists and genres that are mixed in: the vectors of names are added up by their shares; the shares
            of artists and genres count together, and are 1 or less in all.

    Raises:
        LabelError: when a duration is outside its range.
    """

    artist: str = "unknown"
    genre: str = "unknown"
    lyrics: str = ""
    total_duration_s: float | None = None
    offset_s: float = 0.0
    lyric_times: tuple[TimedText, ...] = ()
    blend: tuple[Blend, ...] = ()

    def __post_init__(self) -> None:
        total = self.total_duration_s
        if total is not None and not (math.isfinite(total) and total > 0):
            raise LabelError(f"total_duration_s is {total}: give a length in seconds above 0, or leave it out.")
        if not (math.isfinite(self.offset_s) and self.offset_s >= 0):
            raise LabelError(f"offset_s is {self.offset_s}: give a position in seconds, 0 or more.")
        if total is not None and self.offset_s >= total:
            raise LabelError(
                f"offset_s is {self.offset_s} in a song of {total} seconds: music must start before its end."
            )
        shares = sum(each.weight for each in self.blend)
        if shares > 1 + 1e-9:
            raise LabelError(
                f"The shares of what is mixed in are {shares:g} in all; those of artists and genres count together: "
                "give 1 or less."
            )

    def timed(self) -> "Labels":
        """The same; lyrics in the form of an LRC file become words, and the times at which they are sung.

        Raises:
            LabelError: no line that has a time has words, or a line of words has no time.
        """
        if self.lyric_times or not is_lrc(self.lyrics):
            return self
        try:
            lyrics, times = parse_lrc(self.lyrics)
        except DataError as error:
            raise LabelError(f"The lyrics look like an LRC file, but cannot be used: {error}.") from error
        if lost := untimed_line(self.lyrics):
            number, line = lost
            shown = line if len(line) <= 60 else f"{line[:57]}..."
            raise LabelError(
                f"Line {number} of the lyrics, {shown!r}, has no time: give it one, as in [01:23.45], or leave all "
                "times out."
            )
        return replace(self, lyrics=lyrics, lyric_times=times)


@dataclass(frozen=True, kw_only=True)
class NameShare:
    """Names that are mixed in, as numbers: their share, an artist, and as many genre numbers as the song has."""

    weight: float
    artist_id: int
    genre_ids: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class LabelTokens:
    """The labels of one window, as numbers.

    Args:
        span: where the window lies in the song, in samples.
        artist_id: number of the artist.
        genre_ids: numbers of the genre words, -1 in unused slots.
        lyric_tokens: the characters that the window is shown, 0 for none; empty for a model without lyrics.
        blend: names that are mixed in.
    """

    span: SongSpan
    artist_id: int
    genre_ids: tuple[int, ...]
    lyric_tokens: tuple[int, ...]
    blend: tuple[NameShare, ...] = ()

    def packed(self) -> tuple[int, ...]:
        """All fields in a row, as the original passed them: three lengths, artist, genres, lyrics."""
        span = self.span
        return (
            span.total_length_samples,
            span.offset_samples,
            span.window_length_samples,
            self.artist_id,
            *self.genre_ids,
            *self.lyric_tokens,
        )


@dataclass(frozen=True, kw_only=True)
class SongTokens:
    """The labels of a whole song, as numbers; `window` gives those of a part.

    Args:
        artist_id: number of the artist.
        genre_ids: numbers of the genre words, -1 in unused slots.
        lyric_tokens: all lyrics of the song.
        lyric_window: how many lyric tokens a window has, 0 for a model without lyrics.
        lyric_times: when they are sung, where that is known.
        blend: names that are mixed in.
    """

    artist_id: int
    genre_ids: tuple[int, ...]
    lyric_tokens: tuple[int, ...]
    lyric_window: int
    lyric_times: LyricTimes | None = None
    blend: tuple[NameShare, ...] = ()

    @property
    def can_be_followed(self) -> bool:
        """Whether a window is shown a part of the lyrics, and nobody has said when that is sung."""
        return self.lyric_times is None and len(self.lyric_tokens) > self.lyric_window

    def around(self, character: int) -> "SongTokens":
        """The same, of which every window is shown what is around a character: that was heard in its middle."""
        return replace(self, lyric_times=LyricTimes(samples=(0,), characters=(character,)))

    def lyric_indices(self, span: SongSpan, rounding: Rounding = "float64") -> tuple[int, ...]:
        """For each lyric token of the window, which character of `lyric_tokens` it is; -1 for padding."""
        return lyric_indices(len(self.lyric_tokens), self.lyric_window, span, rounding, self.lyric_times)

    def window(self, span: SongSpan, rounding: Rounding = "float64") -> LabelTokens:
        """The labels of one window of the song; `rounding` as in `lyric_window.lyric_indices`."""
        return LabelTokens(
            span=span,
            artist_id=self.artist_id,
            genre_ids=self.genre_ids,
            lyric_tokens=take_lyrics(self.lyric_tokens, self.lyric_indices(span, rounding)),
            blend=self.blend,
        )

    def sung(self, span: SongSpan, codes: int) -> Int64[np.ndarray, "codes 2"]:
        """What is sung in the middle of each of the `codes` equal parts of a window, as lyric tokens of the window.

        Returns:
            The first token of the line or word and one past its last, as far as the window is shown it; -1 for both
            where nothing is sung, or nothing that is shown, or where nobody knows.
        """
        indices = np.array(self.lyric_indices(span), np.int64)
        shown = int((indices >= 0).sum())
        if self.lyric_times is None or not shown:
            return np.full((codes, 2), -1, np.int64)
        middles = span.offset_samples + (np.arange(codes) + 0.5) * (span.window_length_samples / codes)
        found = self.lyric_times.sung_at(middles)
        first = len(indices) - shown  # padding comes first, then characters one after another
        tokens = np.clip(found - indices[-1] + len(indices) - 1, first, len(indices))
        heard = (found[:, 0] >= 0) & (tokens[:, 0] < tokens[:, 1])
        return np.where(heard[:, None], tokens, -1)


@dataclass(frozen=True, kw_only=True)
class LabelEncoder:
    """Turns labels into the numbers of one model.

    Args:
        vocabulary: its artists and genres.
        alphabet: the characters of its lyrics.
        lyric_window: how many lyric tokens a window has, 0 for a model without lyrics.
        unknown_is_zero: True gives unknown names the number 0 without a word, as the original did.
        sample_rate: of the model in Hz, in which the times of lyrics are counted.
    """

    vocabulary: Vocabulary
    alphabet: LyricAlphabet
    lyric_window: int
    unknown_is_zero: bool = False
    sample_rate: int = 44_100

    def song(self, labels: Labels) -> SongTokens:
        """The numbers of a song.

        Raises:
            LabelError: when artist or genre is not in the vocabulary, the genre has too many words, or the timed
                lyrics are not those of the song.
        """
        artist_id, genre_ids = self._names(labels.artist, labels.genre)
        blend = []
        for each in labels.blend:
            names = self._names(each.artist or labels.artist, each.genre or labels.genre)
            blend.append(NameShare(weight=each.weight, artist_id=names[0], genre_ids=names[1]))
        timed = labels.lyric_times
        return SongTokens(
            artist_id=artist_id,
            genre_ids=genre_ids,
            lyric_tokens=self.alphabet.encode(labels.lyrics),
            lyric_window=self.lyric_window,
            lyric_times=LyricTimes.of(labels.lyrics, timed, self.alphabet, self.sample_rate) if timed else None,
            blend=tuple(blend),
        )

    def _names(self, artist: str, genre: str) -> tuple[int, tuple[int, ...]]:
        """The numbers of an artist and of a genre, -1 in unused slots."""
        names = self.vocabulary
        if self.unknown_is_zero:
            genre_ids = names.genre_ids_or_unknown(genre)
            return names.artist_id_or_unknown(artist), names.fill_genre_slots(genre_ids)
        return names.artist_id(artist), names.fill_genre_slots(names.genre_ids(genre))
