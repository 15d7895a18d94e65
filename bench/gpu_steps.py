"""Parts of `bench/gpu.py`: the time of a step by prior, slots, precision and engine; other divisions of products."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from gpu_clock import seconds_of
from gpu_limits import step_limit
from gpu_report import Row, Setting
from torch import nn

from jukebox import presets
from jukebox.config import PriorConfig
from jukebox.nn.memory import size_text
from jukebox.nn.quantised import Linear4, Linear8, quantise
from jukebox.nn.unallocated import unallocated
from jukebox.prior.prior import Prior
from jukebox.sampling.fused import FusedStepper
from jukebox.sampling.graph import GraphEngine
from jukebox.sampling.kernels import linear
from jukebox.sampling.kernels.dependent import can_depend
from jukebox.sampling.kernels.layers import Shares, shares
from jukebox.sampling.kernels.linear import Matrix, Tiling
from jukebox.sampling.persistent import PersistentStepper
from jukebox.sampling.placement import need
from jukebox.sampling.stepper import CacheBits, PlainStepper, Stepper

PRIORS = {
    "5b_lyrics": "5b_lyrics/prior_level_2",
    "1b_lyrics": "1b_lyrics/prior_level_2",
    "upsampler": "5b/prior_level_0",
}
SLOTS = (1, 4, 16, 64, 256)
PRECISIONS: tuple[tuple[str, int, CacheBits], ...] = (
    ("bf16", 16, 16), ("8 bit", 8, 16), ("4 bit", 4, 16), ("8 bit, caches 8", 8, 8),
)  # fmt: skip

Way = Literal["eager", "graph", "fused", "dependent", "persistent"]
WAYS = {"fused": "", "dependent": ", begun early", "persistent": ", one kernel"}
"""What is added to the name of a step by an engine of kernels."""


def config_of(name: str, smoke: bool) -> PriorConfig:
    """The released prior; in a smoke test one with its letters and what it is conditioned on, as small as can be."""
    config = presets.part_config(PRIORS[name])
    assert isinstance(config, PriorConfig)
    if not smoke:
        return config
    lyrics = config.lyrics
    if lyrics is not None:
        encoder = lyrics.encoder and replace(lyrics.encoder, context=8, width=16, attention="RCP", heads=2, rows=2)
        lyrics = replace(lyrics, tokens=8, encoder=encoder, alignment_layer=None, alignment_head=None)
    joint = lyrics is not None and lyrics.encoder is None
    transformer = replace(
        config.transformer, context=64 + 8 * joint, width=16, rows=8, attention_ratio=0.5,
        attention="".join(dict.fromkeys(config.transformer.attention)),
    )  # fmt: skip
    upsampler = config.upsampler and replace(config.upsampler, width=8, depth=2)
    return replace(config, codebook_size=64, transformer=transformer, lyrics=lyrics, upsampler=upsampler)


def random_prior(config: PriorConfig, device: torch.device, dtype: torch.dtype, bits: int) -> Prior:
    """A prior with random weights, made where they are needed; every output has the size of its input, about."""
    with unallocated():
        prior = Prior(config)
    prior = prior.to(dtype).to_empty(device=device).eval()
    generator = torch.Generator(device).manual_seed(0)
    with torch.no_grad():
        for name, parameter in prior.named_parameters():
            if "norm.weight" in name:
                parameter.fill_(1.0)
            elif parameter.ndim < 2:
                parameter.zero_()
            else:
                fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
                scale = 0.3 if "embedding" in name else 0.3 * fan_in**-0.5
                parameter.normal_(0.0, scale, generator=generator)
    prior.requires_grad_(False)
    if bits != 16:
        quantise(prior.transformer, 8 if bits == 8 else 4)
    return prior


def dtype_of(setting: Setting) -> torch.dtype:
    return torch.float32 if setting.device.type == "cpu" else torch.bfloat16


def stepper_of(prior: Prior, slots: int, cache_bits: CacheBits, way: Way, divide: Shares | None) -> Stepper:
    """What makes steps in some way; on a CPU kernels do not begin early."""
    if way == "persistent":
        return PersistentStepper(prior, slots, divide=divide)
    if way in ("fused", "dependent"):
        dependent = way == "dependent" and can_depend(prior.token_embedding.weight.device)
        return FusedStepper(prior, slots, cache_bits=cache_bits, dependent=dependent)
    return PlainStepper(prior, slots)


def step_seconds(
    setting: Setting, prior: Prior, slots: int, cache_bits: CacheBits, way: Way, divide: Shares | None = None
) -> float:
    """Median time of a step in the middle of a window, in launches of as many steps as the engine makes at most."""
    stepper, config = stepper_of(prior, slots, cache_bits, way, divide), prior.config
    engine = GraphEngine(stepper, capture=False if way == "eager" else None)
    table, half = stepper.table, config.transformer.context // 2
    places = torch.arange(slots, device=setting.device)[:, None]
    table.positions[:] = places % 64 + half - 64 if half > 64 else half
    table.moves[:], table.noisy[:] = 1, 1.0
    count = 1 if setting.smoke else stepper.launches[0] if way != "eager" else 4
    start = table.positions.clone()

    def work() -> None:
        table.positions.copy_(start)
        engine._launch(count, stepper.variant(half + 64 + count, False, False))

    with torch.no_grad():
        return seconds_of(work, setting.device, 1 if setting.smoke else 7) / count


class Priors:
    """The prior that was asked for last: the next row may want it again."""

    def __init__(self, setting: Setting) -> None:
        self._setting, self._kept = setting, dict[tuple[str, int], Prior]()

    def __call__(self, name: str, bits: int) -> Prior:
        if (name, bits) not in self._kept:
            self._kept.clear()
            if self._setting.device.type == "cuda":
                torch.cuda.empty_cache()
            config = config_of(name, self._setting.smoke)
            self._kept[name, bits] = random_prior(config, self._setting.device, dtype_of(self._setting), bits)
        return self._kept[name, bits]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A step: of which prior, in which precision, of how many slots, in which way."""

    name: str
    precision: str
    bits: int
    cache_bits: CacheBits
    slots: int
    way: Way


