"""Linear maps for inference whose matrices are kept in few bits: 8 for each output channel, 4 in groups of 128.

What a step of sampling costs is reading matrices. Inputs, sums and biases stay as they are. How much worse a prior
predicts with them is measured, not assumed (`jukebox evaluate likelihood --precision`). Where the inputs of a map are
known, its 4 bits are chosen for what they make of these (`nn.calibrated`), at a tenth of the cost.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int8, UInt8
from torch import Tensor, nn

from jukebox.nn.linear import Linear
from jukebox.nn.replacing import replace_each

Bits = Literal[4, 8]
Matrix = Float[Tensor, "outer inner"]

GROUP = 128
"""Inputs that share a step and a lowest value in 4 bits."""

# The range of a group may be narrowed by these: a few entries are cut off so that all others are nearer.
_RANGES = (1.0, 0.95, 0.9, 0.85, 0.8)

Groups = Float[Tensor, "rows groups entries"]


class Grid(NamedTuple):
    """The sixteen values of each group of a matrix, `low + step * number`, both as half precision has them.

    low, step: [rows, groups, 1] in float32, or as a column of entries has them, [rows].
    """

    low: Tensor
    step: Tensor

    def numbers(self, entries: Float[Tensor, "*places"]) -> Float[Tensor, "*places"]:
        """The nearest of the sixteen for each entry, 0 to 15."""
        return ((entries - self.low) / self.step).round().clamp(0, 15)

    def values(self, numbers: Float[Tensor, "*places"]) -> Float[Tensor, "*places"]:
        """What numbers stand for."""
        return self.low + self.step * numbers


class Rounded4(NamedTuple):
    """A matrix in 4 bits: numbers of 0 to 15 in groups, the last one filled up, and what they stand for."""

    numbers: Groups
    grid: Grid


class Reduced(nn.Module):
    """A linear map whose steps keep their own type when what it is a part of is converted: they are few, and matter."""

    steps: tuple[str, ...] = ()
    bias: Tensor | None

    def matrix(self) -> Matrix:
        """The matrix that it stands for, in float32."""
        raise NotImplementedError

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        kept = {name: getattr(self, name) for name in self.steps}
        super()._apply(fn, recurse)
        for name, tensor in kept.items():
            setattr(self, name, tensor.to(getattr(self, name).device))
        return self


class Linear8(Reduced):
    """A linear map with a matrix of 8-bit integers and one scale for each output."""

    steps = ("scale",)
    weight: Int8[Tensor, "outer inner"]
    scale: Float[Tensor, " outer"]

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        parts = [rounded(rows) for rows in _some(linear.weight.detach())]
        for name, values in zip(("weight", *self.steps), zip(*parts, strict=True), strict=True):
            self.register_buffer(name, torch.cat(values))
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach())

    def matrix(self) -> Matrix:
        """The matrix that it stands for, in float32."""
        return self.weight * self.scale[:, None]

    def forward(self, x: Float[Tensor, "*places inner"]) -> Float[Tensor, "*places outer"]:
        """The map at each place; integers of 8 bits are exact in the inputs' type, the scale is applied in float32."""
        found = F.linear(x, self.weight.to(x.dtype)).float() * self.scale
        return (found if self.bias is None else found + self.bias).to(x.dtype)


