"""What the loop asks of a task: it knows what one step of a VQ-VAE or of a prior is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from jukebox.training.workers import Workers

Item = TypeVar("Item", contravariant=True)
Metrics = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Loss:
    """The loss of some windows, with its gradient, and what else to watch: detached scalars."""

    total: Float[Tensor, ""]
    metrics: Metrics = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Sound:
    """Something to hear: float32 [1, samples] in [-1, 1]."""

    name: str
    samples: Float[Tensor, "1 samples"]
    sample_rate: int


@runtime_checkable
class Task(Protocol[Item]):
    """A model that is trained. `module` computes losses and holds every parameter; it may be sharded."""

    module: nn.Module

    @property
    def units(self) -> tuple[str, int]:
        """What is counted per second, and how many of it a window has: ("tokens", 8192)."""
        ...

    def prepare(self, items: Sequence[Item], workers: Workers) -> None:
        """Before the first step of a new run, with this worker's windows of it."""
        ...

    def loss(self, items: Sequence[Item], first: int, *, training: bool) -> Loss:
        """The loss of windows `first`, `first` + 1, ..., a mean over them."""
        ...

    def finish(self, step: int, workers: Workers) -> dict[str, float]:
        """After the optimiser's step: what does not learn by gradients; things to watch."""
        ...

    def abandon(self) -> None:
        """The step is skipped: forget its windows."""
        ...

    def facts(self) -> dict[str, Any]:
        """What else belongs to the state, as JSON values."""
        ...

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Take back what `facts` gave."""
        ...

    def export(self, folder: Path, source: Mapping[str, Any], workers: Workers) -> None:
        """Write the model as a folder that other programs load; all workers call, the first one writes."""
        ...

    def sounds(self, items: Sequence[Item]) -> list[Sound]:
        """Sound for the log, made of validation windows; nothing where the task makes none by itself."""
        ...
