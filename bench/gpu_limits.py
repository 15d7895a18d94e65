"""Part of `bench/gpu.py`: what the machine can do at most; what the work needs at least is in `sampling.limits`."""

from collections.abc import Callable, Iterator

import torch
from gpu_clock import seconds_of
from gpu_report import Row, Setting
from gpu_stages import barrier_seconds, early_seconds

from jukebox.config import PriorConfig
from jukebox.sampling import limits
from jukebox.sampling.persistent import MOST_ROWS

STAGES = 362
"""Dependent stages of a step of the released upsamplers: five for each of 72 layers, and two."""


def rows(setting: Setting) -> Iterator[Row]:
    """Copy, products and stages; each replaces the published number that the others are compared with."""
    found, device, small = setting.limits, setting.device, setting.smoke

    def kept(name: str, work: Callable[[], float]) -> Callable[[], float]:
        def measure() -> float:
            value = work()
            setattr(found, name, value)
            return value

        return measure

    def copy() -> float:
        count = 1 << (20 if small else 32)
        source = torch.randint(0, 256, (count,), dtype=torch.uint8, device=device)
        target = torch.empty_like(source)
        return 2 * count / seconds_of(lambda: target.copy_(source), device)

    def product(dtype: torch.dtype) -> float:
        size = 256 if small else 8192
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        return 2 * size**3 / seconds_of(lambda: a @ b, device)

    def product8() -> float:
        size = 256 if small else 8192
        a, b = (torch.randint(-127, 127, (size, size), device=device, dtype=torch.int8) for _ in range(2))
        return 2 * size**3 / seconds_of(lambda: torch._int_mm(a, b.t()), device)

    def stage() -> float:
        x = torch.zeros(1, device=device)

        def chain() -> None:
            for _ in range(STAGES):
                x.add_(1)

        if device.type != "cuda":
            return seconds_of(chain, device) / STAGES
        graph = torch.cuda.CUDAGraph()
        chain()
        with torch.cuda.graph(graph):
            chain()
        return seconds_of(graph.replay, device, 20) / STAGES

    yield Row(what="large copy, read + written", unit="B/s", measure=kept("copy_bytes", copy), higher=True,
              expected=found.copy_bytes)  # fmt: skip
    for name, what, work in (
        ("flops", "large products, bf16", lambda: product(torch.bfloat16)),
        ("float32_flops", "large products, float32", lambda: product(torch.float32)),
        ("flops8", "large products, 8-bit integers", product8),
    ):
        yield Row(what=what, unit="op/s", measure=kept(name, work), higher=True, expected=getattr(found, name))
    how = "captured" if device.type == "cuda" else "not captured"
    yield Row(what=f"one of {STAGES} dependent stages, {how}", unit="s", measure=kept("stage_s", stage),
              expected=found.stage_s)  # fmt: skip
    early = kept("early_s", lambda: early_seconds(device, STAGES))
    yield Row(what=f"the same in Triton, begun early, {how}", unit="s", measure=early, expected=found.early_s)
    barrier = kept("barrier_s", lambda: barrier_seconds(device, STAGES)) if device.type == "cuda" else None
    yield Row(what="one barrier of all multiprocessors", unit="s", measure=barrier, expected=found.barrier_s,
              reason="the interpreter runs programs one after the other")  # fmt: skip


def step_limit(
    setting: Setting, config: PriorConfig, slots: int, bits: int, cache_bits: int, engine: str = "fused"
) -> tuple[float, float]:
    """Seconds of a step: by memory and arithmetic alone; and with what its stages cost in an engine.

    As if nothing of a stage's reading overlapped with what lies before it, though `dependent` and `persistent` ask for
    the next matrix meanwhile: these may come as near to the limit as what they ask for is read.
    """
    least, expected = limits.step_limit(card_limits(setting), config, slots, bits, cache_bits)
    stages, found = 5 * config.transformer.depth, setting.limits
    if engine == "dependent":
        return least, least + (stages + 3) * found.early_s
    if engine == "persistent" and slots <= MOST_ROWS:
        return least, least + stages * found.barrier_s + 4 * found.stage_s
    return least, expected


def card_limits(setting: Setting) -> limits.CardLimits:
    """What `jukebox generate --estimate` uses."""
    found = setting.limits
    return limits.CardLimits(copy_bytes=found.copy_bytes, flops=found.flops, stage_s=found.stage_s)
