import pytest
import torch

from jukebox.nn.conv1d import ResidualBlock
from jukebox.nn.residual import applies, residual_block

TOLERANCE = 2e-5
"""Relative to the largest entry, in float32 sums over 10 000 rows; measured: 5e-6."""


@pytest.mark.parametrize(
    ("dilation", "time", "scale"), [(1, 9000, 1.0), (27, 5000, 0.5), (2000, 5000, 1.0), (81, 40, 1.0)]
)
def test_values_and_gradients_are_those_of_the_convolutions(
    dilation: int, time: int, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In several tiles of 1024 rows, of which the last is shorter, and beyond which a tap may reach."""
    monkeypatch.setattr("jukebox.nn.tiles._TILE_ELEMENTS", 1024 * 6)
    torch.manual_seed(0)
    block = ResidualBlock(6, 4, dilation, scale)
    x = torch.randn(2, time, 6, requires_grad=True)
    inputs = [x, *block.parameters()]
    weights = torch.randn(2, time, 6)
    found = residual_block(x, block.dilated, block.pointwise, scale)
    branch = block.pointwise(torch.relu(block.dilated(torch.relu(x))))
    expected = x + scale * branch
    pairs = [(found, expected)]
    ours = torch.autograd.grad((found * weights).sum(), inputs)
    pairs += list(zip(ours, torch.autograd.grad((expected * weights).sum(), inputs), strict=True))
    for mine, theirs in pairs:
        assert (mine - theirs).abs().max() <= TOLERANCE * theirs.abs().max()


def test_it_applies_to_usual_training_on_a_processor_only() -> None:
    block = ResidualBlock(4, 4, 1)
    x = torch.zeros(1, 3, 4)
    assert applies(x, block.dilated, block.pointwise)
    assert not applies(x.double(), block.dilated, block.pointwise)
    assert not applies(x.to("meta"), block.dilated, block.pointwise)
    with torch.no_grad():
        assert not applies(x, block.dilated, block.pointwise)
    with torch.autocast("cpu", torch.bfloat16):
        assert not applies(x, block.dilated, block.pointwise)
