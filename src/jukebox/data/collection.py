"""A collection of songs with their labels: what a dataset of sound and a dataset of codes have in common."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from jukebox.checkpoints.files import replacing
from jukebox.errors import ConfigError, DataError, LabelError
from jukebox.labels.labels import LabelEncoder, Labels
from jukebox.labels.lyric_times import TimedText
from jukebox.labels.text import V3_ALPHABET, LyricAlphabet
from jukebox.labels.vocabulary import Vocabulary

SONGS, VOCABULARY, ALPHABET = "songs.jsonl", "vocabulary.json", "alphabet.json"

Split = Literal["train", "validation"]


@dataclass(frozen=True, kw_only=True)
class Song:
    """One song of a collection.

    Args:
        key: its name in the collection: the path of the file that it came from.
        title, artist, genre: as its owner wrote them.
        lyrics: what is sung, "" for nothing.
        lyric_times: when, line by line or word by word, where that is known.
        split: whether it is trained on or measured on.
        length_samples: at the collection's sample rate.
        channels: 1 or 2.
        name: of its file, without the suffix.
        digest: of its samples: equal for equal sound.
        peak: the largest absolute sample, full scale is 1.
        loudness_lufs: integrated loudness (EBU R 128), None where the song is too short to have one.
        silences: (first sample, one past the last) of each stretch in which nothing is heard.
        more: every other field of its metadata, as it was given.
    """

    key: str
    title: str
    artist: str
    genre: str
    lyrics: str
    lyric_times: tuple[TimedText, ...] = ()
    split: Split
    length_samples: int
    channels: int
    name: str
    digest: str
    peak: float
    loudness_lufs: float | None
    silences: tuple[tuple[int, int], ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def labels(self) -> Labels:
        """Artist, genre and lyrics as a prior is told them."""
        return Labels(artist=self.artist, genre=self.genre, lyrics=self.lyrics, lyric_times=self.lyric_times)

    def gain(self, loudness_lufs: float | None) -> float:
        """The factor that brings the whole song to a loudness, less where it would go beyond full scale; 1 for None."""
        if loudness_lufs is None or self.loudness_lufs is None:
            return 1.0
        return min(10 ** ((loudness_lufs - self.loudness_lufs) / 20), 1 / self.peak)

    def to_json(self) -> str:
        """The song as one line of JSON that `from_json` reads."""
        values = dict(self.__dict__)
        values["lyric_times"] = [[t.start_s, t.end_s, t.text] for t in self.lyric_times]
        return json.dumps(values, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> "Song":
        """The song of a line; raises ValueError, KeyError or TypeError for anything else."""
        values = json.loads(line)
        values["lyric_times"] = timed_texts(values["lyric_times"])
        values["silences"] = tuple((first, end) for first, end in values["silences"])
        if values["split"] not in get_args(Split):
            raise ValueError(f"unknown split {values['split']!r}")
        return cls(**values)


def timed_texts(rows: Iterable[Iterable[Any]]) -> tuple[TimedText, ...]:
    """Rows of (start s, end s, text) as timed texts."""
    return tuple(TimedText(start_s=float(start), end_s=float(end), text=text) for start, end, text in rows)


@dataclass(frozen=True, kw_only=True)
class Collection:
    """Songs in a folder, and the names and characters in which their labels are written.

    Args:
        folder: where they are.
        songs: all of them, ordered by key.
        sample_rate: of all of them, in Hz.
        vocabulary: the artists and genres.
        alphabet: the characters of lyrics.
    """

    folder: Path
    songs: tuple[Song, ...]
    sample_rate: int
    vocabulary: Vocabulary
    alphabet: LyricAlphabet

    def of_split(self, split: Split | None) -> tuple[Song, ...]:
        """The songs of one split; of all for None."""
        return tuple(song for song in self.songs if split in (None, song.split))

    def label_encoder(self, lyric_window: int) -> LabelEncoder:
        """From labels to numbers, with `lyric_window` characters to a window; names that are not known get 0."""
        return LabelEncoder(
            vocabulary=self.vocabulary,
            alphabet=self.alphabet,
            lyric_window=lyric_window,
            unknown_is_zero=True,
            sample_rate=self.sample_rate,
        )


def holds(folder: Path, name: str) -> bool:
    """Whether a folder has a file of that name; raises DataError where nobody may know."""
    try:
        return (folder / name).is_file()
    except OSError as error:
        raise DataError(f"{folder} cannot be read ({error.strerror}); allow it, or name another folder.") from error


def read_description(folder: Path, name: str, kind: str, command: str) -> dict[str, Any]:
    """The JSON file that says what a folder is.

    Raises:
        DataError: there is none, or it is damaged or says something else than `kind`.
    """
    path = folder / name
    if not holds(folder, name):
        raise DataError(f"{folder} has no {name}; name a folder that `jukebox data {command}` has finished.")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        found = values["format"]
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); allow it, or name another folder.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}); run `jukebox data {command}` again.") from error
    if found != kind:
        raise DataError(f"{path} is of the format {found!r}; this program reads {kind!r}: update jukebox.")
    return values


def read_songs(folder: Path) -> tuple[Song, ...]:
    """The songs of a folder.

    Raises:
        DataError: their list is missing, or a line of it is damaged.
    """
    path = folder / SONGS
    songs = []
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        for place, line in enumerate(lines if lines != [""] else [], start=1):
            try:
                songs.append(Song.from_json(line))
            except (ValueError, KeyError, TypeError, LabelError) as error:
                raise DataError(f"Line {place} of {path} is damaged ({error}); prepare the data again.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}); prepare the data again.") from error
    return tuple(songs)


def read_names(folder: Path, *, lyrics: bool = True) -> tuple[Vocabulary, LyricAlphabet]:
    """The vocabulary and the lyric alphabet that are saved in a folder: of a dataset, or of a prior.

    Args:
        folder: that has them.
        lyrics: whether they are read; else there need be no alphabet, and the released one stands for it.

    Raises:
        DataError: a file is missing or damaged.
    """
    texts = {}
    for name in (VOCABULARY, ALPHABET) if lyrics else (VOCABULARY,):
        try:
            texts[name] = (folder / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{folder / name} cannot be read ({error}); name a folder that has it.") from error
    try:
        alphabet = LyricAlphabet.from_json(texts[ALPHABET]) if lyrics else V3_ALPHABET
        return Vocabulary.from_json(texts[VOCABULARY]), alphabet
    except (ConfigError, DataError) as error:
        raise DataError(f"{folder} has no usable {VOCABULARY} and {ALPHABET}: {error}") from error


def write_names(folder: Path, vocabulary: Vocabulary, alphabet: LyricAlphabet) -> None:
    """Write the files that `read_names` reads, each at once."""
    write_text(folder / VOCABULARY, vocabulary.to_json())
    write_text(folder / ALPHABET, alphabet.to_json())


def write_songs(folder: Path, songs: Iterable[Song]) -> None:
    """Write the list that `read_songs` reads, at once."""
    write_text(folder / SONGS, "".join(song.to_json() + "\n" for song in songs))


def write_text(path: Path, text: str) -> None:
    """Write a small file; it appears under its name complete, or the one before stays."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
