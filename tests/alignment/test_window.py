"""Planted answers: what a window is shown after one whose attention was made by hand."""

import numpy as np
import pytest

from jukebox.alignment.window import HeardWindow
from jukebox.labels.timing import SongSpan
from tests.alignment.test_times import planted

TOTAL, HOP, CODES, SHOWN, FIRST, CHARACTERS = 100_000, 10, 64, 40, 100, 1000


def heard(path: list[int], noise: float = 0.0) -> HeardWindow:
    """A window of 64 codes from sample 2000 on that is shown characters 100 to 139."""
    return HeardWindow(
        span=SongSpan(total_length_samples=TOTAL, offset_samples=2000, window_length_samples=HOP * CODES),
        characters=CHARACTERS,
        shown=np.arange(FIRST, FIRST + SHOWN),
        weights=planted(path, SHOWN, noise),
    )


def middle(window: HeardWindow, code: int) -> int:
    """The character in the middle of a window that lies around the middle of a code of it."""
    offset = 2000 + HOP * code + HOP // 2 - 320
    return window.middle_of(SongSpan(total_length_samples=TOTAL, offset_samples=offset, window_length_samples=640))


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("code", [16, 40, 59])
def test_it_is_what_was_sung_there(code: int, noise: float) -> None:
    path = [min(code // 2, 30) for code in range(CODES)]
    assert middle(heard(path, noise), code) == FIRST + path[code]


def test_later_than_that_what_is_left_is_spread_over_what_is_left() -> None:
    """From the last code that is counted on: 60 of 64. A window far ahead still shows what comes next."""
    window = heard([code // 4 for code in range(CODES)])
    last, last_sample = FIRST + 59 // 4, 2000 + HOP * 59.5
    expected = last + (CHARACTERS - last) * HOP * (100 - 59) / (TOTAL - last_sample)
    assert middle(window, 100) == int(expected)
    assert middle(window, 9000) == last + SHOWN // 2


def test_the_last_codes_are_not_counted_on() -> None:
    path = [5] * 62 + [39, 39]
    assert middle(heard(path), 63) == FIRST + 5
