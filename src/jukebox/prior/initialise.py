"""Random weights for a prior that is to be trained (facts 3.2)."""

import math

import torch
from torch import Tensor, nn

from jukebox.config import PriorConfig
from jukebox.nn.conv1d import Conv1d, ConvTranspose1d
from jukebox.nn.unallocated import unallocated
from jukebox.prior.attention import CrossAttention, SelfAttention
from jukebox.prior.lyrics import LyricsEncoder
from jukebox.prior.prior import Prior
from jukebox.prior.token_stack import TokenStack
from jukebox.prior.transformer import MLP

MATRICES, TABLES = 0.02, 0.01
"""Standard deviations before scaling: of matrices and token embeddings, and of all other embeddings."""


def new_prior(config: PriorConfig, generator: torch.Generator) -> Prior:
    """A prior with random weights on the generator's device; the same generator state gives the same weights."""
    with unallocated():
        prior = Prior(config)
    prior.to_empty(device=generator.device)
    initialise(prior, generator)
    return prior


@torch.no_grad()
def initialise(prior: Prior, generator: torch.Generator) -> None:
    """Draw every weight of `prior` anew."""
    scale = prior.config.transformer.init_scale
    _stack(prior, generator)
    if isinstance(prior.output, nn.Linear):
        _normal(prior.output.weight, MATRICES * scale, generator)
    if prior.labels is not None:
        for table in prior.labels.parameters():
            _normal(table, TABLES * scale, generator)
    if prior.upsampler is not None:
        _normal(prior.upsampler.token_embedding.weight, MATRICES * scale, generator)
        _norm(prior.upsampler.norm)
        for module in prior.upsampler.modules():
            if isinstance(module, Conv1d | ConvTranspose1d):
                _convolution(module, generator)
    if prior.lyrics_encoder is not None:
        _lyrics_encoder(prior.lyrics_encoder, generator)


def _lyrics_encoder(encoder: LyricsEncoder, generator: torch.Generator) -> None:
    scale = encoder.transformer.config.init_scale
    _stack(encoder, generator)
    _linear(encoder.projection, MATRICES * scale, generator)
    _norm(encoder.norm)
    _normal(encoder.output.weight, MATRICES * scale, generator)


def _stack(stack: TokenStack, generator: torch.Generator) -> None:
    """The embeddings and the transformer. A new cross-attention says nothing, nor does a layer of `zero_output`."""
    config = stack.transformer.config
    scale = config.init_scale
    _normal(stack.token_embedding.weight, MATRICES * scale, generator)
    if stack.position_embedding is not None:
        _normal(stack.position_embedding.weight, TABLES * scale, generator)
    if stack.start_token is not None:
        _normal(stack.start_token, TABLES * scale, generator)
    for module in stack.transformer.modules():
        if isinstance(module, nn.Linear):
            _linear(module, MATRICES * scale, generator)
        elif isinstance(module, nn.LayerNorm | nn.RMSNorm):
            _norm(module)
    for module in stack.transformer.modules():
        if isinstance(module, CrossAttention) or (config.zero_output and isinstance(module, SelfAttention | MLP)):
            module.output.weight.zero_()


def _linear(linear: nn.Linear, deviation: float, generator: torch.Generator) -> None:
    _normal(linear.weight, deviation, generator)
    linear.bias.zero_()


def _normal(tensor: Tensor, deviation: float, generator: torch.Generator) -> None:
    tensor.normal_(0.0, deviation, generator=generator)


def _norm(norm: nn.LayerNorm | nn.RMSNorm) -> None:
    norm.weight.fill_(1.0)
    if isinstance(norm, nn.LayerNorm):
        norm.bias.zero_()


def _convolution(conv: Conv1d | ConvTranspose1d, generator: torch.Generator) -> None:
    """PyTorch's own initialisation of convolutions, from a given generator."""
    bound = math.prod(conv.weight.shape[1:]) ** -0.5
    conv.weight.uniform_(-bound, bound, generator=generator)
    assert conv.bias is not None
    conv.bias.uniform_(-bound, bound, generator=generator)
