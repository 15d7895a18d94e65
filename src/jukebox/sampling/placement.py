"""Where the priors of a model are kept while songs are written: decided from sizes before anything is loaded."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from jukebox.config import PriorConfig
from jukebox.errors import DeviceError
from jukebox.nn.memory import check_free, module_bytes, size_text
from jukebox.nn.quantised import Bits
from jukebox.nn.unallocated import unallocated
from jukebox.prior.prior import Prior
from jukebox.sampling.stepper import CacheBits

Place = Literal["device", "host", "streamed"]
"""Kept on the device; moved there when its turn comes; read over the bus for every step."""

# What the device needs besides: PyTorch's and the driver's own, workspaces, a chunk of a window that is read.
_OTHER_BYTES = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Need:
    """Memory that one prior needs on a device.

    Args:
        weights: bytes of its parameters, all of them.
        matrices: those of its transformer, which can be streamed.
        largest: one matrix.
        state: bytes of caches and conditions of all slots.
    """

    weights: int
    matrices: int
    largest: int
    state: int


@functools.lru_cache(maxsize=64)
def need(
    config: PriorConfig, slots: int, dtype: torch.dtype, bits: Bits | Literal[16] | None, cache_bits: CacheBits = 16
) -> Need:
    """What a prior needs in a type, with matrices in so many bits where given; nothing is allocated."""
    with unallocated():
        prior = Prior(config).to(dtype)
        state = prior.empty_state(slots)
        if bits != 16:
            prior.reduce(bits)
        else:
            for linear in (each for each in prior.transformer.modules() if isinstance(each, nn.Linear)):
                linear.weight.data = linear.weight.data.half()
    matrices = [module_bytes(module) for module in prior.transformer.modules() if not list(module.children())]
    caches = sum(
        _cache_bytes(cache, cache_bits if letters != "X" else 16)
        for letters, layer in zip(config.transformer.layers, state.transformer.caches, strict=True)
        for cache in layer
    )
    conditions = [tensor for tensor in vars(state.conditioning).values() if tensor is not None]
    return Need(
        weights=module_bytes(prior),
        matrices=sum(matrices),
        largest=max(matrices),
        state=caches + sum(tensor.nbytes for tensor in conditions),
    )


def places(needs: Mapping[int, Need], free_bytes: int) -> dict[int, Place]:
    """Where the prior of each level is kept, so that each level can be written in its turn.

    All stay on the device where there is room for all; otherwise each is moved there for its level; one that does not
    fit even alone is streamed.

    Raises:
        DeviceError: not even that fits.
    """
    room = free_bytes - _OTHER_BYTES
    if sum(each.weights for each in needs.values()) + max(each.state for each in needs.values()) <= room:
        return dict.fromkeys(needs, "device")
    found: dict[int, Place] = {}
    for level, each in needs.items():
        # A matrix on its way, and the one that is computed with.
        streamed = each.weights - each.matrices + each.state + 2 * each.largest
        if each.weights + each.state <= room:
            found[level] = "host"
        elif streamed <= room:
            found[level] = "streamed"
        else:
            raise DeviceError(
                f"The prior of level {level} needs {size_text(streamed + _OTHER_BYTES)} even if its matrices stay in "
                f"the host's memory, and {size_text(free_bytes)} are free on the device; give fewer --slots or a "
                "--precision of fewer bits."
            )
    return found


def check_room(level: int, need: Need, free_bytes: int | None) -> None:
    """Raise DeviceError where the prior of a level with its slots is larger than what is free of a machine's memory."""
    check_free(
        f"The prior of level {level} needs", need.weights + need.state, free_bytes,
        "close other programs, give fewer --slots, or name a smaller --model",
    )  # fmt: skip


def _cache_bytes(cache: Tensor, bits: CacheBits) -> int:
    # In 8 bits: a byte for each number, and a scale in float32 for each key and value of each head.
    return cache.nbytes if bits == 16 else cache.numel() + 4 * cache[..., 0].numel()
