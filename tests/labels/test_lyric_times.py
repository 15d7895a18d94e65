"""Given times say which character is sung, and so which lyrics a window is shown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukebox.errors import LabelError
from jukebox.labels.labels import LabelEncoder, Labels
from jukebox.labels.lyric_times import LyricTimes, TimedText, places
from jukebox.labels.text import V3_ALPHABET
from jukebox.labels.timing import SongSpan
from jukebox.labels.vocabulary import Vocabulary

RATE = 100
LYRICS = "first line\n\nsecond line\nthird line"
TIMED = (
    TimedText(start_s=10.0, end_s=12.0, text="first line"),
    TimedText(start_s=20.0, end_s=21.0, text="second line"),
    TimedText(start_s=21.0, end_s=25.0, text="third line"),
)


def test_places_are_whole_words_in_order() -> None:
    assert places(LYRICS, TIMED) == ((0, 10), (12, 23), (24, 34))
    assert places(LYRICS, TIMED[::-1]) is None
    words = [TimedText(start_s=0.0, end_s=0.0, text=word) for word in ("a", "way", "a")]
    assert places("was a way, a", words) == ((4, 5), (6, 9), (11, 12))


def test_characters_are_sung_evenly_in_a_line_and_none_in_a_pause() -> None:
    times = LyricTimes.of(LYRICS, TIMED, V3_ALPHABET, RATE)
    sung = {second: times.character_at(second * RATE) for second in (0, 10, 11, 12, 16, 20, 21, 23, 25, 99)}
    assert sung == {0: 0, 10: 0, 11: 5, 12: 10, 16: 11, 20: 12, 21: 24, 23: 29, 25: 34, 99: 34}


@given(st.lists(st.integers(0, 3000), min_size=2, max_size=8))
def test_time_never_goes_back(moments: list[int]) -> None:
    times = LyricTimes.of(LYRICS, TIMED, V3_ALPHABET, RATE)
    characters = [times.character_at(moment) for moment in sorted(moments)]
    assert characters == sorted(characters)


def test_places_move_with_the_clean_up() -> None:
    lyrics = "Straße — Öl\nend"  # spelled "Strasse -- Ol"
    timed = (TimedText(start_s=0.0, end_s=1.0, text="Straße — Öl"), TimedText(start_s=2.0, end_s=3.0, text="end"))
    times = LyricTimes.of(lyrics, timed, V3_ALPHABET, RATE)
    cleaned = V3_ALPHABET.clean(lyrics)
    assert times.characters == (0, cleaned.index("\n"), cleaned.index("end"), len(cleaned))


def test_what_is_sung_is_known_to_the_sample() -> None:
    times = LyricTimes.of(LYRICS, TIMED, V3_ALPHABET, RATE)
    moments = np.array([0, 999.5, 1000, 1199.5, 1200, 1999, 2000, 2099.9, 2100, 2499, 2500, 9999], np.float64)
    silent, first, second, third = (-1, -1), (0, 10), (12, 23), (24, 34)
    expected = [silent, silent, first, first, silent, silent, second, second, third, third, silent, silent]
    assert [tuple(pair) for pair in times.sung_at(moments).tolist()] == expected


@pytest.mark.parametrize("lyric_window", [6, 11, 34, 40])
def test_every_code_has_the_tokens_that_are_sung_in_its_middle(lyric_window: int) -> None:
    """A code's tokens, read in the window, are what of the line the window is shown; padding comes before them."""
    encoder = LabelEncoder(
        vocabulary=Vocabulary.from_songs([]), alphabet=V3_ALPHABET, lyric_window=lyric_window, sample_rate=RATE
    )
    song, codes = encoder.song(Labels(lyrics=LYRICS, lyric_times=TIMED)), 64
    span = SongSpan(total_length_samples=30 * RATE, offset_samples=8 * RATE, window_length_samples=16 * RATE)
    sung, tokens = song.sung(span, codes), song.window(span).lyric_tokens
    shown = [index for index in song.lyric_indices(span) if index >= 0]
    heard = 0
    for code, (first, end) in enumerate(sung.tolist()):
        second = 8 + (code + 0.5) / 4
        line = next(((a, b) for t, (a, b) in zip(TIMED, places(LYRICS, TIMED) or (), strict=True)
                     if t.start_s <= second < t.end_s), (0, 0))  # fmt: skip
        text = "".join(LYRICS[index] for index in shown if line[0] <= index < line[1])
        assert V3_ALPHABET.decode(tokens[first:end]) == text if text else (first, end) == (-1, -1)
        heard += bool(text)
    assert heard


def test_nothing_is_sung_where_nobody_knows_when() -> None:
    encoder = LabelEncoder(vocabulary=Vocabulary.from_songs([]), alphabet=V3_ALPHABET, lyric_window=5)
    span = SongSpan(total_length_samples=1000, offset_samples=0, window_length_samples=100)
    for labels in (Labels(lyrics=LYRICS), Labels()):
        assert (encoder.song(labels).sung(span, 4) == -1).all()


def test_a_window_is_shown_what_is_sung_in_its_middle() -> None:
    encoder = LabelEncoder(
        vocabulary=Vocabulary.from_songs([]), alphabet=V3_ALPHABET, lyric_window=11, sample_rate=RATE
    )
    timed = encoder.song(Labels(lyrics=LYRICS, lyric_times=TIMED))
    plain = encoder.song(Labels(lyrics=LYRICS))
    # The middle of the window is at 20.5 s, in the middle of the second line; evenly spread, it would be in the third.
    span = SongSpan(total_length_samples=26 * RATE, offset_samples=20 * RATE, window_length_samples=RATE)
    assert V3_ALPHABET.decode(timed.window(span).lyric_tokens) == "second line"
    assert V3_ALPHABET.decode(plain.window(span).lyric_tokens) == "ne\nthird li"


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(LabelError, match="are not those of the lyrics"):
        LyricTimes.of("other words", TIMED, V3_ALPHABET, RATE)
    swapped = (TimedText(start_s=20.0, end_s=21.0, text="first line"), TimedText(start_s=1.0, end_s=2.0, text="second"))
    with pytest.raises(LabelError, match="sort them"):
        LyricTimes.of(LYRICS, swapped, V3_ALPHABET, RATE)
    with pytest.raises(LabelError, match=r"sung from 2\.0 to 1\.0 seconds"):
        TimedText(start_s=2.0, end_s=1.0, text="x")
