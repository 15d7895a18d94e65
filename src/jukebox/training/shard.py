"""A model on its device, compiled where a recipe says so, and spread over the workers by FSDP2."""

import warnings

import torch
from torch import nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from jukebox.nn.conv1d import ResidualStack
from jukebox.prior.transformer import Layer
from jukebox.training.compiled import compile_units
from jukebox.training.recipe import RunConfig
from jukebox.training.workers import Workers
from jukebox.vqvae.decoder import Decoder
from jukebox.vqvae.encoder import Encoder

UNITS = (Layer, ResidualStack, Encoder, Decoder)
"""Modules that are gathered as a whole while they compute; the rest is gathered with the model."""


def units(module: nn.Module) -> list[nn.Module]:
    """The modules that are sharded by themselves; of units inside one another only the outermost."""
    found: list[nn.Module] = []
    inside: set[int] = set()
    for part in module.modules():
        if isinstance(part, UNITS) and id(part) not in inside:
            found.append(part)
            inside |= {id(child) for child in part.modules()}
    return found


def place(module: nn.Module, run: RunConfig, workers: Workers) -> None:
    """Bring a module with its loss to where it computes, its parameters spread over the workers.

    Weights are kept in float32; in half precision they are gathered as such, and gradients are added up in float32.
    A module is moved unit by unit, so that a device never holds more than its share and one unit.
    """
    if run.compile:
        compile_units(units(module))
    if workers.count == 1:
        module.to(workers.device)
        return
    # Our activations are views of convolutions' results; nothing is ever done to them in place.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    kind = torch.bfloat16 if run.precision == "bfloat16" else torch.float32
    policy = MixedPrecisionPolicy(param_dtype=kind, reduce_dtype=torch.float32, cast_forward_inputs=False)
    for part in units(module):
        fully_shard(part, mp_policy=policy)
    fully_shard(module, mp_policy=policy)
