"""Matrices in few bits are as near to what they stand for as their steps allow."""

import pytest
import torch
from torch import nn

from jukebox.nn.quantised import GROUP, Linear4, Linear8, RoundedPairs, quantise, rounded


def linear(inner: int, outer: int, bias: bool = True) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(inner, outer, bias=bias)


@pytest.mark.parametrize("inner", [GROUP, 3 * GROUP, 200, 7])
def test_entries_are_within_half_a_step(inner: int) -> None:
    made, weight = linear(inner, 9), linear(inner, 9).weight.detach()
    eight = Linear8(made)
    assert bool(((eight.weight * eight.scale[:, None] - weight).abs() <= 0.501 * eight.scale[:, None]).all())
    four = Linear4(made)
    assert four.matrix().shape == weight.shape
    assert four.weight.numel() <= 9 * (inner + GROUP) / 2
    step = four.step.float().repeat_interleave(GROUP, 1)[:, :inner]
    # Ranges may be narrowed by a fifth: what is cut off lies within a tenth of the range, a step and a half and more.
    error = (four.matrix() - weight).abs() / step
    assert float(error.max()) < 0.5 + 15 * 0.5 * 0.25
    assert inner < GROUP or float(error.square().mean()) < 1.2 / 12


def test_a_narrowed_range_is_no_worse() -> None:
    """A matrix with rare large entries: the squared error is at most that of the whole range."""
    made = linear(GROUP, 16, bias=False)
    with torch.no_grad():
        made.weight[:, 0] *= 5
    weight = made.weight.detach()
    least, most = weight.amin(1, keepdim=True), weight.amax(1, keepdim=True)
    whole = least + ((weight - least) / (most - least) * 15).round() * (most - least) / 15
    assert float((Linear4(made).matrix() - weight).square().sum()) <= float((whole - weight).square().sum()) * 1.0001


def test_steps_keep_their_type() -> None:
    """A model is converted as a whole; that shall not round what all numbers of an output are multiplied with."""
    for module in (Linear8(linear(200, 9)), Linear4(linear(200, 9))):
        kept = {name: getattr(module, name).clone() for name in module.steps}
        moved = nn.Sequential(module).to(torch.bfloat16)[0]
        assert all(torch.equal(getattr(moved, name), tensor) for name, tensor in kept.items())
        assert moved.bias is not None
        assert moved.bias.dtype == torch.bfloat16


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_maps_are_those_of_their_matrices(bits: int, kind: torch.dtype) -> None:
    made = linear(200, 24)
    module = nn.Sequential(made)
    quantise(module, 8 if bits == 8 else 4)
    (found,) = module
    matrix = found.weight * found.scale[:, None] if isinstance(found, Linear8) else found.matrix()
    x = torch.randn(3, 5, 200)
    result = found.to(kind)(x.to(kind))
    expected = x.to(kind).float() @ matrix.T + made.bias.detach()
    # Measured: 1e-6 in float32, 0.02 in bfloat16, which has two and a half digits.
    torch.testing.assert_close(
        result.detach().float(), expected.detach(), atol=1e-5 if kind == torch.float32 else 0.03, rtol=0
    )


def test_pairs_are_rounded_and_queries_are_not() -> None:
    made = linear(16, 3 * 12)
    x = torch.randn(5, 16)
    with torch.no_grad():
        found, expected = RoundedPairs(made, 12, 3)(x), made(x)
    assert torch.equal(found[:, :12], expected[:, :12])
    numbers, scale = rounded(expected[:, 12:].unflatten(-1, (6, 4)))
    assert int(numbers.abs().amax(-1).min()) == 127
    torch.testing.assert_close(found[:, 12:].unflatten(-1, (6, 4)), numbers * scale[..., None])
    assert float((found - expected).abs().max()) <= 0.51 * float(scale.max())
