"""torch.compile changes how fast a run is, and nothing else that can be seen."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.training.processes import Kill, run, train

TOLERANCE = 1e-5
"""Losses of 2 to 4 in float32; measured over 8 steps: 2.4e-7 for the VQ-VAE, 1.7e-6 for a prior with Muon."""
STEPS = 6


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="there is no C++ compiler")
@pytest.mark.parametrize("kind", ["vqvae", "prior"])
def test_compiled_steps_are_the_plain_ones_and_go_on_exactly_after_a_kill(kind: str, tmp_path: Path) -> None:
    once = {"log_every_steps": 1}
    assert run(train, kind, tmp_path / "plain", STEPS, Kill(), None, once) == 0
    compiled = once | {"compile": True}
    assert run(train, kind, tmp_path / "whole", STEPS, Kill(), tmp_path / "expected", compiled) == 0
    found, expected = losses(tmp_path / "whole"), losses(tmp_path / "plain")
    assert len(found) == STEPS
    assert found == pytest.approx(expected, abs=TOLERANCE)
    assert run(train, kind, tmp_path / "killed", STEPS, Kill(step=4), None, compiled) == -signal.SIGKILL
    assert run(train, kind, tmp_path / "killed", STEPS, Kill(), tmp_path / "found", compiled) == 0
    assert (tmp_path / "found").read_text() == (tmp_path / "expected").read_text()
