"""The optimiser, the clipping of its gradients and its learning rate over time."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import Parameter

from jukebox.config import Config
from jukebox.config.base import require
from jukebox.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig(Config):
    """Settings of the optimiser; the defaults are the original's Adam.

    `name` "muon" orthogonalises the updates of the matrices inside a network (jukebox.training.muon); everything else
    stays with Adam. Its learning rate is `learning_rate` too: the updates are scaled to the size of Adam's.

    Raises:
        ConfigError: when a value is outside its range.
    """

    name: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = 3e-4
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    momentum: float = 0.95

    def __post_init__(self) -> None:
        for name in ("learning_rate", "epsilon", "clip_norm"):
            require(getattr(self, name) > 0, self, name, "a number above 0")
        for name in ("beta1", "beta2", "momentum"):
            require(0 <= getattr(self, name) < 1, self, name, "a number in [0, 1)")
        require(self.weight_decay >= 0, self, "weight_decay", "0 or more")


class AdamW(torch.optim.AdamW):
    """Adam with decoupled weight decay, where both follow the bias correction, as in the original.

    With c1 = 1 - beta1^t and c2 = 1 - beta2^t, step t is
    p -= learning_rate * sqrt(c2) / c1 * (m / (sqrt(v) + epsilon) + weight_decay * p).
    PyTorch's form has no such factor at the decay and at epsilon; the two differ only until both
    corrections have faded, for about 3 / (1 - beta2) steps.
    Parity: tests/golden/ops.
    """

    def __init__(self, parameters: Iterable[Parameter], config: OptimizerConfig) -> None:
        super().__init__(
            parameters,
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            eps=config.epsilon,
            weight_decay=config.weight_decay,
        )
        for group in self.param_groups:
            group.update(steps_done=0, base_decay=config.weight_decay, base_epsilon=config.epsilon)

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Update every parameter from its gradient; the loss when a closure computes it."""
        for group in self.param_groups:
            group["steps_done"] += 1
            beta1, beta2 = group["betas"]
            root_c2 = math.sqrt(1 - beta2 ** group["steps_done"])
            group["weight_decay"] = group["base_decay"] * root_c2 / (1 - beta1 ** group["steps_done"])
            group["eps"] = group["base_epsilon"] / root_c2
        return super().step(closure)


def clip_gradients(parameters: Iterable[Parameter], config: OptimizerConfig) -> Tensor:
    """Scale all gradients so that their joint norm is at most `config.clip_norm`; the norm before that."""
    return torch.nn.utils.clip_grad_norm_(parameters, config.clip_norm)


@dataclass(frozen=True, kw_only=True)
class LearningRateSchedule(Config):
    """The share of the learning rate that each step uses.

    Args:
        scale: factor of the whole schedule.
        warmup_steps: the share grows linearly from 0 at step 0 to 1 at this step.
        decay: "exponential" multiplies by `decay_factor` after every `decay_steps` steps; "linear" falls in a
            straight line to 0 within `decay_steps` steps, "cosine" along half a cosine.
        decay_start_step: the step from which decay is counted.

    Raises:
        ConfigError: when a number is outside its range.
    """

    scale: float = 1.0
    warmup_steps: int = 100
    decay: Literal["exponential", "linear", "cosine"] = "exponential"
    decay_factor: float = 1.0
    decay_steps: int = 10_000_000_000
    decay_start_step: int = 0

    def __post_init__(self) -> None:
        if self.warmup_steps < 0 or self.decay_start_step < 0 or self.decay_steps < 1:
            raise ConfigError(
                f"LearningRateSchedule has warmup_steps {self.warmup_steps}, decay_start_step "
                f"{self.decay_start_step} and decay_steps {self.decay_steps}; expected at least 0, 0 and 1."
            )
        if not self.scale > 0 or not 0 < self.decay_factor <= 1:
            raise ConfigError(
                f"LearningRateSchedule has scale {self.scale} and decay_factor {self.decay_factor}; "
                "expected a scale above 0 and a factor in (0, 1]."
            )

    def multiplier(self, step: int) -> float:
        """The factor of the learning rate at a step, counted from 0; fits torch's `LambdaLR`."""
        warmup = min(1.0, step / self.warmup_steps) if self.warmup_steps else 1.0
        decaying = max(0, step - self.decay_start_step)
        if self.decay == "linear":
            decay = max(0.0, 1 - decaying / self.decay_steps)
        elif self.decay == "cosine":
            decay = (1 + math.cos(math.pi * min(1.0, decaying / self.decay_steps))) / 2
        else:
            decay = self.decay_factor ** (decaying // self.decay_steps)
        return self.scale * warmup * decay
