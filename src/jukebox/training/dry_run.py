"""What a run would take, before it takes it: parameters, memory, speed; and the refusal of what will not fit."""

import time
from collections.abc import Callable
from threading import Event

import torch

from jukebox.errors import TrainingError
from jukebox.nn.memory import free_host_bytes, size_text, whole_host_bytes
from jukebox.training.loop import Trainer
from jukebox.training.memory import Memory
from jukebox.training.recipe import Recipe
from jukebox.training.source import share

PROBE_STEPS = 10


def report(memory: Memory, recipe: Recipe, devices: int) -> str:
    """The memory as lines for people."""
    run = recipe.run
    blocks = "blocks computed again" if run.recompute else "everything kept"
    shares = f"sharded over {devices} devices" if devices > 1 else "one device"
    parts = ("weights", "gradients", "moments", "average", "activations", "workspace")
    lines = [
        f"parameters  {memory.parameters / 1e6:.1f} M, {memory.trained / 1e6:.1f} M of them trained",
        f"memory      {size_text(memory.total)} on each device: {run.precision}, {blocks}, {shares}",
        *(f"  {name:<12}{size_text(getattr(memory, name))}" for name in parts),
    ]
    return "\n".join(lines)


def refuse_too_large(memory: Memory, available: int, where: str) -> None:
    """Raise TrainingError where a run would not fit."""
    if memory.total > available:
        raise TrainingError(
            f"The run takes {size_text(memory.total)} on each device and {where} has {size_text(available)}: set "
            "run.recompute=true, a smaller run.micro_batch or run.precision=bfloat16, or share it with torchrun."
        )


def available_bytes(device: torch.device) -> int:
    """What a device has for a run: all memory of a GPU, what is free of the machine's."""
    return whole_bytes(device) if device.type == "cuda" else _known(free_host_bytes())


def whole_bytes(device: torch.device) -> int:
    """All memory of a device, or of the machine: a run that takes more cannot be made there, whatever else runs."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return _known(whole_host_bytes())


def _known(count: int | None) -> int:
    """A system that does not say refuses nothing."""
    return 1 << 62 if count is None else count


def probe(trainer: Trainer, clock: Callable[[], float] = time.perf_counter) -> str:
    """Ten steps of the run as it would be; nothing of them is kept. The first one, which warms up, is not counted."""
    run, workers, source = trainer.run, trainer.workers, trainer.sources.training
    start_s = 0.0
    for step in range(PROBE_STEPS + 1):
        own = share(step, run.batch, workers.rank, workers.count)
        items = [source.take(index) for index in own]
        if step == 0:
            trainer.prepare(items)
        trainer.one_step(items, own.start, Event(), None)
        if workers.device.type == "cuda":
            torch.cuda.synchronize()
        if step == 0:
            start_s = clock()
    spent_s = (clock() - start_s) / PROBE_STEPS
    unit, per_window = trainer.task.units
    rate = per_window * run.batch / spent_s
    hours = spent_s * run.steps / 3600
    text = f"speed       {rate:.0f} {unit}/s, {spent_s:.3g} s a step in {PROBE_STEPS} steps; all {run.steps} steps: "
    text += f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.1f} minutes"
    if workers.device.type == "cuda":
        text += f"\npeak        {size_text(torch.cuda.max_memory_allocated())} on this device"
    return text
