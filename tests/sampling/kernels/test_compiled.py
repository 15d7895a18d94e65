"""Kernels of the released priors fit on cards, as their compiler says; no card is needed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")

from tests.sampling.kernels.compiled import wrong_waits

WAIT = ["griddepcontrol.launch_dependents ;", "griddepcontrol.wait ;"]
LOAD, ASK = "@%p1 ld.global.v4.b32 { %r1, %r2 }, [ %rd1 + 0 ];", "prefetch.global.L2 [%rd2]; mov.b32 %r3, 0;"
ARGUMENT = "ld.param.b64 %rd1, [linear_kernel_param_0];"


@pytest.mark.parametrize(
    ("lines", "dependent", "wrong"),
    [
        ([ARGUMENT, ASK, *WAIT, LOAD], True, None),
        ([ARGUMENT, LOAD], False, None),
        ([ARGUMENT, LOAD, *WAIT], True, "before the wait: ld.global.v4.b32"),
        (["@%p1 bra $L__BB0_2;", *WAIT, LOAD], True, "before the wait: bra"),
        (["{ cp.async.cg.shared.global [ %r1 ], [ %rd1 ], 0x10; }", *WAIT], True, "before the wait: cp.async"),
        ([ARGUMENT, LOAD], True, "0 waits, 0 times the next may begin"),
        ([*WAIT, LOAD], False, "it waits, though nothing was launched early"),
    ],
)
def test_what_is_wrong_with_waits(lines: list[str], dependent: bool, wrong: str | None) -> None:
    found = wrong_waits("\n".join(lines), dependent)
    assert found == wrong or (wrong is not None and found is not None and found.startswith(wrong))


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["89", "90", "90d", "89p", "90p"])
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
