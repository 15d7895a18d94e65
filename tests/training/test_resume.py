"""A run that was killed and resumed is the run that never was: bit for bit, at whatever moment it was killed."""

import random
import signal
from pathlib import Path

import pytest

from jukebox.training import checkpoint
from tests.training.processes import Kill, run, train

STEPS = 24


@pytest.mark.parametrize("kind", ["vqvae", pytest.param("prior", marks=pytest.mark.slow)])
def test_ten_kills_change_nothing(kind: str, tmp_path: Path) -> None:
    """Half of them at a step, half in the middle of writing a state."""
    assert run(train, kind, tmp_path / "whole", STEPS, Kill(), tmp_path / "expected") == 0
    draw = random.Random(f"kills of {kind}")
    killed, folder = 0, tmp_path / "killed"
    writing = False
    while killed < 10:
        saved = checkpoint.latest(folder / "checkpoints")
        done = 0 if saved is None else saved.step
        # The last kills leave room for those to come: a run that is through cannot be killed.
        step = Kill(step=min(done + draw.randrange(1, 4), STEPS - 1))
        kill = Kill(file_operation=draw.randrange(8, 22)) if killed % 2 else step
        before = checkpoint.states(folder / "checkpoints")
        assert run(train, kind, folder, STEPS, kill) == -signal.SIGKILL
        parts = list((folder / "checkpoints").glob(".*.part"))
        writing |= bool(parts)
        if before:
            assert checkpoint.latest(folder / "checkpoints") is not None
        killed += 1
    assert writing, "no kill fell into the writing of a state"
    assert run(train, kind, folder, STEPS, Kill(), tmp_path / "found") == 0
    assert (tmp_path / "found").read_text() == (tmp_path / "expected").read_text()


@pytest.mark.parametrize("operation", [0, 7])
def test_a_kill_at_any_file_operation_loses_no_whole_state(operation: int, tmp_path: Path) -> None:
    folder = tmp_path / "run" / "checkpoints"
    assert run(train, "prior", tmp_path / "run", 3, Kill()) == 0
    assert run(train, "prior", tmp_path / "run", 6, Kill(file_operation=8 + operation)) == -signal.SIGKILL
    saved = checkpoint.latest(folder)
    assert saved is not None
    assert saved.step in (3, 6)
