from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukebox.errors import ConfigError
from jukebox.sampling.windows import LevelWindows, last_window, plan_chains, window_starts


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


LAYOUTS = st.tuples(st.integers(1, 20), st.integers(1, 4), st.integers(1, 6), st.data())


@given(LAYOUTS)
def test_chains_write_every_missing_token_once(drawn: tuple[int, int, int, st.DataObject]) -> None:
    blocks, unit, chains, data = drawn
    context = 2 * unit * data.draw(st.integers(1, 8))
    total, known = 4 * unit * blocks, unit * data.draw(st.integers(0, 4 * blocks))
    layout = LevelWindows(context=context, hop=data.draw(st.integers(1, context)), unit=unit, chains=chains)
    planned = plan_chains(total, known, layout)
    assert bool(planned) == (known < total)
    kept = [token for chain in planned for token in range(max(chain.kept, known), chain.end)]
    assert kept == list(range(known, total))
    for chain in planned:
        place = chain.start + chain.known
        assert place == max(known, chain.start)
        for window in chain.windows:
            assert window.start % unit == 0
            assert chain.start <= window.start <= window.first == place < window.end <= window.start + context
            place = window.end
        assert place == chain.end
        assert chain.kept - chain.start <= max(context // 2 + unit, 0) or chain.kept == 0


def test_the_originals_partial_windows() -> None:
    found = [last_window(total, 48, known) for known, total in ((0, 24), (24, 36), (36, 60))]
    assert [(w.start, w.first, w.end) for w in found] == [(0, 0, 24), (0, 24, 36), (12, 36, 60)]
    with pytest.raises(ConfigError, match="49 tokens cannot be written in one window: give 1 to 48"):
        last_window(49, 48, 0)
