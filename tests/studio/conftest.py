"""A studio with a model that is quick, in a folder of its own."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from jukebox import presets
from jukebox.studio.app import make_app
from jukebox.studio.catalogue import Catalogue
from jukebox.studio.shelf import Shelf
from jukebox.studio.studio import Studio
from tests.sampling import models

REQUEST: dict[str, Any] = {
    "model": "tiny-random",
    "songs": [{"artist": "nobody", "genre": "waltz", "lyrics": "la la la"}],
    "seconds": 0.1,
    "seed": 3,
    "parallel_windows": 1,
}


@pytest.fixture(scope="session")
def catalogue() -> Iterator[Catalogue]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(presets, "TINY_PRIORS", models.SHORT)
        found = Catalogue(("tiny-random",), "cpu")
        found.jukebox("tiny-random")
        yield found


@pytest.fixture
def studio(tmp_path: Path, catalogue: Catalogue) -> Iterator[Studio]:
    opened = Studio(Shelf(tmp_path / "studio"), catalogue)
    yield opened
    opened.close()


@pytest.fixture
def client(studio: Studio) -> Iterator[TestClient]:
    with TestClient(make_app(studio), base_url="http://localhost") as opened:
        yield opened


def wait(holds: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something holds; a machine may be slow, not for ever."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.01)
