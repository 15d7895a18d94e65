"""The smallest parts that networks share."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from jukebox.errors import ConfigError


def quick_gelu(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """x * sigmoid(1.702 x), the activation of the released priors."""
    return x * torch.sigmoid(1.702 * x)


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "quick_gelu": quick_gelu,
    "gelu": partial(F.gelu, approximate="tanh"),
    "swish": F.silu,
    "silu": F.silu,
}


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The activation function of a name: relu, quick_gelu, gelu (its tanh form), swish or silu (the same).

    Raises:
        ConfigError: when there is none of that name.
    """
    if name not in _ACTIVATIONS:
        raise ConfigError(f"There is no activation {name!r}: use one of {', '.join(_ACTIVATIONS)}.")
    return _ACTIVATIONS[name]
