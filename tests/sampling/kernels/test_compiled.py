"""Kernels of the released priors fit on cards, as their compiler says; no card is needed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["89", "90"])
def test_every_kernel_fits(architecture: str) -> None:
    """In a process of its own, for kernels are either interpreted or compiled."""
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-m", "tests.sampling.kernels.compiled", "--arch", architecture],
        env=os.environ | {"TRITON_INTERPRET": "0", "PYTHONPATH": f"{root}{os.pathsep}{root / 'src'}"},
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("kernels fit, 0 do not\n")
