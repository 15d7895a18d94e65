"""Products in C are products, and a row is the same bits whatever is beside it."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from jukebox.native.library import library
from jukebox.native.matrix import NativeMatrix, panels, panels4, panels8
from jukebox.nn.quantised import Linear4, rounded

pytestmark = pytest.mark.skipif(library() is None, reason="there is no C compiler")

# Of sums of up to 300 products of order 1, each one chain of roundings.
TOLERANCE = 2e-4


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def in_4_bits(weight: Tensor) -> tuple[NativeMatrix, Tensor]:
    """A matrix of the nearest values in 4 bits, and these in float32."""
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    linear.weight.data = weight
    found = Linear4(linear)
    return NativeMatrix(panels4(found.weight, found.step, found.low, found.inner)), found.matrix()


@pytest.mark.parametrize("kind", ["half", "whole", "bytes", "nibbles"])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (7, 33), (64, 96), (300, 130)])
def test_products(inputs: int, outputs: int, kind: str, threads: int) -> None:
    random = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(outputs, inputs, generator=random), torch.randn(outputs, generator=random)
    vector = torch.randn(1, inputs, generator=random)
    if kind == "bytes":
        numbers, scale = rounded(weight)
        matrix, weight = NativeMatrix(panels8(numbers, scale)), numbers * scale[:, None]
    elif kind == "nibbles":
        matrix, weight = in_4_bits(weight)
    else:
        weight = weight.half().float() if kind == "half" else weight
        matrix = NativeMatrix(panels(weight, half=kind == "half"))
    first = matrix(vector, bias)
    for rows in (*range(1, 40), 200):
        x = torch.randn(rows, inputs, generator=random)
        x[rows // 2] = vector
        found = matrix(x, bias)
        assert torch.equal(found[rows // 2], first[0]), rows
        expected = x.double() @ weight.double().T + bias.double()
        assert float((found - expected).abs().max()) < TOLERANCE
        assert float((matrix(x, None) + bias - expected).abs().max()) < TOLERANCE


@pytest.mark.parametrize("size", [(1, 1), (7, 33), (128, 64), (200, 96), (391, 130)])
def test_4_bits_are_the_same_matrix_in_float32(size: tuple[int, int], target: str) -> None:
    """Bit for bit, with the instructions of any processor: packed, a prior writes the songs that it writes widened."""
    weight = torch.randn(size[::-1], generator=torch.Generator().manual_seed(1))
    few, matrix = in_4_bits(weight)
    whole, x = NativeMatrix(panels(matrix, half=False)), torch.randn(9, size[0])
    assert few.nbytes < 0.54 * whole.nbytes or size[0] < 128
    for rows in range(1, 10):
        assert torch.equal(few(x[:rows], None), whole(x[:rows], None))


def test_results_go_where_they_are_wanted() -> None:
    weight, x, out = torch.randn(40, 8), torch.randn(2, 3, 8), torch.empty(2, 3, 40)
    matrix = NativeMatrix(panels(weight, half=False))
    assert matrix(x, None, out) is out
    assert torch.equal(out, matrix(x.transpose(0, 1).contiguous().transpose(0, 1), None))


def test_numbers_that_need_more_than_half_precision_are_kept() -> None:
    weight = torch.full((1, 1), 1.0 + 2**-20)
    assert NativeMatrix(panels(weight, half=False))(torch.ones(1, 1), None).item() == 1.0 + 2**-20
