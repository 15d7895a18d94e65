"""The product of a step, with what comes before and after it, is that of PyTorch."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

pytest.importorskip("triton")

from jukebox.config import TransformerConfig
from jukebox.nn.basics import quick_gelu
from jukebox.nn.quantised import Linear4, Linear8
from jukebox.prior.patterns import of_layer
from jukebox.prior.runs import Runs
from jukebox.sampling.kernels import dependent, linear
from jukebox.sampling.kernels.linear import Matrix, Tiling
from jukebox.sampling.kernels.rules import INTERPRETED, rule
from tests.sampling.kernels.machine import DEVICE, TOLERANCES, drawn

SMALL, ONE = Tiling(rows=16, outer=16, inner=32), Tiling(rows=1, outer=16, inner=64)


def module(inner: int, outer: int) -> nn.Linear:
    made = nn.Linear(inner, outer, device=DEVICE)
    with torch.no_grad():
        made.weight.copy_(drawn(outer, inner))
        made.bias.copy_(drawn(outer))
    return made


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("bits", [16, 8, 4])
@pytest.mark.parametrize(("rows", "inner", "outer"), [(1, 200, 24), (18, 200, 20)])
def test_products_in_every_precision(rows: int, inner: int, outer: int, bits: int, kind: torch.dtype) -> None:
    """Rows, inputs and outputs that fill no block; one row by itself; what is beyond them is untouched."""
    made = module(inner, outer).to(kind)
    reduced = made if bits == 16 else Linear8(made) if bits == 8 else Linear4(made)
    x, room = drawn(rows, inner).to(kind), torch.full((rows + 1, outer), 7.0, device=DEVICE)
    linear.linear(x, Matrix.of(reduced), room[:rows], kind, divide=ONE if rows == 1 else SMALL)
    if isinstance(reduced, Linear8):
        weight = reduced.weight.float() * reduced.scale[:, None]
    else:
        weight = reduced.matrix() if isinstance(reduced, Linear4) else made.weight.detach().float()
    expected = x.float() @ weight.T + made.bias.detach().float()
    torch.testing.assert_close(room[:rows], expected, atol=TOLERANCES[kind] * inner**0.5 / 8, rtol=0)
    assert bool((room[rows:] == 7).all())


@pytest.mark.skipif(not INTERPRETED, reason="what a card is asked for cannot be seen")
@pytest.mark.parametrize("bits", [16, 8, 4])
def test_what_is_asked_for_before_the_kernel_before_has_ended(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of the matrix, from the beginning of each output on, none beyond; then the next begins; then it waits."""
    made, events, asked = module(200, 20).to(torch.float16), list[str](), list[int]()
    matrix = Matrix.of(made if bits == 16 else Linear8(made) if bits == 8 else Linear4(made))

    def ask(places: Any) -> None:
        events.append("ask")
        asked.extend(places.handle.data.flatten().tolist())

    monkeypatch.setattr(dependent, "_prefetch", ask)
    monkeypatch.setattr(dependent, "gdc_launch_dependents", lambda: events.append("begin"))
    monkeypatch.setattr(dependent, "gdc_wait", lambda: events.append("wait"))
    x, out, usual = drawn(2, 200).half(), torch.zeros(2, 20, device=DEVICE), torch.zeros(2, 20, device=DEVICE)
    divide = Tiling(rows=16, outer=16, inner=32, ahead=2)
    linear.linear(x, matrix, out, torch.float16, divide=divide, dependent=True)
    linear.linear(x, matrix, usual, torch.float16, divide=divide)
    assert torch.equal(out, usual)
    assert events == 2 * ["ask", "begin", "wait"]
    lines = range(min(2, -(-matrix.row_bytes // 128)))
    starts = [matrix.weight.data_ptr() + row * matrix.row_bytes for row in range(20)]
    assert set(asked) == {start + 128 * line for start in starts for line in lines}


@pytest.mark.parametrize(("rows", "divide"), [(1, ONE), (3, SMALL), (5, SMALL)])
def test_a_norm_before_and_an_activation_after(rows: int, divide: Tiling) -> None:
    """Few rows, whose moments are found one by one, and more."""
    made, norm = module(70, 20), nn.LayerNorm(70, device=DEVICE)
    with torch.no_grad():
        norm.weight.copy_(drawn(70))
        norm.bias.copy_(drawn(70, seed=1))
    x, out = 3 + 2 * drawn(rows, 70), torch.zeros(rows, 20, device=DEVICE)
    linear.linear(
        x, Matrix.of(made), out, torch.float32, before=linear.NORM, after=linear.GELU, divide=divide,
        gain=norm.weight.detach(), shift=norm.bias.detach(), EPS=norm.eps,
    )  # fmt: skip
    torch.testing.assert_close(out, quick_gelu(made(norm(x))).detach(), atol=5e-5, rtol=1e-5)


def test_moments_of_many_rows_are_joined_block_by_block() -> None:
    """A block of 64 rows is 64 inputs; here are four and a bit, far from zero."""
    made, norm, x = module(300, 20), nn.LayerNorm(300, device=DEVICE), 5 + 2 * drawn(20, 300)
    out = torch.zeros(20, 20, device=DEVICE)
    linear.linear(
        x, Matrix.of(made), out, torch.float32, before=linear.NORM, divide=Tiling(rows=64, outer=16, inner=128),
        gain=norm.weight.detach(), shift=norm.bias.detach(), EPS=norm.eps,
    )  # fmt: skip
    torch.testing.assert_close(out, made(norm(x)).detach(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_a_residual_after(scale: float) -> None:
    """base + scale * (residual - base + product), written over the base."""
    made, x = module(40, 24), drawn(3, 40)
    base, residual = drawn(3, 24, seed=1), drawn(3, 24, seed=2)
    expected = base + scale * (residual - base + made(x).detach())
    linear.linear(
        x, Matrix.of(made), base, torch.float32, after=linear.RESIDUAL, divide=SMALL,
        residual=residual, base=base, SCALE=scale,
    )  # fmt: skip
    torch.testing.assert_close(base, expected, atol=1e-5, rtol=1e-5)


def test_what_is_added_before() -> None:
    made, x, added = module(40, 24), drawn(3, 40), drawn(3, 6, 40)
    positions, out = torch.tensor([0, 5, 2], device=DEVICE), torch.zeros(3, 24, device=DEVICE)
    linear.linear(
        x, Matrix.of(made), out, torch.float32, before=linear.ADD, divide=SMALL,
        added=added, CONTEXT=6, positions=positions,
    )  # fmt: skip
    own = added[torch.arange(3, device=DEVICE), positions]
    torch.testing.assert_close(out, made(x + own).detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("letter", ["C", "T", *(pytest.param(name, marks=pytest.mark.slow) for name in "RPDLWSFE")])
def test_keys_and_values_are_written_where_they_belong(letter: str) -> None:
    """At every position, one for each row: into the slot of the pattern, and nowhere else."""
    config = TransformerConfig(
        context=24, width=16, attention=letter, heads=2, rows=6, tail=2, window=5, stride=7, attention_ratio=0.75
    )
    (pattern,) = of_layer(letter, config, prefix=9)
    runs, inner, made = Runs.of(pattern, 24), config.attention_width, module(16, 36)
    x, positions = drawn(24, 16), torch.arange(24, device=DEVICE)
    queries, cache = (
        torch.zeros(24, inner, device=DEVICE),
        torch.full((24, runs.slots, 2, 2, inner // 2), 9.0).to(DEVICE),
    )
    linear.linear(
        x, Matrix.of(made), queries, torch.float32, after=linear.PAIRS, divide=SMALL,
        cache=cache, positions=positions, QUERY=inner, **rule(runs),
    )  # fmt: skip
    expected = F.linear(x, made.weight, made.bias).detach()
    torch.testing.assert_close(queries, expected[:, :inner], atol=1e-5, rtol=1e-5)
    wanted = torch.full_like(cache, 9.0)
    wanted[positions, runs.write(positions)] = expected[:, inner:].view(24, 2, 2, -1)
    torch.testing.assert_close(cache, wanted, atol=1e-5, rtol=1e-5)
