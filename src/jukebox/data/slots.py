"""From which places of its songs a crop may begin: pure integers.

A song of n units has n // crop slots. With shifting, the starts of all its crops are divided evenly among the slots, so
that every epoch covers the whole song and every start is equally likely; without, slot k is the k-th crop in a row.
Starts from which nothing would be heard are taken out, and with them the slots that have no other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

Ranges = tuple[tuple[int, int], ...]
"""(first start, one past the last) of each run of allowed starts, ascending."""


@dataclass(frozen=True, kw_only=True)
class Extent:
    """A song as a row of units (samples, or codes), with the stretches [first, end) of it that are silent."""

    length: int
    silences: tuple[tuple[int, int], ...] = ()


class Slots:
    """All slots of some songs, numbered from 0, song after song."""

    def __init__(self, songs: Sequence[Extent], crop: int, *, shift: bool) -> None:
        """Number the slots.

        Args:
            songs: in the order in which their slots are numbered.
            crop: length of a crop in units, 1 or more.
            shift: whether a crop may begin anywhere, or only at multiples of its length.
        """
        self._songs, self._crop, self._shift = songs, crop, shift
        # Only songs with a silence as long as a crop have slots that may be without sound.
        self._kept = {
            index: np.array([k for k in range(song.length // crop) if self._ranges(index, k)], np.int64)
            for index, song in enumerate(songs)
            if any(end - first >= crop for first, end in song.silences)
        }
        counts = [len(self._kept[i]) if i in self._kept else song.length // crop for i, song in enumerate(songs)]
        self._ends = np.cumsum(np.array(counts, np.int64))

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def song_of(self, slot: int) -> int:
        """The index of the song that a slot belongs to."""
        return int(np.searchsorted(self._ends, slot, side="right"))

    def beginning(self, song: int) -> int:
        """The first start of a song that has slots from which something is heard."""
        first = int(self._ends[song - 1]) if song else 0
        return self.starts(first)[0][0]

    def starts(self, slot: int) -> Ranges:
        """The starts that a slot allows, in units."""
        song = self.song_of(slot)
        place = slot - (int(self._ends[song - 1]) if song else 0)
        return self._ranges(song, int(self._kept[song][place]) if song in self._kept else place)

    def _ranges(self, index: int, k: int) -> Ranges:
        song, crop = self._songs[index], self._crop
        if self._shift:
            slots, starts = song.length // crop, song.length - crop + 1
            whole = (k * starts // slots, (k + 1) * starts // slots)
        else:
            whole = (k * crop, k * crop + 1)
        unheard = ((first, end - crop + 1) for first, end in song.silences if end - first >= crop)
        return tuple(_without(whole, unheard))


def _without(whole: tuple[int, int], holes: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    first, end = whole
    for hole_first, hole_end in holes:  # ascending and apart
        if first < min(hole_first, end):
            yield first, min(hole_first, end)
        first = max(first, hole_end)
    if first < end:
        yield first, end


def draw(ranges: Ranges, random: np.random.Generator) -> int:
    """One of the allowed starts, each equally likely."""
    place = int(random.integers(sum(end - first for first, end in ranges)))
    for first, end in ranges:
        if place < end - first:
            return first + place
        place -= end - first
    raise AssertionError("a slot without starts")
