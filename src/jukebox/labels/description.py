"""A sentence that describes music, as the artist and genre of a model that come nearest."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from jukebox.errors import LabelError
from jukebox.labels.glossary import Entry, Glossary, Match, built_in, plain
from jukebox.labels.negation import denied
from jukebox.labels.vocabulary import UNKNOWN_ID, Vocabulary

UNKNOWN = "unknown"

# Entries that fit less than this share of the best one say something else.
_NEAR = 0.5
_MOST_OTHERS, _LONGEST_NAME = 5, 6

# An artist is meant where it is said so: many artists are called like things ("Air", "War", "The Doors").
_NAMING = re.compile(r"\b(?:by|like|style of|sound of|voice of)\s+")


@dataclass(frozen=True, kw_only=True)
class Described:
    """What a description comes to.

    Args:
        artist, genre: names of the model's vocabulary; "unknown" where nothing of it fits.
        because: the words that decided, the most telling first.
        others: further genres of the vocabulary that fit, the best first.
    """

    artist: str
    genre: str
    because: tuple[str, ...]
    others: tuple[str, ...]

    def __str__(self) -> str:
        """In a line for people."""
        words = f" ({', '.join(self.because)})" if self.because else ""
        others = f"; near it: {', '.join(self.others)}" if self.others else ""
        return f"artist {self.artist!r}, genre {self.genre!r}{words}{others}"


def describe(description: str, vocabulary: Vocabulary, own: Glossary | None = None) -> Described:
    """Artist and genre for a description.

    Args:
        description: a sentence, or words.
        vocabulary: of the model.
        own: words for the model's own artists and genres, which come before those of the package.

    Returns:
        The artist that is named ("sung by ...", "like ..."), or whose words in `own` fit; and the genre whose words
        fit best, or the nearest broader one that the vocabulary has.

    Raises:
        LabelError: nothing fits.
    """
    artist, rest = _named(description, vocabulary)
    entries = own.entries if own is not None else ()
    known = Glossary((*entries, *built_in().entries)).of_names(name for name, _ in vocabulary.genres.entries)
    matches = known.search(rest)
    voices = [match for match in matches if match.entry in entries and _is_artist(match.entry, vocabulary)]
    if artist is None and voices:
        artist = voices[0].entry.names[0]
    genres = _genres([match for match in matches if match not in voices], known, vocabulary)
    if artist is None and not genres:
        raise LabelError(
            f"Nothing that this model knows is like {description!r}: say instruments, a mood, a place or a time, or "
            "name one of its genres (`jukebox labels`)."
        )
    chosen = next(iter(genres), UNKNOWN)
    because = [*(voices[0].because if voices and artist == voices[0].entry.names[0] else ())]
    because += genres[chosen].because if genres else ()
    return Described(
        artist=artist or UNKNOWN,
        genre=chosen,
        because=tuple(dict.fromkeys(because)),
        others=tuple(genres)[1 : 1 + _MOST_OTHERS],
    )


def _named(description: str, vocabulary: Vocabulary) -> tuple[str | None, str]:
    """The artist that is said to be one, not in "not like ...", and the description without the name."""
    not_meant = list(denied(description))
    for naming in _NAMING.finditer(description.lower()):
        if any(start <= naming.start() < end for start, end in not_meant):
            continue
        words = re.split(r"(\s+)", description[naming.end() :])
        for number in range(min(len(words), 2 * _LONGEST_NAME - 1), 0, -2):
            name = "".join(words[:number]).strip(" .,;:!?\"'")
            if name and vocabulary.artist_id_or_unknown(name) != UNKNOWN_ID:
                return name, description[: naming.start()] + " " + "".join(words[number:])
    return None, description


def _is_artist(entry: Entry, vocabulary: Vocabulary) -> bool:
    return vocabulary.artist_id_or_unknown(entry.names[0]) != UNKNOWN_ID


def _genres(matches: list[Match], known: Glossary, vocabulary: Vocabulary) -> dict[str, Match]:
    """Genres of the vocabulary for what fits, the best first."""
    by_name = {plain(name): entry for entry in reversed(known.entries) for name in entry.names}
    found: dict[str, Match] = {}
    least = _NEAR * matches[0].score if matches else 0.0
    for match in matches:
        genre = next(_representable(match.entry, by_name, vocabulary), None)
        if match.score >= least and genre is not None:
            found.setdefault(genre, match)
    return found


def _representable(entry: Entry, by_name: dict[str, Entry], vocabulary: Vocabulary) -> Iterator[str]:
    """Names of an entry that the vocabulary has, then of broader ones, the nearest first."""
    waiting, seen = [entry], set[str]()
    while waiting:
        each = waiting.pop(0)
        yield from (name for name in each.names if _has(vocabulary, name))
        for name in each.broader:
            if plain(name) not in seen:
                seen.add(plain(name))
                waiting.append(by_name.get(plain(name), Entry(names=(name,), broader=(), words="")))


def _has(vocabulary: Vocabulary, genre: str) -> bool:
    ids = vocabulary.genre_ids_or_unknown(genre)
    return len(ids) <= vocabulary.genre_slots and UNKNOWN_ID not in ids
