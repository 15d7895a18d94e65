"""The artists and genres that a model knows, as numbers.

Three rules say when two spellings are the same name. "v2" and "v3" are those of the released models; "open"
is for vocabularies built from a data set. Number 0 means "unknown" in all of them.
"""

import difflib
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

from jukebox.errors import DataError, LabelError

NameRule = Literal["v2", "v3", "open"]
Entries = tuple[tuple[str, int], ...]

UNKNOWN_ID = 0
EMPTY_GENRE_ID = -1
"""Fills the genre slots that a song does not use."""

_GENRE_SLOTS: dict[NameRule, int] = {"v2": 5, "v3": 1, "open": 1}


def normalise(name: str, rule: NameRule) -> str:
    """The form in which names are compared.

    v2: lower case, every run of characters other than a-z and 0-9 becomes "_", none at the ends.
    v3: lower case. open: NFKC, case-folded, white space collapsed. Source of v2 and v3: the released models.
    """
    if rule == "v2":
        return re.sub("[^a-z0-9]+", "_", name.lower()).strip("_")
    if rule == "v3":
        return name.lower()
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


@dataclass(frozen=True, kw_only=True)
class NameList:
    """Names of one kind and their numbers; several names may share a number.

    Args:
        kind: what they name, for messages: "artist", "genre" or "genre word".
        rule: when two spellings are the same name.
        entries: (name, number) pairs; of equal names the last one counts. Released names are kept as they
            are: a few v2 names end in "_", which the rule strips, so the original never found them.
    """

    kind: str
    rule: NameRule
    entries: Entries

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {self._key(name): number for name, number in self.entries}

    @cached_property
    def _shown(self) -> dict[str, str]:
        return {self._key(name): name for name, _ in self.entries}

    def _key(self, name: str) -> str:
        return normalise(name, self.rule) if self.rule == "open" else name

    @cached_property
    def _names(self) -> dict[int, list[str]]:
        names: dict[int, list[str]] = {}
        for key, number in self._ids.items():
            names.setdefault(number, []).append(self._shown[key])
        return names

    @property
    def id_count(self) -> int:
        """One more than the largest number: the least size of an embedding table for these names."""
        return max((number for _, number in self.entries), default=UNKNOWN_ID) + 1

    def __len__(self) -> int:
        return len(self._ids)

    def id(self, name: str) -> int:
        """The number of a name, in 0..id_count-1: as it stands in the list, or else by the rule.

        Raises:
            LabelError: when the name is not in the list; the message offers the closest names.
        """
        number = self._ids.get(name, self._ids.get(normalise(name, self.rule)))
        if number is None:
            raise LabelError(self._unknown(name))
        return number

    def id_or_unknown(self, name: str) -> int:
        """The number of a name, 0 when it is not in the list: the original's silent behaviour."""
        return self._ids.get(normalise(name, self.rule), UNKNOWN_ID)

    def names(self, number: int) -> tuple[str, ...]:
        """All names that share a number, sorted.

        Raises:
            LabelError: when no name has that number.
        """
        if number not in self._names:
            raise LabelError(f"No {self.kind} has the number {number}: they go from 0 to {self.id_count - 1}.")
        return tuple(sorted(self._names[number]))

    def search(self, text: str, limit: int = 10) -> tuple[str, ...]:
        """At most `limit` names for a text: those that contain it, shortest first, then similar ones."""
        wanted = normalise(text, self.rule)
        keys = [key for key in self._ids if key]
        containing = sorted((key for key in keys if wanted in key), key=lambda key: (len(key), key))
        similar = difflib.get_close_matches(wanted, keys, n=limit) if len(containing) < limit else []
        return tuple(self._shown[key] for key in dict.fromkeys([*containing, *similar]))[:limit]

    def _unknown(self, name: str) -> str:
        close = self.search(name, 3)
        advice = f"use {', '.join(map(repr, close))} or 'unknown'" if close else "use 'unknown'"
        return f"The {self.kind} {name!r} is not in the list of {len(self)}: {advice}."


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Every artist and genre of a model.

    Args:
        rule: how names are compared, and how many genre slots a song has: 5 words for v2, else one genre.
        artists: the artists.
        genres: the genres, single words for v2.
    """

    rule: NameRule
    artists: NameList
    genres: NameList

    @property
    def genre_slots(self) -> int:
        """How many genre numbers a song has."""
        return _GENRE_SLOTS[self.rule]

    def artist_id(self, name: str) -> int:
        """The number of an artist; raises LabelError with close names when it is unknown."""
        return self.artists.id(name)

    def artist_id_or_unknown(self, name: str) -> int:
        """The number of an artist, 0 when it is unknown."""
        return self.artists.id_or_unknown(name)

    def genre_ids(self, genre: str) -> tuple[int, ...]:
        """The numbers of a genre's words (v2) or of the genre; raises LabelError when one is unknown."""
        return tuple(self.genres.id(part) for part in self._genre_parts(genre))

    def genre_ids_or_unknown(self, genre: str) -> tuple[int, ...]:
        """As `genre_ids`, with 0 for what is unknown."""
        return tuple(self.genres.id_or_unknown(part) for part in self._genre_parts(genre))

    def artist_name(self, number: int) -> str:
        """The artist with a number; names that share it are joined by "_". LabelError when there is none."""
        return "_".join(self.artists.names(number))

    def genre_name(self, numbers: Sequence[int]) -> str:
        """The genre of a song's numbers, joined by "_", without empty slots. LabelError for unknown ones."""
        used = (number for number in numbers if number != EMPTY_GENRE_ID)
        return "_".join(name for number in used for name in self.genres.names(number))

    def fill_genre_slots(self, numbers: Sequence[int]) -> tuple[int, ...]:
        """Genre numbers followed by -1 up to `genre_slots`.

        Raises:
            LabelError: when there are more numbers than slots.
        """
        if len(numbers) > self.genre_slots:
            raise LabelError(
                f"The genre has {len(numbers)} words: leave some out, this model takes {self.genre_slots}."
            )
        return (*numbers, *[EMPTY_GENRE_ID] * (self.genre_slots - len(numbers)))

    def _genre_parts(self, genre: str) -> list[str]:
        return normalise(genre, "v2").split("_") if self.rule == "v2" else [genre]

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of rule, names and numbers, in hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """The vocabulary as JSON text that `from_json` reads."""
        values = {"rule": self.rule, "artists": self.artists.entries, "genres": self.genres.entries}
        return json.dumps(values, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Vocabulary":
        """The vocabulary that `to_json` wrote.

        Raises:
            DataError: when the text is something else.
        """
        try:
            values = json.loads(text)
            rule, artists, genres = (values[key] for key in ("rule", "artists", "genres"))
            if rule not in get_args(NameRule):
                raise ValueError(f"unknown rule {rule!r}")
            return cls._of(rule, _entries(artists), _entries(genres))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"This is not a vocabulary ({error}): give the JSON file that was saved with the model."
            ) from error

    @classmethod
    def released(cls, folder: Path, version: Literal["v2", "v3"]) -> "Vocabulary":
        """The vocabulary of released models, from the lists that are published beside the weights.

        Args:
            folder: holds `<version>_artist_ids.txt` and `<version>_genre_ids.txt`, "name;number" per line.
            version: "v2" for the 5b models and all upsamplers, "v3" for 1b_lyrics.

        Raises:
            DataError: when a list is missing or a line is not "name;number".
        """
        artists = _read_list(folder / f"{version}_artist_ids.txt")
        return cls._of(version, artists, _read_list(folder / f"{version}_genre_ids.txt"))

    @classmethod
    def from_songs(cls, songs: Iterable[tuple[str, str]]) -> "Vocabulary":
        """An open vocabulary of the (artist, genre) names of a data set.

        The numbers depend only on the set of names, not on the order of the songs. Of several spellings of
        one name the first in sorted order is shown. Empty names and "unknown" are number 0.
        """
        names = list(songs)
        return cls._of("open", _number(artist for artist, _ in names), _number(genre for _, genre in names))

    @classmethod
    def _of(cls, rule: NameRule, artists: Entries, genres: Entries) -> "Vocabulary":
        return cls(
            rule=rule,
            artists=NameList(kind="artist", rule=rule, entries=artists),
            genres=NameList(kind="genre word" if rule == "v2" else "genre", rule=rule, entries=genres),
        )


def _entries(values: object) -> Entries:
    """Entries as JSON has them; raises ValueError or TypeError for anything else."""
    if not isinstance(values, list):
        raise ValueError("names must be a list")
    return tuple((str(name), int(number)) for name, number in values)


def _number(names: Iterable[str]) -> Entries:
    spellings: dict[str, str] = {}
    for name in sorted(set(names)):
        spellings.setdefault(normalise(name, "open"), " ".join(name.split()))
    keys = sorted(set(spellings) - {"", "unknown"})
    return (("unknown", UNKNOWN_ID), *((spellings[key], 1 + index) for index, key in enumerate(keys)))


def _read_list(path: Path) -> Entries:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"The name list {path} cannot be read ({error.__class__.__name__}): "
            "download the label lists of the released models into that folder."
        ) from error
    entries = []
    for place, line in enumerate(lines, start=1):
        if not line:
            continue
        name, _, number = line.rpartition(";")
        if not number.isdecimal() or ";" not in line:
            raise DataError(f"Line {place} of {path} is {line!r}; expected name;number: download the list again.")
        entries.append((name, int(number)))
    return tuple(entries)
