import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukebox.errors import ConfigError, LabelError
from jukebox.labels.timing import SongSpan, TimeGrid

RELEASED = TimeGrid(sample_rate=44_100, hops=(8, 32, 128))
LENGTHS = st.integers(0, 10**9)
LEVELS = st.integers(0, 2)


def test_released_rates_and_windows() -> None:
    assert [round(RELEASED.tokens_per_second(level), 3) for level in range(3)] == [5512.5, 1378.125, 344.531]
    assert [RELEASED.token_samples(level, 8192) for level in range(3)] == [65_536, 262_144, 1_048_576]
    assert [round(RELEASED.token_seconds(level, 8192), 3) for level in range(3)] == [1.486, 5.944, 23.777]
    assert RELEASED.tokens_at(8192, of_level=2, at_level=0) == 131_072
    assert RELEASED.tokens(2, 62 * 44_100) * 128 == RELEASED.whole_tokens_samples(62 * 44_100) == 2_734_080


@given(LENGTHS)
def test_samples_of_seconds_is_the_identity(length: int) -> None:
    assert RELEASED.samples(RELEASED.seconds(length)) == length


@given(LEVELS, LENGTHS)
def test_tokens_of_samples_is_the_identity(level: int, tokens: int) -> None:
    assert RELEASED.tokens(level, RELEASED.token_samples(level, tokens)) == tokens


@given(LENGTHS)
def test_whole_tokens_are_whole_on_every_level(length: int) -> None:
    whole = RELEASED.whole_tokens_samples(length)
    assert 0 <= length - whole < RELEASED.coarsest_hop
    for level in range(3):
        assert RELEASED.token_samples(level, RELEASED.tokens(level, whole)) == whole


@given(LENGTHS, LEVELS, LEVELS)
def test_finer_levels_lose_nothing(tokens: int, first: int, second: int) -> None:
    fine, coarse = min(first, second), max(first, second)
    there = RELEASED.tokens_at(tokens, of_level=coarse, at_level=fine)
    assert RELEASED.tokens_at(there, of_level=fine, at_level=coarse) == tokens


def test_span_of_a_window() -> None:
    assert RELEASED.span(2, 768, 6144, 7_938_000) == SongSpan(
        total_length_samples=7_938_000, offset_samples=98_304, window_length_samples=786_432
    )


def test_json_round_trip() -> None:
    assert TimeGrid.from_json(RELEASED.to_json()) == RELEASED


def test_bad_grids_are_refused() -> None:
    with pytest.raises(ConfigError, match="sample_rate is 0: it must be at least 1"):
        TimeGrid(sample_rate=0, hops=(8,))
    for hops in ((), (0,), (8, -32)):
        with pytest.raises(ConfigError, match="give one positive number of samples per level"):
            TimeGrid(sample_rate=1, hops=hops)
    with pytest.raises(ConfigError, match=r"hops is \(8, 12\): each must be a multiple"):
        TimeGrid(sample_rate=1, hops=(8, 12))
    with pytest.raises(ConfigError, match=r"There is no level 3: the levels are 0\.\.2"):
        RELEASED.tokens(3, 1)


@pytest.mark.parametrize("duration", [-1.0, math.nan, math.inf])
def test_bad_durations_are_refused(duration: float) -> None:
    with pytest.raises(LabelError, match="it must be a finite number, 0 or more"):
        RELEASED.samples(duration)


def test_bad_spans_are_refused() -> None:
    with pytest.raises(LabelError, match="A song of 0 samples and a window of 5: both must be at least 1"):
        SongSpan(total_length_samples=0, offset_samples=0, window_length_samples=5)
    for offset in (-1, 10):
        with pytest.raises(LabelError, match=f"window starts at sample {offset} of 10: give a longer total"):
            SongSpan(total_length_samples=10, offset_samples=offset, window_length_samples=5)
