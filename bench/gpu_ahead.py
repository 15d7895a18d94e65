"""Compiles what parts of `bench/gpu.py` launch, in many processes, before anything is measured; no card is touched.

    python bench/gpu_ahead.py --parts steps,songs --capability 9.0 --multiprocessors 132

Steps of modules on the meta device are made and their launches caught; each is compiled as the launch itself would be,
by the same call, and lies in Triton's cache then. One process needs a third of a second for a kernel, and there are
hundreds: on a card that is lent by the minute they are compiled by all cores at once.
"""

import argparse
import importlib
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
import triton
from gpu_models import bits_of, jukebox_of, song_cases
from gpu_report import PUBLISHED, Setting
from gpu_steps import Case, cases, config_of
from triton.backends.compiler import GPUTarget
from triton.runtime.jit import JITFunction, MockTensor

from jukebox.config import PriorConfig
from jukebox.engines import KERNELS, EngineSettings
from jukebox.nn.quantised import quantise
from jukebox.nn.unallocated import unallocated
from jukebox.prior.prior import Prior
from jukebox.sampling.fused import FusedStepper
from jukebox.sampling.generate import windows_at_once
from jukebox.sampling.kernels.layers import shares
from jukebox.sampling.persistent import MOST_ROWS, PersistentStepper
from jukebox.sampling.stepper import CacheBits


@dataclass(frozen=True)
class Launch:
    """A kernel and what it was launched with; of tensors only their types are kept, for they are aligned."""

    module: str
    name: str
    arguments: tuple[Any, ...]
    words: tuple[tuple[str, Any], ...]


@contextmanager
def caught() -> Iterator[dict[str, Launch]]:
    """Kernels are not run, but collected; each only once."""
    found, usual = dict[str, Launch](), JITFunction.run

    def run(kernel: Any, *arguments: Any, grid: object, warmup: bool, **words: Any) -> None:
        launch = Launch(
            kernel.fn.__module__, kernel.fn.__name__, tuple(map(_kept, arguments)),
            tuple((name, _kept(value)) for name, value in sorted(words.items())),
        )  # fmt: skip
        found.setdefault(repr(launch), launch)

    JITFunction.run = run  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield found
    finally:
        JITFunction.run = usual


class _Typed(MockTensor):
    """A tensor of which only the type matters, and that two of a type are the same."""

    def __repr__(self) -> str:
        return str(self.dtype)


def _kept(value: Any) -> Any:
    return _Typed(value.dtype) if isinstance(value, torch.Tensor) else value


def launches(parts: Sequence[str], engine: str, multiprocessors: int, *, smoke: bool = False) -> list[Launch]:
    """What steps and songs launch, of those that are among the parts."""
    setting = Setting(
        device=torch.device("cpu"), smoke=smoke, limits=PUBLISHED["H200"], ends_s=time.monotonic(), engine=engine
    )
    wanted: dict[Case, PriorConfig] = {}
    if "steps" in parts or "ways" in parts:
        wanted |= {case: config_of(case.name, smoke) for case in cases(smoke)}
    for song in song_cases(setting) if "songs" in parts else ():
        jukebox = jukebox_of(setting, song.request.model, EngineSettings(engine="graph", precision="float32"))
        for level in jukebox.plan(song.request).levels:
            config, slots = jukebox.model.level(level.level).config, windows_at_once(level, song.slots)
            name = song.request.model if config.upsampler is None else "upsampler"
            kept: CacheBits = 8 if slots >= 64 and engine != "persistent" else 16
            case = Case(
                name=name, precision=song.precision, bits=bits_of(song.precision, config), cache_bits=kept,
                slots=slots, way=engine,  # pyright: ignore[reportArgumentType]
            )  # fmt: skip
            wanted[case] = config
    with caught() as found:
        for case, config in wanted.items():
            _step(case, _short(config), multiprocessors)
    return list(found.values())


def _short(config: PriorConfig) -> PriorConfig:
    """The prior with a layer of each kind: others launch the same."""
    letters = "".join(dict.fromkeys(config.transformer.attention))
    return replace(config, transformer=replace(config.transformer, attention=letters))


@cache
def _prior(config: PriorConfig, bits: int) -> Prior:
    with unallocated():
        prior = Prior(config).to(torch.bfloat16).eval()
        if bits != 16:
            quantise(prior.transformer, 8 if bits == 8 else 4)
    return prior


def _step(case: Case, config: PriorConfig, multiprocessors: int) -> None:
    prior = _prior(config, case.bits)
    with unallocated(), torch.no_grad():
        if case.way == "persistent" and case.slots <= MOST_ROWS:
            programs = shares(case.slots, case.bits).programs * multiprocessors
            stepper: FusedStepper = PersistentStepper(prior, case.slots, programs=programs)
        else:
            dependent = case.way == "dependent"
            stepper = FusedStepper(prior, case.slots, cache_bits=case.cache_bits, dependent=dependent)
        stepper.step(stepper.table, 0, stepper.variant(0, False, False))


class _Driver:
    """In the place of Triton's own: says what is compiled for."""

    def __init__(self, capability: int) -> None:
        self._target = GPUTarget("cuda", capability, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_current_target(self) -> GPUTarget:
        return self._target


def compile_one(launch: Launch, capability: int) -> str | None:
    """Compile a kernel into the cache; gives what is wrong with it, None for nothing."""
    if not isinstance(triton.runtime.driver._active, _Driver):
        triton.runtime.driver.set_active(_Driver(capability))  # pyright: ignore[reportArgumentType]
    kernel = getattr(importlib.import_module(launch.module), launch.name)
    try:
        kernel.run(*launch.arguments, grid=(1,), warmup=True, **dict(launch.words))
    except Exception as error:
        return f"{launch.name}: {type(error).__name__}: {str(error)[:500]}; {dict(launch.words)}"
    return None


def main(arguments: Sequence[str] | None = None, show: Callable[[str], None] = print) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="steps,songs", metavar="LIST")
    parser.add_argument("--engine", choices=KERNELS, default="fused", help="that writes songs")
    parser.add_argument("--capability", type=float, default=9.0)
    parser.add_argument("--multiprocessors", type=int, default=132, help="of the card (default 132)")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--smoke", action="store_true", help="those of tiny shapes")
    options = parser.parse_args(arguments)
    began_s, capability = time.monotonic(), round(10 * options.capability)
    found = launches(options.parts.split(","), options.engine, options.multiprocessors, smoke=options.smoke)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.processes, mp_context=context) as pool:
        # The kernel of all layers takes longest.
        found.sort(key=lambda launch: launch.name != "layers_kernel")
        wrong = [each for each in pool.map(compile_one, found, len(found) * [capability]) if each is not None]
    for each in wrong:
        show(each)
    show(f"{len(found) - len(wrong)} kernels compiled in {time.monotonic() - began_s:.0f} s, {len(wrong)} were not")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
