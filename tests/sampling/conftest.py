"""The model that the tests of this folder write with."""

from collections.abc import Iterator

import pytest

from jukebox import presets
from jukebox.pipeline import Jukebox, load
from tests.sampling import models


@pytest.fixture(scope="module")
def jukebox() -> Iterator[Jukebox]:
    """`tiny-random` with short windows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(presets, "TINY_PRIORS", models.SHORT)
        yield load("tiny-random", "cpu")
