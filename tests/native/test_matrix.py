"""Products in C are products, and a row is the same bits whatever is beside it."""

from collections.abc import Iterator

import pytest
import torch

from jukebox.native.library import library
from jukebox.native.matrix import NativeMatrix
from jukebox.nn.quantised import rounded

pytestmark = pytest.mark.skipif(library() is None, reason="there is no C compiler")

# Of sums of up to 300 products of order 1, each one chain of roundings.
TOLERANCE = 2e-4


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("kind", ["half", "whole", "bytes"])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (7, 33), (64, 96), (300, 130)])
def test_products(inputs: int, outputs: int, kind: str, threads: int) -> None:
    random = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(outputs, inputs, generator=random), torch.randn(outputs, generator=random)
    vector = torch.randn(1, inputs, generator=random)
    if kind == "bytes":
        numbers, scale = rounded(weight)
        matrix, weight = NativeMatrix(numbers, half=False, scale=scale), numbers * scale[:, None]
    else:
        weight = weight.half().float() if kind == "half" else weight
        matrix = NativeMatrix(weight, half=kind == "half")
    first = matrix(vector, bias)
    for rows in (*range(1, 40), 200):
        x = torch.randn(rows, inputs, generator=random)
        x[rows // 2] = vector
        found = matrix(x, bias)
        assert torch.equal(found[rows // 2], first[0]), rows
        expected = x.double() @ weight.double().T + bias.double()
        assert float((found - expected).abs().max()) < TOLERANCE
        assert float((matrix(x, None) + bias - expected).abs().max()) < TOLERANCE


def test_results_go_where_they_are_wanted() -> None:
    weight, x, out = torch.randn(40, 8), torch.randn(2, 3, 8), torch.empty(2, 3, 40)
    matrix = NativeMatrix(weight, half=False)
    assert matrix(x, None, out) is out
    assert torch.equal(out, matrix(x.transpose(0, 1).contiguous().transpose(0, 1), None))


def test_numbers_that_need_more_than_half_precision_are_kept() -> None:
    weight = torch.full((1, 1), 1.0 + 2**-20)
    assert NativeMatrix(weight, half=False)(torch.ones(1, 1), None).item() == 1.0 + 2**-20
