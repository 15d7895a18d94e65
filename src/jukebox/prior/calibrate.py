"""A prior in 4 bits that are chosen for what its layers read: layer by layer, one of them whole at a time."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import cast

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from jukebox.nn.calibrated import Observed, calibrated
from jukebox.nn.quantised import Linear4
from jukebox.nn.replacing import replace_each
from jukebox.prior.conditions import Conditions
from jukebox.prior.prior import Prior
from jukebox.prior.span import Span
from jukebox.prior.token_stack import all_positions, before
from jukebox.prior.transformer import Layer, layers_apart

Window = tuple[Int64[Tensor, "1 codes"], Conditions]


def calibrate(
    prior: Prior, windows: Iterable[Window], device: torch.device, advance: Callable[[int], None] = lambda layers: None
) -> None:
    """Bring a prior's matrices into 4 bits, in place; what is not in them is in float32 from now on.

    Args:
        prior: in whole numbers of any type, in evaluation mode, on the CPU: it may be larger than the device.
        windows: of codes and conditions, as it will meet them; eight are enough (docs/decisions/0010).
        device: computes, one layer at a time.
        advance: is told of each layer that is done.
    """
    for layer in _calibrated_layers(prior, windows, device):
        layer.to("cpu")
        advance(1)
    prior.to("cpu")
    prior.config = replace(prior.config, matrix_bits=4)


@torch.no_grad()
def _calibrated_layers(prior: Prior, windows: Iterable[Window], device: torch.device) -> Iterable[Layer]:
    with layers_apart(prior.transformer) as layers:
        prior.to(device, torch.float32)
    hidden, lyrics = [], []
    for codes, conditions in windows:
        conditioning = prior.condition(conditions.to(device), 1)
        tokens = prior.layout.tokens(codes.to(device), conditions.to(device).lyrics)
        hidden.append(
            prior.transformer_inputs(before(tokens), all_positions(tokens), conditioning.first(tokens.shape[1]))
        )
        lyrics.append(conditioning.encoded_lyrics)
    context = prior.config.transformer.context
    for layer, letters in zip(layers, prior.config.transformer.layers, strict=True):
        layer.to(device, torch.float32)
        replace_each(layer, nn.Linear, Observed)
        for index, (x, encoded) in enumerate(zip(hidden, lyrics, strict=True)):
            kept = (cast(Tensor, encoded),) if letters == "X" else ()
            hidden[index], _ = layer(x, Span(0, x.shape[1], context, device), kept, None)
        replace_each(layer, Observed, _reduced)
        yield layer


def _reduced(observed: Observed) -> Linear4:
    return Linear4(observed.linear, calibrated(observed.linear.weight, observed.moments))