def cases(smoke: bool) -> Iterator[Case]:
    """Every prior in every precision with every number of slots, by the fused engine.

    One slot comes first, by all engines of kernels, for there they differ most; `ways` compares them at 16.
    """
    slots_of = (1, 2) if smoke else SLOTS
    for some in (slots_of[:1], slots_of[1:]):
        for name, (precision, bits, cache_bits), slots in itertools.product(PRIORS, PRECISIONS, some):
            upsampler = config_of(name, smoke).upsampler is not None
            if bits == 4 and (upsampler or slots > 16):
                continue  # matrices are a small part of what is read then
            if cache_bits == 8 and slots < 64 and not smoke:
                continue
            way: Way
            for way in WAYS:
                if way == "fused" or (slots <= (2 if smoke else 1) and (way != "persistent" or cache_bits == 16)):
                    yield Case(name=name, precision=precision, bits=bits, cache_bits=cache_bits, slots=slots, way=way)


def rows(setting: Setting) -> Iterator[Row]:
    """All `cases`."""
    priors = Priors(setting)
    for case in cases(setting.smoke):
        config, bits, slots = config_of(case.name, setting.smoke), case.bits, case.slots
        # Of one slot, for each costs a second; others have as much each.
        one = need(config, 1, torch.bfloat16, None if bits == 16 else 8 if bits == 8 else 4, case.cache_bits)
        weights, state = one.weights, slots * one.state
        free = (
            torch.cuda.get_device_properties(setting.device).total_memory if setting.device.type == "cuda" else 1 << 62
        )
        # While the prior is made its matrices are there in 16 bits.
        fits = (1.1 if bits == 16 else 2.2) * weights + state < free
        least, expected = step_limit(setting, config, slots, bits, case.cache_bits, case.way)

        def measure(case: Case = case) -> float:
            prior = priors(case.name, case.bits)
            found = step_seconds(setting, prior, case.slots, case.cache_bits, case.way)
            if case.way == "fused":
                setting.steps[case.name, case.slots, case.precision] = found
            return 1e3 * found

        yield Row(
            what=f"{case.name}, {slots} slots, {case.precision}{WAYS[case.way]}", unit="ms per step",
            measure=measure if fits else None, limit=1e3 * least, expected=1e3 * expected, needs_s=20,
            reason=None if fits else f"needs {size_text(weights + state)}",
        )  # fmt: skip


