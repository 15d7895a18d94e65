"""Name and shape of every parameter of a model, from its configuration alone: nothing is allocated."""

import functools
from collections.abc import Mapping
from types import MappingProxyType

from jukebox.config import PriorConfig, VqvaeConfig
from jukebox.nn.unallocated import unallocated
from jukebox.prior.prior import Prior
from jukebox.vqvae.vqvae import VQVAE

ModelConfig = VqvaeConfig | PriorConfig


@functools.lru_cache(maxsize=8)
def shapes(config: ModelConfig) -> Mapping[str, tuple[int, ...]]:
    """Name and shape of everything that `model.safetensors` holds for this configuration.

    Matrices of linear layers are [out, in], convolutions [out, in, kernel], transposed ones [in, out, kernel].
    """
    with unallocated():
        module = VQVAE(config) if isinstance(config, VqvaeConfig) else Prior(config)
    return MappingProxyType({name: tuple(tensor.shape) for name, tensor in module.state_dict().items()})
