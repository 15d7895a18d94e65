"""Which engine writes a level, in which precision: chosen by the device where nobody says otherwise."""

import contextlib
import copy
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from jukebox.config import Config, PriorConfig
from jukebox.config.base import require
from jukebox.errors import ConfigError, DeviceError
from jukebox.native.library import library
from jukebox.nn.host import keep_on_host
from jukebox.nn.quantised import Bits
from jukebox.prior.prior import Prior
from jukebox.sampling.engine import Engine
from jukebox.sampling.engines import engine_for
from jukebox.sampling.graph import GraphEngine
from jukebox.sampling.placement import Place
from jukebox.sampling.reference import ReferenceEngine
from jukebox.sampling.stepper import CacheBits, PlainStepper

ENGINES = ("auto", "reference", "processor", "native", "graph", "fused", "dependent", "persistent")
HOST = ("native", "processor")
"""Those for processors."""
_HOST_PRECISIONS = {"native": ("float32", "int8", "int4"), "processor": ("float32",)}
KERNELS = ("fused", "dependent", "persistent")
"""Those of Triton's kernels."""
Precision = Literal["auto", "float32", "bfloat16", "int8", "int4"]
PRECISIONS = ("auto", "float32", "bfloat16", "int8", "int4")

# From so many slots on caches are read as much as matrices are.
_SLOTS_WITH_SMALL_CACHES = 64


@dataclass(frozen=True, kw_only=True)
class EngineSettings(Config):
    """How codes are computed. Other engines round otherwise; fewer bits cost what `docs/gpu.md` says.

    Args:
        engine: `reference`: step by step; `processor`: the same in few operations, for priors in float32 on a CPU;
            `native`: the same in C, which is compiled where it runs, with matrices in few bits too; `graph`: the steps
            of the first, captured; `fused`: Triton's kernels, captured; `dependent`: the same, each of which begins
            while the one before still runs; `persistent`: for up to 16 rows of a step one kernel for all layers, for
            more as `fused`. `auto`: the fastest that can be used, the last two left out until they have been measured.
        precision: of matrices. Usual are the bits of the model's files where they are few and a fast engine takes them,
            else `bfloat16` on a GPU and `float32` elsewhere; `int4` keeps the top prior in 4 bits, the others in 8.
        cache_bits: of keys and values: 8, or 16 for the type of the prior; None for 8 where the fused engine has 64
            slots or more.
    """

    engine: Literal["auto", "reference", "processor", "native", "graph", "fused", "dependent", "persistent"] = "auto"
    precision: Precision = "auto"
    cache_bits: Literal[8, 16] | None = None

    def __post_init__(self) -> None:
        require(self.engine in ENGINES, self, "engine", f"one of {', '.join(ENGINES)}")
        require(self.precision in PRECISIONS, self, "precision", f"one of {', '.join(PRECISIONS)}")
        require(self.cache_bits in (None, 8, 16), self, "cache_bits", "8 or 16")

    def on(self, device: torch.device, config: PriorConfig) -> "EngineSettings":
        """The same with everything decided, but for the bits of caches.

        Raises:
            ConfigError: an engine is asked for by name that cannot be used.
        """
        # Cards before Ampere have no bfloat16: they compute in float32, by plain steps.
        gpu, precision = device.type == "cuda" and _has_bfloat16(device), self.precision
        if precision == "auto":
            stored: dict[int | None, Precision] = {None: "bfloat16", 8: "int8", 4: "int4"}
            compiled = config.matrix_bits is not None and device.type == "cpu" and library() is not None
            precision = stored[config.matrix_bits] if gpu or compiled else "float32"
        if precision == "int4" and config.upsampler is not None:
            precision = "int8"
        engine, reason = self.engine, _no_kernels(config, self.engine == "persistent")
        if engine == "auto":
            host = "processor" if precision == "float32" else "reference"
            host = "native" if precision in _HOST_PRECISIONS["native"] and library() is not None else host
            engine = "fused" if gpu and reason is None else "graph" if device.type == "cuda" else host
        if engine in KERNELS and device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
            raise ConfigError(f"The {engine} engine runs on a GPU, not on {device}; leave it out.")
        if engine in KERNELS and reason is not None:
            raise ConfigError(f"The {engine} engine cannot be used: {reason}; use graph or leave it out.")
        if engine == "dependent" and device.type == "cuda" and (found := _capability(device)) < 9:
            raise ConfigError(
                f"The dependent engine needs a card of compute capability 9 or more, {device} has {found}; use fused "
                "or leave it out."
            )
        if self.cache_bits == 8 and engine not in ("fused", "dependent"):
            raise ConfigError("Caches of 8 bits are the fused engine's; leave them out or use that.")
        if engine in HOST and (device.type != "cpu" or precision not in _HOST_PRECISIONS[engine]):
            known = ", ".join(_HOST_PRECISIONS[engine])
            raise ConfigError(
                f"The {engine} engine computes in {known} on a CPU, not in {precision} on {device}; leave it out."
            )
        if engine == "native" and library() is None:
            raise ConfigError(
                "The native engine needs a C compiler that works (cc, gcc, clang, or what CC names), and found none; "
                "install one or leave it out."
            )
        return replace(self, engine=engine, precision=precision)

    def dtype(self, device: torch.device) -> torch.dtype:
        """The type of everything but matrices in few bits, once `precision` is decided: 16 bits where they are fast."""
        fast = device.type == "cuda" and _has_bfloat16(device)
        exact = self.precision == "float32" or (not fast and self.precision != "bfloat16")
        return torch.float32 if exact else torch.bfloat16

    @property
    def bits(self) -> Bits | None:
        """Of the transformer's matrices where they are few."""
        return 8 if self.precision == "int8" else 4 if self.precision == "int4" else None

    def caches(self, slots: int) -> CacheBits:
        """Bits of keys and values for so many slots; everything else is decided."""
        if self.cache_bits is not None:
            return self.cache_bits
        small = self.engine in KERNELS and self.precision != "float32" and slots >= _SLOTS_WITH_SMALL_CACHES
        return 8 if small else 16


