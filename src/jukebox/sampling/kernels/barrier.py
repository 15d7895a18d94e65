"""A barrier for all programs of a launch that run at the same time: none goes on before all have arrived.

It is 32 bits of memory, zero at first. Who arrives adds 1, and the first program as much more as flips the top bit once
all have: who waits, waits for that bit to be another than it was on arrival. So it needs no reset, and does not count
launches, of which a captured graph knows nothing. What a program wrote before it arrives is seen by all after they have
waited. One thread of each program does it, for hundreds that ask the same place would delay those who arrive.
"""

from typing import no_type_check

import triton
import triton.language as tl


@triton.jit
@no_type_check
def arrive(barrier, program, programs):
    """Say that a program has come here; to be given to `wait`. Between both it may do what concerns nobody else."""
    more = tl.where(program == 0, (1 - programs) ^ -0x80000000, 1)
    return tl.inline_asm_elementwise(
        """
        {
        .reg .pred first;
        .reg .b32 lane, before;
        bar.sync 0;
        mov.u32 lane, %tid.x;
        mov.b32 before, 0;
        setp.eq.u32 first, lane, 0;
        @first fence.acq_rel.gpu;
        @first atom.relaxed.gpu.global.add.u32 before, [$1], $2;
        mov.b32 $0, before;
        }
        """,
        "=r,l,r,~{memory}", [barrier.to(tl.int64, bitcast=True), more], dtype=tl.int32, is_pure=False, pack=1,
    )  # fmt: skip


@triton.jit
@no_type_check
def wait(barrier, arrived):
    """Go on when all programs have arrived; `arrived` is what `arrive` gave.

    Who has asked for more than half a minute (a place in L2, 2 ** 26 times) ends the launch with an error.
    """
    tl.inline_asm_elementwise(
        """
        {
        .reg .pred other, same, never;
        .reg .b32 lane, now, asked;
        mov.u32 lane, %tid.x;
        mov.u32 asked, 0;
        setp.ne.u32 other, lane, 0;
        @other bra all;
        again:
        add.u32 asked, asked, 1;
        setp.eq.u32 never, asked, 0x4000000;
        @never trap;
        ld.relaxed.gpu.global.u32 now, [$1];
        xor.b32 now, now, $2;
        setp.ge.s32 same, now, 0;
        @same bra again;
        fence.acq_rel.gpu;
        all:
        bar.sync 0;
        mov.b32 $0, 0;
        }
        """,
        "=r,l,r,~{memory}", [barrier.to(tl.int64, bitcast=True), arrived], dtype=tl.int32, is_pure=False, pack=1,
    )  # fmt: skip
