"""Matrices that stay as they are and learn a difference of low rank, and that can be kept in 8 bits meanwhile.

W' = W + (alpha / rank) B A, with A random and B zero at first, so training begins with the model as it was (Hu et al.
2021). Linear layers never form W'; other kinds (tables, kernels of convolutions) do, being small.
"""

import fnmatch
import math
from collections.abc import Iterator
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int8
from torch import Tensor, nn
from torch.nn.utils import parametrize

from jukebox.errors import ConfigError
from jukebox.training.recipe import LoraConfig

Matrix = Float[Tensor, "out in"]
Precision = Literal["float32", "bfloat16", "int8"]


class _FrozenProduct(torch.autograd.Function):
    """x W^T for a matrix kept in few bits: it is unpacked for the product and again for the gradient of x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, scale: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight, scale) if scale is not None else ctx.save_for_backward(weight)
        return F.linear(x, unpacked(weight, scale, x.dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        weight, *rest = ctx.saved_tensors
        (gradient,) = gradients
        return gradient @ unpacked(weight, rest[0] if rest else None, gradient.dtype), None, None


def packed(weight: Matrix) -> tuple[Int8[Tensor, "out in"], Float[Tensor, "out 1"]]:
    """The matrix in 8 bits with one scale for each output: the largest entry of a row is 127."""
    scale = weight.abs().amax(1, keepdim=True).clamp_min(1e-12) / 127
    return (weight / scale).round().to(torch.int8), scale


def unpacked(weight: Tensor, scale: Tensor | None, dtype: torch.dtype) -> Matrix:
    """The matrix as numbers of `dtype`."""
    return weight.to(dtype) if scale is None else weight.to(dtype) * scale.to(dtype)


class FrozenLinear(nn.Module):
    """A linear layer whose matrix is constant and kept in `precision`; with a rank it learns a difference.

    The bias is kept as it is, and is trained only if it was to be.
    """

    def __init__(self, linear: nn.Linear, precision: Precision, lora: LoraConfig | None) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        weight, scale = linear.weight.detach(), None
        if precision == "int8":
            weight, scale = packed(weight)
        elif precision == "bfloat16":
            weight = weight.to(torch.bfloat16)
        self.register_buffer("frozen", weight)
        self.register_buffer("scale", scale)
        self.bias = linear.bias
        self.difference = Difference(linear.weight, lora) if lora is not None else None

    frozen: Tensor
    scale: Tensor | None

    @property
    def weight(self) -> Matrix:
        """The matrix with its difference, in float32."""
        whole = unpacked(self.frozen, self.scale, torch.float32)
        return whole if self.difference is None else whole + self.difference.whole()

    def forward(self, x: Float[Tensor, "*places in_features"]) -> Float[Tensor, "*places out_features"]:
        """The layer applied to each place."""
        kind = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
        # The function is not one that autocast knows: what it computes in is said here.
        result = _FrozenProduct.apply(x.to(kind), self.frozen, self.scale)
        assert isinstance(result, Tensor)
        if self.bias is not None:
            result = result + self.bias.to(result.dtype)
        if self.difference is not None:
            a, b = self.difference.a, self.difference.b
            result = result + self.difference.factor * F.linear(F.linear(x, a), b).to(result.dtype)
        return result


class Difference(nn.Module):
    """What is learnt beside a weight of two dimensions or more, seen as a matrix [first, rest]."""

    def __init__(self, weight: Tensor, config: LoraConfig) -> None:
        super().__init__()
        first, rest = weight.shape[0], math.prod(weight.shape[1:])
        self.shape, self.factor = tuple(weight.shape), config.alpha / config.rank
        self.a = nn.Parameter(weight.new_zeros(config.rank, rest, dtype=torch.float32))
        self.b = nn.Parameter(weight.new_zeros(first, config.rank, dtype=torch.float32))

    def whole(self) -> Tensor:
        """The difference in the weight's shape."""
        return (self.factor * self.b @ self.a).reshape(self.shape)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with its difference: this is what `torch.nn.utils.parametrize` calls."""
        return weight + self.whole().to(weight.dtype)


def adapt(model: nn.Module, config: LoraConfig, precision: Precision, generator: torch.Generator) -> None:
    """Give every weight that a target matches a difference, and freeze the weights.

    Raises:
        ConfigError: a target matches nothing.
    """
    chosen = dict(_matching(model, config.targets))
    for pattern in config.targets:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in chosen):
            raise ConfigError(
                f"LoraConfig.targets has {pattern!r}, which matches no matrix of the model; the names are those of "
                "`jukebox weights info`."
            )
    for name in chosen:
        owner, attribute = _owner(model, name)
        if isinstance(owner, nn.Linear) and attribute == "weight":
            adapted = FrozenLinear(owner, precision, config)
            _replace(model, name.rpartition(".")[0], adapted)
            difference = adapted.difference
        else:
            difference = Difference(getattr(owner, attribute), config)
            getattr(owner, attribute).requires_grad_(False)
            parametrize.register_parametrization(owner, attribute, difference)
        assert difference is not None
        with torch.no_grad():
            bound = difference.a.shape[1] ** -0.5
            difference.a.copy_(torch.empty(difference.a.shape).uniform_(-bound, bound, generator=generator))


def pack_frozen(model: nn.Module, precision: Precision) -> None:
    """Keep the matrices of linear layers that are not trained in `precision`."""
    frozen = [n for n, m in model.named_modules() if isinstance(m, nn.Linear) and not m.weight.requires_grad]
    for name in frozen:
        linear = model.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        _replace(model, name, FrozenLinear(linear, precision, None))


def merged_state(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the model under its own name, with differences added to what they belong to."""
    inside: dict[str, Tensor] = {}
    for prefix, module in model.named_modules():
        dot = prefix + "." if prefix else ""
        if isinstance(module, FrozenLinear):
            inside[dot + "weight"] = module.weight
            if module.bias is not None:
                inside[dot + "bias"] = module.bias
        elif parametrize.is_parametrized(module):
            assert isinstance(module.parametrizations, nn.ModuleDict)
            for attribute in module.parametrizations:
                inside[dot + attribute] = getattr(module, attribute)
    parts = (".parametrizations.", ".frozen", ".scale", ".difference.")
    for name, tensor in model.state_dict().items():
        if name not in inside and not any(part in name for part in parts):
            yield name, tensor
    yield from inside.items()


def _matching(model: nn.Module, patterns: tuple[str, ...]) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in model.named_parameters():
        if parameter.ndim >= 2 and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            yield name, parameter


def _owner(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, attribute = name.rpartition(".")
    return model.get_submodule(path), attribute


def _replace(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)
