"""From what is known about a file to a song with its labels, or to the sentence that says why not."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from jukebox.data.collection import Song, Split
from jukebox.data.metadata import Entry
from jukebox.errors import DataError, LabelError
from jukebox.labels.labels import LabelEncoder

UNKNOWN = "unknown"

# "Song (live)" and "Song [remix]" are versions of "Song": measuring on one after training on the other is no test.
_VERSION = re.compile(r"\s*[(\[][^()\[\]]*[)\]]\s*$")


def song_of(entry: Entry, decoded: Mapping[str, Any], required: Iterable[str], validation: float) -> Song:
    """The song of an entry.

    Args:
        entry: what the metadata say; what they do not say, the tags of the file may.
        decoded: the fields of `decode.Decoded`, tags as a dictionary.
        required: fields without which it is refused.
        validation: share of the songs that are kept for measuring.

    Raises:
        DataError: a required field is missing.
    """
    fields = dict(decoded["tags"]) | dict(entry.fields)
    found = {name: (fields.get(name) or "").strip() for name in ("title", "artist", "genre", "lyrics")}
    missing = [name for name in required if not found[name]]
    if missing:
        raise DataError(f"has no {missing[0]}: add it to its metadata or tags, or leave {missing[0]} out of --require")
    title = found["title"] or entry.path.stem
    artist = found["artist"] or UNKNOWN
    return Song(
        key=entry.key,
        title=title,
        artist=artist,
        genre=found["genre"] or UNKNOWN,
        lyrics=found["lyrics"],
        lyric_times=fields.get("lyric_times", ()) if found["lyrics"] else (),
        split=fields.get("split") or split_of(fields.get("group") or f"{artist}\n{title}", validation),
        length_samples=decoded["length_samples"],
        channels=decoded["channels"],
        name=decoded["name"],
        digest=decoded["digest"],
        peak=decoded["peak"],
        loudness_lufs=decoded["loudness_lufs"],
        silences=tuple((first, end) for first, end in decoded["silences"]),
        more=entry.more,
    )


def split_of(group: str, validation: float) -> Split:
    """The side on which a group of songs falls: a function of its name alone.

    Args:
        group: the name; a last part in brackets is left out, as in "Song (live)".
        validation: share of all groups that are kept for measuring, 0 to 1.
    """
    name = " ".join(_VERSION.sub("", group).casefold().split())
    place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
    return "validation" if place < validation else "train"


def check_labels(song: Song, encoder: LabelEncoder) -> None:
    """Refuse a song whose labels cannot be told to a prior.

    Raises:
        DataError: its genre has too many words, or nothing of its lyrics is left in the alphabet.
    """
    try:
        tokens = encoder.song(song.labels)
    except LabelError as error:
        raise DataError(f"has labels that cannot be used: {error}") from error
    if song.lyrics and not tokens.lyric_tokens:
        raise DataError(
            f"has lyrics in characters that the alphabet does not have ({song.lyrics[:20]!r}...): "
            "spell them in its characters, or leave them out"
        )


def dropped_characters(songs: Iterable[Song], encoder: LabelEncoder) -> Counter[str]:
    """The characters of all lyrics for which the alphabet has no spelling, and how often they occur."""
    dropped: Counter[str] = Counter()
    for song in songs:
        counts = Counter(song.lyrics)
        dropped.update({c: n for c, n in counts.items() if c.isprintable() and not encoder.alphabet.clean(c)})
    return dropped


def unknown_names(songs: Iterable[Song], encoder: LabelEncoder) -> Counter[str]:
    """The artists and genres that the vocabulary does not have, and in how many songs they occur."""
    unknown: Counter[str] = Counter()
    names = encoder.vocabulary
    for song in songs:
        if song.artist.casefold() != UNKNOWN and not names.artist_id_or_unknown(song.artist):
            unknown[f"artist {song.artist}"] += 1
        if song.genre.casefold() != UNKNOWN and not any(names.genre_ids_or_unknown(song.genre)):
            unknown[f"genre {song.genre}"] += 1
    return unknown
