"""The model that the tests of this folder write with."""

import pytest

from jukebox.pipeline import Jukebox, load


@pytest.fixture(scope="module")
def jukebox(short_windows: None) -> Jukebox:
    """`tiny-random` with short windows."""
    return load("tiny-random", "cpu")
