"""Everything that changes while a model is trained, as tensors with names and a few numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from jukebox.errors import CheckpointError
from jukebox.training import checkpoint
from jukebox.training.average import WeightAverage
from jukebox.training.checkpoint import Saved
from jukebox.training.workers import Workers

MODEL, OPTIMIZER, AVERAGE = "model/", "optimizer/", "average/"


class TrainingState:
    """The module, its optimisers and the average of its weights, read from and written to saved states."""

    def __init__(
        self, module: nn.Module, optimizers: Sequence[torch.optim.Optimizer], average: WeightAverage | None
    ) -> None:
        self.module, self.optimizers, self.average = module, optimizers, average
        self._names = {id(parameter): name for name, parameter in module.named_parameters()}

    def tensors(self) -> dict[str, Tensor]:
        """All tensors; changing one of them in place changes the state."""
        found = {MODEL + name: tensor for name, tensor in self.module.state_dict().items()}
        for optimizer in self.optimizers:
            for parameter, values in optimizer.state.items():
                name = self._names[id(parameter)]
                found |= {f"{OPTIMIZER}{name}/{key}": v for key, v in values.items() if isinstance(v, Tensor)}
        if self.average is not None:
            found |= {AVERAGE + name: tensor for name, tensor in self.average.state().items()}
        return found

    def facts(self) -> dict[str, Any]:
        """What is not a tensor: how many steps each group of parameters has made."""
        return {"steps_done": [[g.get("steps_done", 0) for g in o.param_groups] for o in self.optimizers]}

    def load(self, saved: Saved, workers: Workers) -> None:
        """Take back a saved state.

        Raises:
            CheckpointError: it is of another model, or of other settings.
        """
        kept = checkpoint.shapes(saved)
        self._make_room(kept)
        tensors = self.tensors()
        for name in sorted(set(kept) ^ set(tensors)):
            where = "the saved state has and this run has not" if name in kept else "this run has and the state has not"
            raise CheckpointError(
                f"{saved.path} is of another model: {name} is a tensor that {where}; name another folder for this run."
            )
        for name, tensor in tensors.items():
            if tuple(tensor.shape) != kept[name]:
                raise CheckpointError(
                    f"{saved.path} is of another model: {name} has the shape {kept[name]}, this run's has "
                    f"{tuple(tensor.shape)}; name another folder for this run."
                )
        checkpoint.load(saved, tensors, workers)
        for optimizer, groups in zip(self.optimizers, saved.facts["steps_done"], strict=True):
            for group, steps in zip(optimizer.param_groups, groups, strict=True):
                group["steps_done"] = steps

    def _make_room(self, kept: Mapping[str, tuple[int, ...]]) -> None:
        """Optimisers have no state before their first step: give them one to read into."""
        by_name = {
            name: (optimizer, parameter)
            for optimizer in self.optimizers
            for group in optimizer.param_groups
            for parameter in group["params"]
            if (name := self._names[id(parameter)])
        }
        for full_name, shape in kept.items():
            name, _, key = full_name.removeprefix(OPTIMIZER).rpartition("/")
            if not full_name.startswith(OPTIMIZER) or name not in by_name:
                continue
            optimizer, parameter = by_name[name]
            # A count has no dimensions and stays on the CPU; moments are like their parameter, sharded as it is.
            room = torch.zeros(()) if shape == () else torch.zeros_like(parameter)
            optimizer.state[parameter][key] = room
