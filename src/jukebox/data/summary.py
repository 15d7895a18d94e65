"""How much of what there is in a collection."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from jukebox.data.collection import Collection, Song


@dataclass(frozen=True, kw_only=True)
class Row:
    """Some songs: how many, their hours, and the part of each that is for measuring or has words."""

    name: str
    songs: int
    hours: float
    validation_songs: int
    validation_hours: float
    songs_with_lyrics: int
    songs_with_times: int


def by_artist(collection: Collection) -> list[Row]:
    """A row for every artist, the one with the most music first."""
    return _rows(collection, lambda song: song.artist)


def by_genre(collection: Collection) -> list[Row]:
    """A row for every genre, the one with the most music first."""
    return _rows(collection, lambda song: song.genre)


def total(collection: Collection) -> Row:
    """The row of all songs."""
    return _row("all", collection.songs, collection.sample_rate)


def _rows(collection: Collection, name: Callable[[Song], str]) -> list[Row]:
    groups: dict[str, list[Song]] = defaultdict(list)
    for song in collection.songs:
        groups[name(song)].append(song)
    rows = [_row(name, songs, collection.sample_rate) for name, songs in groups.items()]
    return sorted(rows, key=lambda row: (-row.hours, row.name))


def _row(name: str, songs: Iterable[Song], sample_rate: int) -> Row:
    songs = list(songs)
    held_out = [song for song in songs if song.split == "validation"]
    return Row(
        name=name,
        songs=len(songs),
        hours=sum(song.length_samples for song in songs) / sample_rate / 3600,
        validation_songs=len(held_out),
        validation_hours=sum(song.length_samples for song in held_out) / sample_rate / 3600,
        songs_with_lyrics=sum(bool(song.lyrics) for song in songs),
        songs_with_times=sum(bool(song.lyric_times) for song in songs),
    )