def ways(setting: Setting) -> Iterator[Row]:
    """The same steps eager, captured, and by kernels."""
    for name, slots in itertools.product(("upsampler", "1b_lyrics"), (1, 2) if setting.smoke else (1, 16)):
        config = config_of(name, setting.smoke)
        way: Way
        for way in ("eager", "graph", *WAYS):
            least, expected = step_limit(setting, config, slots, 16, 16, way)

            def measure(config: PriorConfig = config, slots: int = slots, way: Way = way) -> float:
                # A prior for each: a plain step packs it.
                prior = random_prior(config, setting.device, dtype_of(setting), 16)
                return 1e3 * step_seconds(setting, prior, slots, 16, way)

            yield Row(
                what=f"{name}, {slots} slots, {way}", unit="ms per step", limit=1e3 * least, needs_s=25,
                expected=1e3 * expected if way in WAYS else None, measure=measure,
            )  # fmt: skip


def tune(setting: Setting) -> Iterator[Row]:
    """Steps by one kernel and products of the released shapes, divided otherwise than usual.

    Products are of several copies, so that no cache holds them.
    """
    yield from _tune_shares(setting)
    shapes = ((32, 48),) if setting.smoke else ((4800, 3600), (4800, 4800), (1920, 1440), (1920, 1920), (480, 1920))
    divisions = (Tiling(rows=16, outer=16, inner=32),) if setting.smoke else tuple(
        Tiling(rows=rows, outer=outer, inner=inner, warps=warps, stages=stages)
        for rows, inners in ((1, (256, 512, 1024)), (16, (64, 128, 256)))
        for outer, inner, warps, stages in itertools.product((16, 32, 64), inners, (4, 8), (3, 5))
    )  # fmt: skip
    for (inner, outer), bits in itertools.product(shapes, (16, 8, 4)):
        copies = 2 if setting.smoke else max(4, int(300e6 / (inner * outer * bits / 8)))
        matrices = [_matrix(setting, inner, outer, bits) for _ in range(copies)]
        x = torch.randn(1, inner, device=setting.device, dtype=dtype_of(setting))
        limit = 1e6 * inner * outer * bits / 8 / setting.limits.copy_bytes
        usual = linear.tiling(1, matrices[0])
        found: dict[Tiling, float] = {}
        for tiling in dict.fromkeys((usual, *divisions)):

            def measure(
                tiling: Tiling = tiling, matrices: list[Matrix] = matrices, x: torch.Tensor = x,
                found: dict[Tiling, float] = found,
            ) -> float:  # fmt: skip
                found[tiling] = 1e6 * _product_seconds(setting, x, matrices, tiling)
                return found[tiling]

            yield Row(
                what=f"{inner} to {outer}, {bits} bits, {tiling}", unit="us", measure=measure, limit=limit, needs_s=3
            )


def _tune_shares(setting: Setting) -> Iterator[Row]:
    priors = Priors(setting)
    for name, bits, slots in itertools.product(("upsampler", "5b_lyrics"), (16, 8), (1, 16)):
        usual = shares(slots, bits)
        tried = [
            Shares(programs=programs, warps=warps, loads=loads, numbers=numbers, inner=usual.inner)
            for programs, warps in ((1, 4), (1, 8), (2, 4))
            for loads, numbers in itertools.product((3, 4, 6), (8192, 16384) if slots == 1 else (4096, 8192))
            if not setting.smoke
        ]
        for divide in dict.fromkeys((usual, *tried)):
            least, _ = step_limit(setting, config_of(name, setting.smoke), slots, bits, 16, "persistent")

            def measure(name: str = name, bits: int = bits, slots: int = slots, divide: Shares = divide) -> float:
                return 1e3 * step_seconds(setting, priors(name, bits), slots, 16, "persistent", divide)

            yield Row(what=f"{name}, {slots} slots, {bits} bits, {divide}", unit="ms per step", measure=measure,
                      limit=1e3 * least, needs_s=10)  # fmt: skip


def _matrix(setting: Setting, inner: int, outer: int, bits: int) -> Matrix:
    made: nn.Module = nn.Linear(inner, outer, device=setting.device, dtype=dtype_of(setting))
    assert isinstance(made, nn.Linear)
    return Matrix.of(made if bits == 16 else Linear8(made) if bits == 8 else Linear4(made))


def _product_seconds(setting: Setting, x: torch.Tensor, matrices: list[Matrix], tiling: Tiling) -> float:
    out = torch.zeros(1, matrices[0].outer, device=setting.device)

    def chain() -> None:
        for matrix in matrices:
            linear.linear(x, matrix, out, x.dtype, divide=tiling)

    run: Callable[[], Any] = chain
    if setting.device.type == "cuda":
        chain()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            chain()
        run = graph.replay
    return seconds_of(run, setting.device, 3) / len(matrices)
