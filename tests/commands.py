"""Commands as a user gives them, in this process."""

import pytest

from jukebox.cli.main import main


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Run a command that must be refused, and return its one sentence."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("jukebox: ")
    assert error.count("\n") == 1
    return error
