import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukebox.errors import LabelError
from jukebox.labels.lyric_window import Rounding, lyric_indices, take_lyrics
from jukebox.labels.timing import SongSpan

ROUNDINGS = st.sampled_from(["float64", "float32"])


@st.composite
def spans(draw: st.DrawFn) -> SongSpan:
    total = draw(st.integers(1, 26_460_000))
    return SongSpan(
        total_length_samples=total,
        offset_samples=draw(st.integers(0, total - 1)),
        window_length_samples=draw(st.integers(1, 1_048_576)),
    )


def span(total: int, offset: int, window: int) -> SongSpan:
    return SongSpan(total_length_samples=total, offset_samples=offset, window_length_samples=window)


@given(st.integers(0, 3000), st.integers(0, 600), spans(), ROUNDINGS)
def test_window_is_a_run_inside_the_lyrics(characters: int, tokens: int, where: SongSpan, rounding: Rounding) -> None:
    indices = lyric_indices(characters, tokens, where, rounding)
    real = [index for index in indices if index >= 0]
    assert len(indices) == tokens
    assert len(real) == min(characters, tokens)
    assert indices == (-1,) * (tokens - len(real)) + tuple(real)  # padding only on the left
    assert not real or (real == list(range(real[0], real[0] + len(real))) and 0 <= real[0] <= real[-1] < characters)


@given(st.integers(601, 3000), spans(), spans())
def test_later_windows_never_see_earlier_characters(characters: int, first: SongSpan, second: SongSpan) -> None:
    later = span(first.total_length_samples, first.total_length_samples - 1, first.window_length_samples)
    assert lyric_indices(characters, 600, first)[0] <= lyric_indices(characters, 600, later)[0]


@given(st.integers(1, 3000), st.integers(1, 600), spans())
def test_the_two_roundings_differ_by_one_character_at_most(characters: int, tokens: int, where: SongSpan) -> None:
    double = lyric_indices(characters, tokens, where, "float64")
    single = lyric_indices(characters, tokens, where, "float32")
    assert abs(double[-1] - single[-1]) <= 1


def test_the_window_is_centred() -> None:
    assert lyric_indices(100, 10, span(1000, 400, 200)) == tuple(range(45, 55))
    assert lyric_indices(100, 10, span(1000, 0, 200)) == tuple(range(5, 15))
    assert lyric_indices(100, 10, span(1000, 0, 20)) == tuple(range(10))
    assert lyric_indices(100, 10, span(1000, 999, 200)) == tuple(range(90, 100))


def test_a_recorded_offset_where_single_precision_differs() -> None:
    where = span(18_491_920, 11_740_685, 786_432)
    assert lyric_indices(4066, 384, where, "float64")[0] == 2475
    assert lyric_indices(4066, 384, where, "float32")[0] == 2476


def test_take_pads_on_the_left() -> None:
    assert take_lyrics((7, 8, 9), lyric_indices(3, 5, span(10, 0, 5))) == (0, 0, 7, 8, 9)
    assert take_lyrics((), lyric_indices(0, 2, span(10, 0, 5))) == (0, 0)


def test_negative_counts_are_refused() -> None:
    with pytest.raises(LabelError, match="lyric window of -1 tokens from 3 characters: neither count"):
        lyric_indices(3, -1, span(10, 0, 5))
