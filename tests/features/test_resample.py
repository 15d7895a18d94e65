"""Resampling along time is SciPy's, whatever the blocks."""

import numpy as np
import pytest

from jukebox.features import resample
from jukebox.features.settings import frames_at

scipy_signal = pytest.importorskip("scipy.signal")


@pytest.mark.parametrize("length", [1, 2, 7, 8, 97, 100])
@pytest.mark.parametrize("count", [1, 2, 7, 8, 50, 97, 201])
def test_it_is_scipys(length: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = np.random.default_rng(0).standard_normal((length, 5)).astype(np.float32)
    monkeypatch.setattr(resample, "_BLOCK_NUMBERS", 2 * max(length, count))  # two columns at a time
    found = np.empty((count, 5))
    for columns, values in resample.resampled(frames, count):
        assert values.shape[1] <= 2
        found[:, columns] = values
    expected = scipy_signal.resample(frames.astype(np.float64), count, axis=0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)  # measured: 3e-15


def test_how_many_frames_there_are() -> None:
    assert frames_at(30.0, 8192, 44_100, 128) == 714  # as published
    assert frames_at(44_100 / 128, 8192, 44_100, 128) == 8192
    assert frames_at(0.1, 441_000, 44_100, 1) == 1
    assert frames_at(1e-9, 3, 44_100, 128) == 1
