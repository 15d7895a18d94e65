"""What lies between two stages of a step, by itself: kernels that begin early, and the barrier of a single kernel."""

from typing import no_type_check

import torch
import triton
import triton.language as tl
from gpu_clock import seconds_of

from jukebox.sampling.kernels.barrier import arrive, wait
from jukebox.sampling.kernels.dependent import can_depend, launched, wait_for_the_kernel_before


def early_seconds(device: torch.device, stages: int) -> float:
    """Of one of so many kernels of one program, each of which adds to what the one before left; captured on a card."""
    x, more = torch.zeros(1, device=device), launched(can_depend(device))

    def chain() -> None:
        for _ in range(stages):
            add_kernel[(1,)](x, **more)

    if device.type != "cuda":
        return seconds_of(chain, device, 1) / stages
    graph, replays = torch.cuda.CUDAGraph(), 0
    chain()
    with torch.cuda.graph(graph):
        chain()
    x.zero_()

    def replay() -> None:
        nonlocal replays
        graph.replay()
        replays += 1

    found = seconds_of(replay, device, 20) / stages
    if float(x) != replays * stages:
        raise RuntimeError(f"kernels that begin early lost a sum: {float(x)} in the place of {replays * stages}")
    return found


def barrier_seconds(device: torch.device, stages: int) -> float:
    """Of one barrier of all multiprocessors, in an even number of them; each reads what its neighbour wrote before."""
    programs, launches = torch.cuda.get_device_properties(device).multi_processor_count, 0
    x, barrier = torch.zeros(2, programs, device=device), torch.zeros(1, dtype=torch.int32, device=device)

    def launch() -> None:
        nonlocal launches
        barrier_kernel[(programs,)](x, barrier, stages, num_warps=8, launch_cooperative_grid=True)
        launches += 1

    found = seconds_of(launch, device, 20)
    if not bool((x[0] == launches * stages).all()):
        raise RuntimeError("a program went on before its neighbour had arrived")
    return found / stages


@triton.jit
@no_type_check
def add_kernel(x, DEPENDENT: tl.constexpr):
    """Add 1 when the kernel before has ended."""
    wait_for_the_kernel_before(DEPENDENT)
    tl.store(x, tl.load(x) + 1)


@triton.jit(do_not_specialize=["stages"])
@no_type_check
def barrier_kernel(x, barrier, stages):
    """At each stage a program's number becomes its neighbour's of the stage before, and 1 more."""
    program, programs = tl.program_id(0), tl.num_programs(0)
    for stage in range(0, stages):
        neighbour = tl.load(x + stage % 2 * programs + (program + 1) % programs)
        tl.store(x + (stage + 1) % 2 * programs + program, neighbour + 1)
        wait(barrier, arrive(barrier, program, programs))
