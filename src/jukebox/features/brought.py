"""Layers whose parameters stay where and as they are stored; each is brought to where it computes when its turn comes.

Widening the numbers of a layer costs a fortieth of multiplying a window by them (bench/features.py), and the result is
that of a model which was widened at once, bit for bit. So half the memory does for a released prior, most of it the
pages of a file that the system may take back; on a GPU a prior needs the room of one layer.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from jukebox.prior.prior import Prior
from jukebox.prior.transformer import layers_apart


class BroughtLayer(nn.Module):
    """A layer that computes where its inputs are and in a given type, whatever its parameters' own."""

    def __init__(self, layer: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.layer, self.dtype = layer, dtype

    def forward(self, x: Tensor, *others: Any) -> Any:
        """What the layer gives."""
        # First to the device, as few bytes as there are, then to the type; matrices in few bits (buffers) keep theirs.
        brought = {name: tensor.to(x.device).to(self.dtype) for name, tensor in self.layer.named_parameters()}
        few = {name: tensor.to(x.device) for name, tensor in self.layer.named_buffers()}
        return functional_call(self.layer, {**brought, **few}, (x, *others))


def bring_layers(prior: Prior, device: torch.device, dtype: torch.dtype, *, keep: bool) -> None:
    """Make a prior compute on a device and in a type, in place.

    Args:
        prior: its parameters may be of any types.
        device: where it will compute.
        dtype: in which it will compute.
        keep: put all layers there at once; else each when its turn comes.
    """
    with layers_apart(prior.transformer) as layers:
        prior.to(device=device, dtype=dtype)
    prior.transformer.layers = nn.ModuleList(
        layer.to(device=device, dtype=dtype) if keep else BroughtLayer(layer, dtype) for layer in layers
    )