def prepared(prior: Prior, settings: EngineSettings, device: torch.device, place: Place = "device") -> Prior:
    """A prior, in the types in which it is stored, on a device in the decided precision, in place.

    Matrices are reduced there one at a time. For a processor's engine they stay as they are stored: it packs them.
    """
    prior.reduce(settings.bits, device)
    dtype = settings.dtype(device)
    if settings.engine in HOST:
        # These pack matrices as they are stored, one at a time: all of them in float32 may have no room.
        for module in prior.modules():
            for name, parameter in module.named_parameters(recurse=False):
                if not (isinstance(module, nn.Linear) and name == "weight"):
                    parameter.data = parameter.data.to(device, dtype)
        return prior
    if place == "streamed":
        # Types first: what stays on the host is not converted later.
        prior.to(dtype=dtype)
        keep_on_host(prior.transformer)
    return prior.to(device, dtype)


def copied(prior: Prior, device: torch.device) -> Prior:
    """A prior on another device that shares nothing with it; on the CPU in memory that a GPU copies from fast."""
    pin = device.type == "cpu" and torch.cuda.is_available()

    def moved(tensor: torch.Tensor) -> torch.Tensor:
        there = tensor.detach().to(device, non_blocking=True, copy=True)
        return there.pin_memory() if pin else there

    twins: dict[int, object] = {}
    for tensor in [*prior.parameters(), *prior.buffers()]:
        is_parameter = isinstance(tensor, nn.Parameter)
        twins[id(tensor)] = nn.Parameter(moved(tensor), requires_grad=False) if is_parameter else moved(tensor)
    return copy.deepcopy(prior, twins)


def make_engine(prior: Prior, slots: int, settings: EngineSettings) -> Engine:
    """An engine of the decided kind for a prepared prior."""
    if settings.engine == "reference":
        return ReferenceEngine(prior, slots)
    if settings.engine in HOST:
        return engine_for(prior, slots, native=settings.engine == "native")
    if settings.engine == "graph":
        return GraphEngine(PlainStepper(prior, slots))
    from jukebox.sampling.fused import FusedStepper
    from jukebox.sampling.kernels.dependent import can_depend
    from jukebox.sampling.persistent import MOST_ROWS, PersistentStepper

    if settings.engine == "persistent" and slots <= MOST_ROWS:
        return GraphEngine(PersistentStepper(prior, slots))
    dependent = settings.engine == "dependent" and can_depend(prior.token_embedding.weight.device)
    return GraphEngine(FusedStepper(prior, slots, cache_bits=settings.caches(slots), dependent=dependent))


def _capability(device: torch.device) -> int:
    return torch.cuda.get_device_capability(device)[0]


def _has_bfloat16(device: torch.device) -> bool:
    return _capability(device) >= 8


def _no_kernels(config: PriorConfig, at_once: bool) -> str | None:
    """Why fused kernels, or one for all layers, cannot be used for a prior; None where they can."""
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed (pip install 'jukebox[gpu]')"
    from jukebox.sampling.fused import unsupported
    from jukebox.sampling.persistent import unsupported_at_once

    lacks = unsupported_at_once(config) if at_once else unsupported(config)
    return None if lacks is None else f"its kernels do not compute {lacks}"


# What PyTorch and Triton say of a device that is gone.
_LOST = ("CUDA error", "Error [CUDA]", "CUDA driver", "device-side assert", "cuDNN error")


@contextlib.contextmanager
def device_errors(folder: Path | None) -> Iterator[None]:
    """A device without room or gone becomes one sentence that says how to go on; `folder` is the session's.

    Raises:
        DeviceError: in place of PyTorch's own errors of devices; all others pass.
    """
    then = "" if folder is None else f" What was written is in {folder}; go on with: jukebox continue {folder}."
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            "The device has no room left for this work; give fewer --slots, a --precision of fewer bits, or --device "
            f"cpu.{then}"
        ) from error
    except RuntimeError as error:
        # PyTorch's own kind for this is newer than the oldest version that we work with; both say these words.
        if not any(sign in str(error) for sign in _LOST):
            raise
        reason = str(error).splitlines()[0]
        raise DeviceError(
            f"The device is lost ({reason}); start again, on another one with --device or on the processor.{then}"
        ) from error
