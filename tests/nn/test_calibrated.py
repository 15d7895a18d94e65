"""4 bits chosen for inputs: better for those than each entry's nearest, and these where inputs do not go together."""

import pytest
import torch
from torch import nn

from jukebox.nn.calibrated import Observed, calibrated
from jukebox.nn.quantised import GROUP, Linear4


def drawn(inner: int, outer: int = 48) -> tuple[nn.Linear, torch.Tensor]:
    """A map, and inputs that go together: of a quarter as many independent directions, and a little noise."""
    random = torch.Generator().manual_seed(0)
    linear = nn.Linear(inner, outer)
    with torch.no_grad():
        linear.weight.copy_(torch.randn(outer, inner, generator=random))
    mixed = torch.randn(4000, inner // 4, generator=random) @ torch.randn(inner // 4, inner, generator=random)
    return linear, mixed + 0.1 * torch.randn(4000, inner, generator=random)


@pytest.mark.parametrize("inner", [2 * GROUP, 200])
def test_results_change_less(inner: int) -> None:
    linear, inputs = drawn(inner)
    seen, others = inputs.split(3000)
    observed = Observed(linear)
    with torch.no_grad():
        assert torch.equal(observed(seen.view(2, 1500, inner)).flatten(0, 1), linear(seen))
    torch.testing.assert_close(observed.moments, seen.T @ seen, rtol=1e-4, atol=1e-1)
    chosen = Linear4(linear, calibrated(linear.weight, observed.moments))
    changes = [module.matrix() - linear.weight.detach() for module in (chosen, Linear4(linear))]
    of_results = [float((change @ others.T).square().mean()) for change in changes]
    assert of_results[0] < 0.2 * of_results[1]  # measured: 0.14, 0.13
    assert changes[0].norm() > changes[1].norm()  # each entry by itself is further away than its nearest


def test_inputs_that_do_not_go_together_leave_each_entry_its_nearest() -> None:
    linear, _ = drawn(2 * GROUP)
    chosen, nearest = Linear4(linear, calibrated(linear.weight, 3.0 * torch.eye(2 * GROUP))), Linear4(linear)
    assert all(torch.equal(a, b) for a, b in zip(chosen.buffers(), nearest.buffers(), strict=True))


def test_inputs_that_never_came_are_no_obstacle() -> None:
    linear, inputs = drawn(2 * GROUP)
    for moments in (torch.zeros(2 * GROUP, 2 * GROUP), inputs[:3].T @ inputs[:3]):
        assert bool(Linear4(linear, calibrated(linear.weight, moments)).matrix().isfinite().all())