class Linear4(Reduced):
    """A linear map with a matrix in 4 bits: an entry is `low + step * number`, both in half precision for each group.

    The two halves of a group share bytes: the first is in the lower four bits. The last group is filled up with zeros.

    Args:
        linear: the map.
        rounded: its matrix in 4 bits; None for each entry's nearest.
    """

    steps = ("step", "low")
    weight: UInt8[Tensor, "outer bytes"]
    step: Float[Tensor, "outer groups"]
    low: Float[Tensor, "outer groups"]

    def __init__(self, linear: nn.Linear, rounded: Rounded4 | None = None) -> None:
        super().__init__()
        self.inner = linear.in_features
        if rounded is not None:
            found = _packed(rounded)
        else:
            parts = [_packed(_nearest(rows)) for rows in _some(linear.weight.detach())]
            found = tuple(torch.cat(values) for values in zip(*parts, strict=True))
        for name, values in zip(("weight", *self.steps), found, strict=True):
            self.register_buffer(name, values)
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach())

    def matrix(self) -> Matrix:
        """The matrix that it stands for, in float32."""
        halves = torch.stack([self.weight & 15, self.weight >> 4], 1).unflatten(-1, (-1, GROUP // 2))
        numbers = halves.transpose(1, 2).flatten(2)  # outer, groups, GROUP
        whole = self.low.float()[..., None] + self.step.float()[..., None] * numbers
        return whole.flatten(1)[:, : self.inner]

    def forward(self, x: Float[Tensor, "*places inner"]) -> Float[Tensor, "*places outer"]:
        """The map at each place."""
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return F.linear(x, self.matrix().to(x.dtype), bias)


class RoundedPairs(nn.Module):
    """The map to queries, keys and values of `linear`, the latter two as a cache of 8 bits would give them back."""

    def __init__(self, linear: nn.Module, attention_width: int, heads: int) -> None:
        super().__init__()
        self.linear, self.attention_width, self.heads = linear, attention_width, heads

    def forward(self, x: Float[Tensor, "*places inner"]) -> Float[Tensor, "*places outer"]:
        """Queries as they are, then keys and values in 8 bits with a scale for each head."""
        found = self.linear(x)
        own, pairs = found.tensor_split([found.shape[-1] - 2 * self.attention_width], -1)
        numbers, scale = rounded(pairs.unflatten(-1, (2 * self.heads, -1)))
        return torch.cat([own, (numbers * scale[..., None]).flatten(-2).to(found.dtype)], -1)


def _some(weight: Matrix) -> tuple[Float[Tensor, "_ inner"], ...]:
    """Some outputs at a time: what lies between would be the peak of memory. Sizes alone are had at once."""
    return weight.split(max(1, len(weight)) if weight.is_meta else 256)


def rounded(rows: Float[Tensor, "*rows inner"]) -> tuple[Int8[Tensor, "*rows inner"], Float[Tensor, "*rows"]]:
    """Rows in 8 bits, and what a step of each is in float32: the largest entry of a row is 127."""
    scale = rows.abs().amax(-1).float().clamp_min(1e-12) / 127
    return (rows / scale[..., None]).round().clamp(-127, 127).to(torch.int8), scale


def grid_of(groups: Groups) -> Grid:
    """The grid of each group that lies nearest to its entries, each rounded by itself."""
    least, most = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
    middle, best = (least + most) / 2, None
    for share in _RANGES:
        # Numbers are chosen for the steps as they are kept. The least step is one that half precision still has.
        low = (middle + (least - middle) * share).half().float()
        grid = Grid(low, ((most - least) * share / 15).clamp_min(1e-6).half().float())
        error = (grid.values(grid.numbers(groups)) - groups).square().sum(-1, keepdim=True)
        if best is None:
            best = error, *grid
        else:
            better = error < best[0]
            best = tuple(torch.where(better, new, old) for new, old in zip((error, *grid), best, strict=True))
    assert best is not None
    return Grid(*best[1:])


def _nearest(rows: Float[Tensor, "rows inner"]) -> Rounded4:
    missing = -rows.shape[1] % GROUP
    # What fills the last group up repeats its last entry: it widens no range, and meets inputs that are zero.
    padded = torch.cat([rows, rows[:, -1:].expand(-1, missing)], 1).float() if missing else rows.float()
    groups = padded.unflatten(1, (-1, GROUP))
    grid = grid_of(groups)
    return Rounded4(grid.numbers(groups), grid)


def _packed(
    rounded: Rounded4,
) -> tuple[UInt8[Tensor, "rows bytes"], Float[Tensor, "rows groups"], Float[Tensor, "rows groups"]]:
    """Numbers two to a byte, steps and lowest values."""
    first, second = rounded.numbers.to(torch.uint8).chunk(2, -1)
    return (first | second << 4).flatten(1), rounded.grid.step[..., 0].half(), rounded.grid.low[..., 0].half()


def quantise(module: nn.Module, bits: Bits, device: torch.device | None = None) -> None:
    """Replace every linear map below `module`, in place; what was replaced is freed one by one.

    Args:
        module: whose maps are replaced.
        bits: of their matrices from now on.
        device: where each is brought before, since a processor takes minutes for a large model; None where it is.
    """

    def reduced(linear: nn.Linear) -> nn.Module:
        there = linear if device is None else linear.to(device)
        return Linear8(there) if bits == 8 else Linear4(there)

    replace_each(module, nn.Linear, reduced)


def widen(module: nn.Module) -> None:
    """Replace every map in few bits below `module` by a usual one with the same values in float32, in place."""
    replace_each(module, Reduced, _widened)


def _widened(reduced: Reduced) -> nn.Linear:
    matrix = reduced.matrix()
    linear = Linear(matrix.shape[1], matrix.shape[0], bias=reduced.bias is not None, device="meta")
    linear.weight = nn.Parameter(matrix, requires_grad=False)
    if reduced.bias is not None:
        linear.bias = nn.Parameter(reduced.bias.float(), requires_grad=False)
    return linear
