"""One small model for all tests of features."""

from pathlib import Path

import pytest

from tests.mini import write_runs


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small random model."""
    return write_runs(tmp_path_factory.mktemp("features") / "model")
