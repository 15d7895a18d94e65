"""The attention of a step over runs of slots is that of `prior.step` over masks, for every pattern and position."""

from typing import Any

import pytest
import torch

pytest.importorskip("triton")

from jukebox.config import TransformerConfig
from jukebox.nn.quantised import rounded
from jukebox.prior.cache import TransformerState
from jukebox.prior.patterns import Pattern, of_layer
from jukebox.prior.runs import Runs
from jukebox.prior.step import Step
from jukebox.sampling.kernels.attention import Parts, attention, store_pairs
from jukebox.sampling.kernels.rules import everything, rule
from tests.sampling.kernels.machine import DEVICE, TOLERANCES, drawn

CONTEXT = 24


def pattern_of(letter: str, heads: int, width: int) -> Pattern:
    config = TransformerConfig(
        context=CONTEXT, width=heads * width, attention=letter, heads=heads, rows=4, tail=2, window=5, stride=7,
        attention_ratio=1.0,
    )  # fmt: skip
    return of_layer(letter, config, prefix=9)[0]


def expected(pattern: Pattern, queries: torch.Tensor, pairs: torch.Tensor, cache: torch.Tensor) -> torch.Tensor:
    """What `Step` finds, one item at each position; it writes the pairs."""
    positions = torch.arange(CONTEXT, device=DEVICE)
    state = TransformerState(positions=positions, furthest=CONTEXT - 1, caches=())
    return Step(state, CONTEXT).attend((pattern,), queries[:, None], pairs[:, None], (cache,))[:, 0]


def caches(pattern: Pattern, heads: int, width: int) -> torch.Tensor:
    """Full of something; the empty keys are zero."""
    cache = drawn(CONTEXT, Runs.of(pattern, CONTEXT).slots, 2, heads, width)
    cache[:, : pattern.empty_keys] = 0
    return cache


def found(
    queries: torch.Tensor, cache: torch.Tensor, constants: dict[str, Any], splits: int, **more: torch.Tensor
) -> torch.Tensor:
    """What the kernel finds; `at` are the positions, otherwise 0, 1, 2, ..."""
    rows, _, _, heads, width = cache.shape
    parts = Parts.empty(rows, heads, splits, width, DEVICE)
    out = torch.full((rows, heads * width), 9.0, dtype=queries.dtype, device=DEVICE)
    positions = more.get("at", torch.arange(rows, device=DEVICE))
    attention(queries.flatten(1), cache, more.get("scales"), positions, out, parts, constants, block=4)
    assert bool((parts.ended == 0).all()), "the next launch would not know who ends last"
    return out.unflatten(1, (heads, width))


@pytest.mark.parametrize(
    ("heads", "splits", "step"),
    [(1, 3, 3), pytest.param(2, 1, 1, marks=pytest.mark.slow), pytest.param(2, 3, 1, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("letter", "RCPDLWSFET")
def test_every_pattern_at_every_position(letter: str, heads: int, splits: int, step: int) -> None:
    """Queries that see nothing, as the first row of P, find zero; what was never written is not looked at.

    Every third position of rows of six, the last of all among them, is before, in and after every border.
    """
    pattern, width = pattern_of(letter, heads, 3), 3
    queries, pairs, cache = drawn(CONTEXT, heads, width), drawn(CONTEXT, 2, heads, width), caches(pattern, heads, width)
    wanted = expected(pattern, queries, pairs, cache)
    at = torch.cat([torch.arange(0, CONTEXT, step), torch.tensor([CONTEXT - 1])]).to(DEVICE)
    result = found(queries[at], cache[at], rule(Runs.of(pattern, CONTEXT)), splits, at=at)
    torch.testing.assert_close(result, wanted[at], atol=1e-6, rtol=1e-5)
    assert bool((result[at < pattern.blind] == 0).all())


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("heads", "width"), [(1, 150)])
def test_heads_of_any_width(heads: int, width: int, kind: torch.dtype) -> None:
    pattern = pattern_of("C", heads, width)
    queries, pairs = drawn(CONTEXT, heads, width).to(kind), drawn(CONTEXT, 2, heads, width).to(kind)
    cache = caches(pattern, heads, width).to(kind)
    wanted = expected(pattern, queries.float(), pairs.float(), whole := cache.float())
    result = found(queries, whole.to(kind), rule(Runs.of(pattern, CONTEXT)), 2)
    torch.testing.assert_close(result.float(), wanted, atol=TOLERANCES[kind] / 5, rtol=1e-2)


def test_all_lyrics_are_seen() -> None:
    queries, cache = drawn(3, 2, 4), drawn(3, 10, 2, 2, 4)
    weights = torch.einsum("rhw,rkhw->rhk", queries, cache[:, :, 0]).mul(4**-0.5).softmax(-1)
    result = found(queries, cache, everything(10), 2)
    torch.testing.assert_close(result, torch.einsum("rhk,rkhw->rhw", weights, cache[:, :, 1]), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("letter", ["P", *(pytest.param(name, marks=pytest.mark.slow) for name in "RCT")])
def test_a_cache_of_8_bits(letter: str) -> None:
    """New pairs are written within half a step, or exactly one step where two are equally near; others not at all."""
    pattern, heads, width = pattern_of(letter, 1, 6), 1, 6
    runs, positions = Runs.of(pattern, CONTEXT), torch.arange(CONTEXT, device=DEVICE)
    made = drawn(CONTEXT, 3 * heads * width)
    numbers, scales = rounded(caches(pattern, heads, width))
    before = numbers.clone()
    store_pairs(made, numbers, scales, positions, rule(runs))
    pairs = made[:, heads * width :].view(CONTEXT, 2, heads, width)
    slots = runs.write(positions)
    new = numbers[positions, slots] * scales[positions, slots][..., None]
    assert float(((new - pairs).abs() / scales[positions, slots][..., None]).max()) <= 0.5001
    written = torch.zeros(CONTEXT, runs.slots, dtype=torch.bool, device=DEVICE)
    written[positions, slots] = True
    assert torch.equal(numbers[~written], before[~written])
    queries, whole = made[:, : heads * width].reshape(CONTEXT, heads, width), numbers * scales[..., None]
    wanted = expected(pattern, queries, new, whole)
    result = found(queries, numbers, rule(runs), 2, scales=scales)
    torch.testing.assert_close(result, wanted, atol=1e-5, rtol=1e-5)
