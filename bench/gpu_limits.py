"""Parts of `bench/gpu.py`: what the machine can do at most, and what the work needs at least."""

from collections.abc import Callable, Iterator

import torch
from gpu_report import Row, Setting, seconds_of

from jukebox.config import PriorConfig
from jukebox.prior.lyrics import TokenLayout
from jukebox.prior.patterns import of_layer
from jukebox.prior.runs import Runs
from jukebox.sampling.estimate import step_numbers

STAGES = 362
"""Dependent stages of a step of the released upsamplers: five for each of 72 layers, and two."""


def rows(setting: Setting) -> Iterator[Row]:
    """Copy, products and stages; each replaces the published number that the others are compared with."""
    limits, device, small = setting.limits, setting.device, setting.smoke

    def kept(name: str, work: Callable[[], float]) -> Callable[[], float]:
        def measure() -> float:
            value = work()
            setattr(limits, name, value)
            return value

        return measure

    def copy() -> float:
        count = 1 << (20 if small else 32)
        source, target = torch.ones(count, dtype=torch.uint8, device=device), torch.empty(0)
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

    yield Row(what="large copy, read + written", unit="B/s", measure=kept("copy_bytes", copy), higher=True)
    for name, what, work in (
        ("flops", "large products, bf16", lambda: product(torch.bfloat16)),
        ("float32_flops", "large products, float32", lambda: product(torch.float32)),
        ("flops8", "large products, 8-bit integers", product8),
    ):
        yield Row(what=what, unit="op/s", measure=kept(name, work), higher=True)
    how = "captured" if device.type == "cuda" else "not captured"
    yield Row(what=f"one of {STAGES} dependent stages, {how}", unit="s", measure=kept("stage_s", stage))


def step_bytes(config: PriorConfig, slots: int, bits: int, cache_bits: int) -> float:
    """What a step has to read on the average over a window: every matrix once, and of every slot what it sees."""
    transformer, prefix = config.transformer, TokenLayout.of(config).prefix
    head = TokenLayout.of(config).vocabulary * transformer.width
    matrices = step_numbers(config) - head
    # Steps: those of 8 bits are few, one for each output; in 4 there are two of 16 bits for each 128 inputs.
    stored = matrices * (bits / 8 + (4 / 128 if bits == 4 else 0)) + 2 * head
    positions = torch.arange(transformer.context)
    seen = 0.0
    for letters in transformer.layers:
        if letters == "X":
            assert config.lyrics is not None
            seen += config.lyrics.tokens
        else:
            for pattern in of_layer(letters, transformer, prefix):
                seen += float(Runs.of(pattern, transformer.context).count(positions).float().mean())
    return stored + slots * seen * 2 * transformer.attention_width * cache_bits / 8


def step_limit(setting: Setting, config: PriorConfig, slots: int, bits: int, cache_bits: int) -> tuple[float, float]:
    """Seconds of a step: by memory and arithmetic alone, and with what its stages cost."""
    least = setting.limits.seconds(step_bytes(config, slots, bits, cache_bits), 2.0 * step_numbers(config) * slots)
    stages = 5 * config.transformer.depth + 3
    return least, least + stages * setting.limits.stage_s
