"""The step for processors is the prior's own step, whatever its layers are."""

import itertools
from dataclasses import replace

import pytest
import torch

from jukebox.config import PriorConfig
from jukebox.nn.linear import has_operator
from jukebox.nn.packed import packed, product_of
from jukebox.prior.prior import PriorState
from jukebox.prior.processor import ProcessorStep
from jukebox.prior.step import rows_for
from tests.prior import models

TURNED = {"position": "rotary", "query_key_norm": True, "residual_scale": True}


def kind(attention: str, **changes: object) -> PriorConfig:
    config = models.UNLABELLED
    transformer = replace(config.transformer, attention=attention, tail=2, window=3, stride=4, **changes)
    return replace(config, transformer=transformer)


KINDS = {
    **models.ALL,
    "letters": kind("RCPDWSFET"),
    "turned": kind("RCPWS", **TURNED),
}
# Of logits of about 10: float32, in another order of additions.
TOLERANCE = 5e-5


@torch.no_grad()
@pytest.mark.parametrize("name", KINDS)
def test_logits_are_those_of_the_prior(name: str) -> None:
    """Of two windows at different places, one of them begun, over whole windows."""
    config = KINDS[name]
    prior = models.build(config)
    prior.pack()
    assert ProcessorStep.fits(prior)
    conditions, codes = models.conditions(config, 2), models.codes(2)
    tokens = prior.layout.tokens(codes, conditions.lyrics)
    state = prior.new_state(conditions, 2)
    step, largest = ProcessorStep(prior, 3), 0.0
    length, ahead = tokens.shape[1], prior.layout.prefix + 5
    for position in range(ahead):  # the second is this far when the first begins
        state = prior.extend(tokens[:, max(0, position - 1)][:, None], state).state
    begun = state.items(1, 2)
    fresh = prior.new_state(conditions, 2).items(0, 1)
    step.load(2, begun)
    step.load(0, fresh)
    step.move(2, 1)
    at, done = [0, ahead], 0
    caches = [torch.cat(pair) for pair in zip(*(_caches(each) for each in (fresh, begun)), strict=True)]
    both = state
    for cache, content in zip(_caches(both), caches, strict=True):
        cache.copy_(content)
    both = both.at(torch.tensor(at), ahead)
    while done < length - ahead:
        block = step.block([place + done for place in at], length - ahead - done)
        for index in range(len(block.positions)):
            previous = torch.stack([tokens[row, max(0, at[row] + done - 1)] for row in range(2)])
            found = step.logits(previous, block, index)
            output = prior.extend(previous[:, None], both)
            both = output.state
            largest = max(largest, float((found - output.logits[:, 0]).abs().max()))
            done += 1
    assert 0 <= largest < TOLERANCE


def _caches(state: PriorState) -> list[torch.Tensor]:
    return [cache for layer in state.transformer.caches for cache in layer]


def test_unions_are_left_to_the_prior() -> None:
    assert not ProcessorStep.fits(models.build(kind("(RC)P")))


def test_rows_leave_no_piece_of_one_or_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of six, as FBGEMM cuts with AVX2: those of three or more round alike."""
    monkeypatch.setattr("jukebox.prior.step.rows_are_alike", lambda: False)
    for items in range(1, 100):
        rows = rows_for(items)
        assert items <= rows <= items + 3
        assert rows % 3 == 0 or rows == 4


@torch.no_grad()
@pytest.mark.parametrize("half", [True, False])
def test_a_row_of_a_step_does_not_depend_on_how_many_there_are(half: bool, request: pytest.FixtureRequest) -> None:
    """On this machine, whatever its instructions: matrices in half precision, and others; a vector in every row."""
    threads = torch.get_num_threads()
    if not half and not has_operator():
        torch.set_num_threads(1)  # MKL cuts a few rows of an odd width otherwise for two
    request.addfinalizer(lambda: torch.set_num_threads(threads))
    random = torch.Generator().manual_seed(1)
    for inner, outer in ((33, 70), (128, 96), (512, 48)):
        linear = torch.nn.Linear(inner, outer)
        linear.weight.copy_(torch.randn(outer, inner, generator=random))
        product = product_of(packed(linear.half().float() if half else linear))
        vector, first = torch.randn(1, inner, generator=random), None
        for items in range(1, 40):
            rows = product(vector.repeat(rows_for(items), 1))
            first = rows[:1] if first is None else first
            assert torch.equal(rows, first.expand_as(rows)), (inner, items)


@torch.no_grad()
@pytest.mark.parametrize("rows", [2, 32])
@pytest.mark.parametrize("changes", [{}, TURNED])
def test_logits_are_the_same_bits_alone_and_beside_windows_elsewhere(rows: int, changes: dict[str, object]) -> None:
    """Windows that begin one after another; runs are long enough to be read in pieces, more of them for one."""
    context, begins = 128, (0, 37, 70)
    transformer = replace(
        models.UNLABELLED.transformer, context=context, width=128, attention="RCPD", rows=rows, **changes
    )
    prior = models.build(replace(models.UNLABELLED, transformer=transformer))
    prior.pack()
    tokens = torch.randint(0, 10, (len(begins), context), generator=torch.Generator().manual_seed(1))

    def logits(step: ProcessorStep, at: dict[int, int], steps: int) -> list[torch.Tensor]:
        """Of the next steps of the first windows of a step, by window and position."""
        found = []
        while len(found) < steps:
            block = step.block([place + len(found) for place in at.values()], steps - len(found))
            for index in range(len(block.positions)):
                previous = [tokens[window, max(0, place + len(found) - 1)] for window, place in at.items()]
                found.append(step.logits(torch.stack(previous), block, index).clone())
        return found

    alone = [torch.cat(logits(ProcessorStep(prior, 1), {window: 0}, context)) for window in range(len(begins))]
    assert not any(torch.equal(one, other) for one, other in itertools.pairwise(alone))
    together = ProcessorStep(prior, len(begins))
    for begin, end in zip(begins, (*begins[1:], context), strict=True):
        at = {window: begin - first for window, first in enumerate(begins) if first <= begin}
        for done, found in enumerate(logits(together, at, end - begin)):
            for window, place in at.items():
                assert torch.equal(found[window], alone[window][place + done]), (window, place + done)
