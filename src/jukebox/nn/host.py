"""Linear maps whose matrices stay in the host's memory and are copied to the device for each use.

For models that are larger than a card: the bus, not the card's memory, is then what a step waits for. Pinned memory
can be read by the device while it computes, and by a captured graph.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from jukebox.nn.quantised import Reduced
from jukebox.nn.replacing import replace_each


class HostLinear(nn.Module):
    """A linear map of any precision that lives on the CPU, also when what it is a part of is moved or converted."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        pin = torch.cuda.is_available()
        tensors = {**dict(inner.named_parameters()), **dict(inner.named_buffers())}
        kept = {name: tensor.detach().cpu() for name, tensor in tensors.items()}
        self._kept = {name: tensor.pin_memory() if pin else tensor for name, tensor in kept.items()}
        # Not a part of this module: what moves modules shall not find it.
        self._inner = (inner.to("meta"),)

    def forward(self, x: Float[Tensor, "*places inner"]) -> Float[Tensor, "*places outer"]:
        """The map at each place, where the inputs are."""
        there = {name: tensor.to(x.device, non_blocking=True) for name, tensor in self._kept.items()}
        return cast(Tensor, functional_call(self._inner[0], there, (x,)))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        return self


def keep_on_host(module: nn.Module) -> None:
    """Leave the matrices of every linear map below `module` on the CPU, in place."""
    for kind in (nn.Linear, Reduced):
        replace_each(module, kind, HostLinear)
