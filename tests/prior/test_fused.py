import pytest
import torch
from torch import nn

from jukebox.nn.basics import quick_gelu
from jukebox.nn.norm import LayerNorm
from jukebox.prior import fused
from jukebox.prior.fused import after_attention, is_plain, norm_linear

TOLERANCE = 2e-6
"""Relative to the largest entry; measured: 4e-7."""


def modules(seed: int = 0) -> tuple[LayerNorm, nn.Linear, nn.Linear]:
    generator = torch.Generator().manual_seed(seed)
    norm, inner, outer = LayerNorm(8), nn.Linear(8, 12), nn.Linear(12, 8)
    with torch.no_grad():
        for parameter in (*norm.parameters(), *inner.parameters(), *outer.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return norm, inner, outer


def gradients(result: torch.Tensor, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    weights = torch.randn(result.shape, generator=torch.Generator().manual_seed(3))
    return list(torch.autograd.grad((result * weights).sum(), inputs))


def close(found: torch.Tensor, expected: torch.Tensor) -> bool:
    return bool((found - expected).abs().max() <= TOLERANCE * expected.abs().max())


@pytest.mark.parametrize("tile", [1024, 4])
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("which", ["linear", "block"])
def test_values_and_gradients_are_those_of_the_modules(
    which: str, frozen: bool, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one tile, and in three of which the last one is short."""
    monkeypatch.setattr(fused, "TILE", tile)
    norm, inner, outer = modules()
    output = nn.Linear(6, 8)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 5, 8, generator=generator, requires_grad=True)
    looked = torch.randn(2, 5, 6, generator=generator, requires_grad=True)
    for linear in (inner, outer, output):
        linear.weight.requires_grad_(not frozen)
    if which == "linear":
        found, expected = norm_linear(x, norm, inner), inner(norm(x))
        inputs = [x, *norm.parameters(), *inner.parameters()]
    else:
        y = x + output(looked)
        found, expected = (
            after_attention(x, looked, output, norm, (inner, outer)),
            y + outer(quick_gelu(inner(norm(y)))),
        )
        inputs = [x, looked, *norm.parameters()]
        inputs += [p for linear in (inner, outer, output) for p in linear.parameters()]
    inputs = [tensor for tensor in inputs if tensor.requires_grad]
    assert close(found, expected)
    for ours, theirs in zip(gradients(found, inputs), gradients(expected, inputs), strict=True):
        assert close(ours, theirs)


def test_only_usual_modules_in_float32_with_a_gradient_are_fused() -> None:
    norm, inner, _ = modules()
    x = torch.zeros(1, 8)
    assert is_plain(x, norm, inner)
    assert not is_plain(x, norm, nn.Identity())
    assert not is_plain(x.double(), norm, inner)
    with torch.no_grad():
        assert not is_plain(x, norm, inner)
    with torch.autocast("cpu", torch.bfloat16):
        assert not is_plain(x, norm, inner)
