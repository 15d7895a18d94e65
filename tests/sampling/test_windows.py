from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukebox.errors import ConfigError
from jukebox.sampling.windows import window_starts


@given(st.integers(1, 5000), st.integers(1, 500), st.data())
def test_windows_cover_the_song_without_gaps(total: int, context: int, data: st.DataObject) -> None:
    hop = data.draw(st.integers(1, context))
    starts = window_starts(total, context, hop)
    steps = [after - before for before, after in pairwise(starts)]
    assert starts[0] == 0
    assert starts[-1] == max(0, total - context)  # the last window ends with the song
    assert all(step == hop for step in steps[:-1])
    assert all(1 <= step <= hop for step in steps[-1:])


def test_examples() -> None:
    assert window_starts(20_000, 8192, 4096) == (0, 4096, 8192, 11_808)
    assert window_starts(16_384, 8192, 4096) == (0, 4096, 8192)
    assert window_starts(8193, 8192, 1024) == (0, 1)
    assert window_starts(10, 64, 32) == (0,)


def test_bad_numbers_are_refused() -> None:
    for total, context in ((0, 4), (4, 0)):
        with pytest.raises(ConfigError, match=f"A song of {total} tokens in windows of {context}: both must be"):
            window_starts(total, context, 1)
    for hop in (0, 5):
        with pytest.raises(ConfigError, match=rf"hop between windows is {hop} tokens: it must be 1\.\.4, else"):
            window_starts(10, 4, hop)
