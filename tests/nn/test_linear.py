"""Linear maps by the faster library are PyTorch's, to rounding."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from jukebox.nn import linear as module
from jukebox.nn.linear import LEAST_ROWS, Linear, linear, prepared, prepared_product, product

ROUNDING = 2e-6
"""Of the largest value; measured: 4e-7."""


def near(found: Tensor, expected: Tensor) -> bool:
    return float((found - expected).abs().max()) <= ROUNDING * float(expected.abs().max())


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("places", [(LEAST_ROWS,), (3, 50), (2, 1), (1,)])
def test_values_and_gradients(places: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    plain = torch.nn.Linear(48, 40, bias=bias)
    own = Linear(48, 40, bias=bias)
    own.load_state_dict(plain.state_dict())
    x = torch.randn(*places, 48, requires_grad=True)
    weights, results = torch.randn(*places, 40), []
    for layer in (own, plain):
        layer.zero_grad()
        x.grad = None
        (layer(x) * weights).sum().backward()
        results.append([layer(x).detach(), x.grad, *(p.grad for p in layer.parameters())])
    assert all(near(found, expected) for found, expected in zip(*results, strict=True))


def test_transposed_views() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(300, 80), torch.randn(300, 96)
    assert near(product(a.t(), b.t()), a.t() @ b)
    weight = torch.randn(80, 96)
    assert near(product(a, weight.t()), a @ weight)


def test_frozen_matrices_get_no_gradient() -> None:
    weight, x = torch.randn(8, 16), torch.randn(LEAST_ROWS, 16, requires_grad=True)
    linear(x, weight).sum().backward()
    assert x.grad is not None
    assert near(x.grad, weight.sum(0).expand_as(x))


def test_a_bias_alone_may_learn() -> None:
    weight, x, bias = torch.randn(8, 16), torch.randn(LEAST_ROWS, 16), torch.zeros(8, requires_grad=True)
    linear(x, weight, bias).sum().backward()
    assert bias.grad is not None
    assert torch.equal(bias.grad, torch.full((8,), float(LEAST_ROWS)))


@pytest.mark.skipif(not module.has_operator(), reason="no AVX-512, or no such operator")
def test_a_row_is_the_same_bits_among_any_number_of_rows() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(1000, 64), torch.randn(200, 64)
    whole = product(x, weight)
    for rows in (LEAST_ROWS, 3, 16, 100, 517):
        assert torch.equal(product(x[:rows], weight), whole[:rows])
        assert torch.equal(prepared_product(x[:rows], prepared(weight)), whole[:rows])


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_other_types_are_left_to_pytorch(kind: torch.dtype) -> None:
    x, weight = torch.randn(LEAST_ROWS, 16).to(kind), torch.randn(8, 16).to(kind)
    assert torch.equal(linear(x, weight), F.linear(x, weight))
