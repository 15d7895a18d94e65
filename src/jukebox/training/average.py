"""A moving average of the weights: smoother than the weights themselves, and what is exported."""

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule


class WeightAverage:
    """average = decay * average + (1 - decay) * weights after every step; begins as the weights.

    Only parameters that are trained are averaged. Sharded parameters have sharded averages.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self._module = decay, module
        self._parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.tensors = {name: p.detach().clone() for name, p in self._parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        torch._foreach_lerp_(list(self.tensors.values()), list(self._parameters.values()), 1 - self.decay)

    def state(self) -> Mapping[str, Tensor]:
        """The averages by name of their parameters."""
        return self.tensors

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, the module has the averages as its weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self._parameters.items():
            held = parameter.detach().clone()
            parameter.copy_(self.tensors[name])
            self.tensors[name].copy_(held)
        if isinstance(self._module, FSDPModule):
            self._module.reshard()  # a whole copy that a forward pass has left would hide the change
