"""Two workers over gloo are one: equal losses, states that go on in either, and a clear end when one is lost."""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
import torch

from jukebox.errors import ConfigError
from jukebox.training import checkpoint
from jukebox.training.workers import ALONE, workers
from tests.training.processes import together
from tests.training.small import TRAINERS, plant

STEPS, TOLERANCE, MUON = 20, 1e-5, 1e-4
"""Losses of 3 to 4 in float32; measured: 7e-7, and 1.2e-5 with Muon."""
SETTINGS = {"steps": STEPS, "log_every_steps": 1, "average_decay": 0.9, "save_every_steps": 10}


def train(
    rank: int,
    kind: str,
    folder: Path,
    kill_at: int | None = None,
    said: Path | None = None,
    bad: tuple[int, ...] = (),
) -> None:
    """One of two workers; the second one may be killed, or have no finite loss in some steps."""
    torch.set_num_threads(1)
    if said is not None and rank == 0:
        sys.stderr = said.open("w")
    from jukebox.errors import JukeboxError

    try:
        with workers("cpu", timeout_s=30) as found:
            trainer = TRAINERS[kind](folder, found, **SETTINGS)
            one_step = trainer.one_step

            def fatal(*arguments):
                if rank == 1 and trainer.step == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                return one_step(*arguments)

            trainer.one_step = fatal
            if rank == 1:
                plant(trainer, bad)
            trainer.train()
    except JukeboxError as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(2)


def losses(folder: Path) -> dict[int, float]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def begun(folder: Path, other: Path) -> Path:
    """A run that has only the first saved state of another one."""
    shutil.copytree(other / "checkpoints" / "step-00000010", folder / "checkpoints" / "step-00000010")
    return folder


@pytest.mark.parametrize("kind", [pytest.param(k, marks=() if k == "prior" else pytest.mark.slow) for k in TRAINERS])
def test_two_workers_are_one_and_go_on_as_one_and_back(kind: str, tmp_path: Path) -> None:
    alone, pair = tmp_path / "alone", tmp_path / "pair"
    TRAINERS[kind](alone, **SETTINGS).train()
    assert together(train, kind, pair) == [0, 0]
    from_pair = begun(tmp_path / "from_pair", pair)
    TRAINERS[kind](from_pair, **SETTINGS).train()
    from_one = begun(tmp_path / "from_one", alone)
    assert together(train, kind, from_one) == [0, 0]
    expected = losses(alone)
    assert list(expected) == list(range(1, STEPS + 1))
    for folder, first in ((pair, 1), (from_pair, 11), (from_one, 11)):
        found = losses(folder)
        assert list(found) == list(range(first, STEPS + 1))
        for step, loss in found.items():
            assert abs(loss - expected[step]) < (MUON if "muon" in kind else TOLERANCE), (folder.name, step)


def test_a_killed_worker_ends_the_run_clearly(tmp_path: Path) -> None:
    codes = together(train, "prior", tmp_path / "run", 13, tmp_path / "said")
    assert codes == [2, -signal.SIGKILL]
    said = (tmp_path / "said").read_text()
    assert "Worker 0 of 2 has lost another worker" in said
    assert "start the run again: it goes on from the last saved state" in said
    assert "Traceback" not in said
    saved = checkpoint.latest(tmp_path / "run" / "checkpoints")
    assert saved is not None
    assert saved.step == 10


def test_workers_skip_together_what_has_no_finite_gradient_in_one_of_them(tmp_path: Path) -> None:
    bad, said = (3, 10, 13, *range(14, 40)), tmp_path / "said"
    assert together(train, "prior", tmp_path / "run", None, said, bad) == [2, 2]
    found = losses(tmp_path / "run")
    assert sorted(found) == [1, 2, *range(4, 10), 11, 12]
    assert all(abs(loss) < 20 for loss in found.values())
    assert "The last 8 of 20 steps had no finite gradient" in said.read_text()
    assert "it goes on from step 11, the last that was saved" in said.read_text()
    saved = checkpoint.latest(tmp_path / "run" / "checkpoints")
    assert saved is not None
    assert saved.step == 11


def test_alone_there_is_nobody_to_ask() -> None:
    assert ALONE.mean({"a": 2.0}) == {"a": 2.0}
    assert ALONE.every("x") == ["x"]
    assert ALONE.told("x") == "x"
    assert ALONE.any(True)
    assert not ALONE.any(False)
    ALONE.wait()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="PyTorch finds no GPU; use cpu"), workers("cuda"):
        pass
