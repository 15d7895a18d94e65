import math

import pytest
import torch

from jukebox.errors import ConfigError
from jukebox.nn.basics import activation, quick_gelu

X = torch.linspace(-6, 6, 49, dtype=torch.float64)


def test_formulas() -> None:
    tanh_form = 0.5 * X * (1 + torch.tanh(math.sqrt(2 / math.pi) * (X + 0.044715 * X**3)))
    torch.testing.assert_close(activation("gelu")(X), tanh_form)
    torch.testing.assert_close(activation("quick_gelu")(X), X / (1 + torch.exp(-1.702 * X)))
    torch.testing.assert_close(activation("swish")(X), X / (1 + torch.exp(-X)))
    torch.testing.assert_close(activation("relu")(X), X.clamp(min=0))
    assert activation("silu") is activation("swish")
    assert activation("quick_gelu") is quick_gelu


def test_unknown_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="There is no activation 'gleu': use one of relu, quick_gelu"):
        activation("gleu")
