"""Slots: every epoch covers every song, and no crop is silent."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jukebox.data.slots import Extent, Slots, draw

# Lengths, and edges between what is heard and what is not.
shapes = st.tuples(st.integers(1, 60), st.lists(st.integers(0, 59), max_size=6))


def extent(length: int, edges: list[int]) -> Extent:
    apart = sorted({edge % length for edge in edges})
    return Extent(length=length, silences=tuple(zip(apart[::2], apart[1::2], strict=False)))


@settings(max_examples=150, deadline=None)
@given(shapes=st.lists(shapes, min_size=1, max_size=4), crop=st.integers(1, 12), shift=st.booleans())
def test_the_slots_are_all_starts_at_which_something_is_heard(
    shapes: list[tuple[int, list[int]]], crop: int, shift: bool
) -> None:
    songs = [extent(*shape) for shape in shapes]
    slots = Slots(songs, crop, shift=shift)
    found: dict[int, list[int]] = {index: [] for index in range(len(songs))}
    for slot in range(len(slots)):
        ranges = slots.starts(slot)
        assert ranges
        found[slots.song_of(slot)] += [start for first, end in ranges for start in range(first, end)]
    for index, song in enumerate(songs):
        heard = [
            start
            for start in range(0, song.length - crop + 1, 1 if shift else crop)
            if not any(first <= start and start + crop <= end for first, end in song.silences)
        ]
        assert found[index] == heard  # each once, in ascending order


@given(seed=st.integers(0, 1000))
def test_draw_takes_only_allowed_starts(seed: int) -> None:
    assert draw(((2, 4), (7, 8), (10, 13)), np.random.default_rng(seed)) in {2, 3, 7, 10, 11, 12}


def test_draw_takes_all_equally() -> None:
    random = np.random.default_rng(0)
    counts = np.bincount([draw(((0, 2), (5, 7)), random) for _ in range(4000)], minlength=7)
    assert (np.abs(counts[[0, 1, 5, 6]] - 1000) < 120).all()


def test_no_songs_have_no_slots() -> None:
    assert len(Slots([], 5, shift=True)) == 0
    assert len(Slots([Extent(length=4)], 5, shift=True)) == 0
