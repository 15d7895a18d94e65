"""Kernels that begin while the one before still runs: programmatic dependent launch, from capability 9.0 on.

Every program of every kernel of a step says at once that the next kernel may begin, and waits for the end of the one
before until it reads or writes anything that steps change; only matrices, which never change, are asked for earlier.
A kernel has ended when all of its programs have, each of which has waited: who waits for the kernel before has waited
for all that were before that, so buffers that are written again are safe as well as those that are read. What is
launched without this option waits for the whole end of the one before, as usual.
"""

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from jukebox.sampling.kernels.rules import INTERPRETED


def can_depend(device: torch.device) -> bool:
    """Whether kernels can begin early there; in the interpreter they cannot."""
    return device.type == "cuda" and not INTERPRETED and torch.cuda.get_device_capability(device)[0] >= 9


def launched(dependent: bool) -> dict[str, Any]:
    """The constant and the options of a launch that depends on the one before as above, or as usual."""
    return {"DEPENDENT": True, "launch_pdl": True} if dependent else {"DEPENDENT": False}


@triton.jit
@no_type_check
def wait_for_the_kernel_before(DEPENDENT: tl.constexpr):
    """Comes before all that a program reads or writes of what steps change; nothing where launches are as usual."""
    if DEPENDENT:
        gdc_launch_dependents()
        gdc_wait()


@triton.jit
@no_type_check
def ask_for(matrix, rows, last, BYTES: tl.constexpr, LINES: tl.constexpr):
    """Have the beginnings of some rows of a matrix brought into the L2 cache; nothing waits for that.

    Rows after the last are the last again, and so are lines of 128 bytes. An address outside would be a fault.
    """
    LAST: tl.constexpr = (BYTES - 1) // 128
    lines = tl.minimum(tl.arange(0, LINES), LAST)
    starts = tl.minimum(rows, last).to(tl.int64) * BYTES
    _prefetch(matrix.to(tl.int64, bitcast=True) + starts[:, None] + 128 * lines[None, :])


@triton.jit
@no_type_check
def _prefetch(places):
    tl.inline_asm_elementwise(
        "prefetch.global.L2 [$1]; mov.b32 $0, 0;", "=r,l", [places], dtype=tl.int32, is_pure=False, pack=1
    )
