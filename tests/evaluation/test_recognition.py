"""Names are recognised where clips differ by more than they vary, and only there."""

import numpy as np
import pytest

from jukebox.errors import DataError
from jukebox.evaluation.recognition import learn


def clips(distance: float, seed: int) -> tuple[np.ndarray, list[str]]:
    """200 clips of four names in 20 features of very different scales; the names' centres are so far apart."""
    random = np.random.default_rng(seed)
    names = [f"name {index % 4}" for index in range(200)]
    centres = distance * np.eye(4, 20)
    return (np.stack([centres[int(name[-1])] for name in names]) + random.standard_normal((200, 20))) * np.logspace(
        -3, 3, 20
    ), names


def test_distant_names_are_recognised_and_equal_ones_are_not() -> None:
    far, names = clips(8, 0)
    assert learn(far, names).share(*clips(8, 1)) > 0.95
    same, names = clips(0, 0)
    assert learn(same, names).share(*clips(0, 1)) < 0.4  # chance is 0.25, its deviation 0.03


def test_names_with_few_clips_are_left_out() -> None:
    far, names = clips(8, 0)
    names[:3] = ["rare"] * 3
    assert "rare" not in learn(far, names).names
    with pytest.raises(DataError, match="telling them apart takes two"):
        learn(far[:4], ["one"] * 4)
