"""Name and shape of every parameter of a model, from its configuration alone: nothing is allocated."""

import functools
from collections.abc import Mapping
from types import MappingProxyType

import torch

from jukebox.config import PriorConfig, TransformerConfig, UpsamplerConfig, VqvaeConfig
from jukebox.vqvae.vqvae import VQVAE

ModelConfig = VqvaeConfig | PriorConfig


@functools.lru_cache(maxsize=8)
def shapes(config: ModelConfig) -> Mapping[str, tuple[int, ...]]:
    """Name and shape of everything that `model.safetensors` holds for this configuration."""
    return MappingProxyType(vqvae_shapes(config) if isinstance(config, VqvaeConfig) else prior_shapes(config))


def vqvae_shapes(config: VqvaeConfig) -> dict[str, tuple[int, ...]]:
    """Parameters and buffers of the VQ-VAE."""
    with torch.device("meta"):
        module = VQVAE(config)
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def prior_shapes(config: PriorConfig) -> dict[str, tuple[int, ...]]:
    """Parameters of a prior; matrices of linear layers are [out, in]."""
    width = config.transformer.width
    prefixed = config.lyrics is not None and config.lyrics.encoder is None
    vocabulary = config.codebook_size + (config.lyrics.vocabulary if config.lyrics and prefixed else 0)
    found = _decoder_stack("", vocabulary, config.transformer)
    if config.labels is None:
        found["start_token"] = (1, width)
    else:
        found |= {
            "labels.artist.weight": (config.labels.artists, width),
            "labels.genre.weight": (config.labels.genres, width),
        }
        if config.labels.timing_bins is not None:
            for clock in ("total_length", "absolute_position", "relative_position"):
                found[f"labels.{clock}.weight"] = (config.labels.timing_bins, width)
    if not config.tied_output:
        found["output.weight"] = (vocabulary, width)
    if config.upsampler is not None:
        found |= _upsampler(config.upsampler, config.codebook_size, width)
    if config.lyrics is not None and config.lyrics.encoder is not None:
        encoder = config.lyrics.encoder
        found |= _decoder_stack("lyrics_encoder.", config.lyrics.vocabulary, encoder)
        found["lyrics_encoder.start_token"] = (1, encoder.width)
        found |= _linear("lyrics_encoder.projection", encoder.width, width)
        found |= _norm("lyrics_encoder.norm", width)
        found["lyrics_encoder.output.weight"] = (config.lyrics.vocabulary, width)
    return found


def _linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _decoder_stack(prefix: str, vocabulary: int, config: TransformerConfig) -> dict[str, tuple[int, ...]]:
    """Embeddings and layers of one transformer."""
    width, inner = config.width, config.attention_width
    found: dict[str, tuple[int, ...]] = {
        f"{prefix}token_embedding.weight": (vocabulary, width),
        f"{prefix}position_embedding.weight": (config.context, width),
    }
    for depth, letter in enumerate(config.attention):
        layer = f"{prefix}transformer.layers.{depth}"
        if letter == "X":
            found |= _linear(f"{layer}.attention.query", width, inner)
            found |= _linear(f"{layer}.attention.key_value", width, 2 * inner)
        else:
            found |= _linear(f"{layer}.attention.qkv", width, 3 * inner)
        found |= _linear(f"{layer}.attention.output", inner, width)
        found |= _norm(f"{layer}.attention_norm", width) | _norm(f"{layer}.mlp_norm", width)
        found |= _linear(f"{layer}.mlp.input", width, config.mlp_width)
        found |= _linear(f"{layer}.mlp.output", config.mlp_width, width)
    return found


def _upsampler(config: UpsamplerConfig, codebook_size: int, width: int) -> dict[str, tuple[int, ...]]:
    """The conditioner: convolutions are [out, in, kernel], transposed ones [in, out, kernel]."""
    inner, hidden = config.width, int(config.hidden_ratio * config.width)
    found: dict[str, tuple[int, ...]] = {
        "upsampler.token_embedding.weight": (codebook_size, width),
        "upsampler.input.weight": (inner, width, 3),
        "upsampler.input.bias": (inner,),
    }
    for step in range(config.steps):
        for block in range(config.depth):
            name = f"upsampler.steps.{step}.blocks.{block}"
            found |= {f"{name}.dilated.weight": (hidden, inner, 3), f"{name}.dilated.bias": (hidden,)}
            found |= {f"{name}.pointwise.weight": (inner, hidden, 1), f"{name}.pointwise.bias": (inner,)}
        outputs = width if step == config.steps - 1 else inner
        found[f"upsampler.steps.{step}.upsample.weight"] = (inner, outputs, 2 * config.stride)
        found[f"upsampler.steps.{step}.upsample.bias"] = (outputs,)
    return found | _norm("upsampler.norm", width)
