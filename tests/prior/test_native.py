"""The steps in C are the prior's own steps, whatever its layers are and whatever the processor is."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from jukebox.native.library import library
from jukebox.native.structures import Choice, Window
from jukebox.nn.packed import PackedLinear
from jukebox.prior.native import NativeStep
from jukebox.sampling import token
from jukebox.sampling.noise import gumbel
from tests.prior import models
from tests.prior.test_processor import KINDS, kind

pytestmark = pytest.mark.skipif(library() is None, reason="there is no C compiler")

# Of logits of about 2: float32, in another order of additions; measured 5e-7.
TOLERANCE = 5e-6


def windows(positions: list[int], previous: Tensor) -> list[Window]:
    choice = Choice(temperature=1.0, guidance=1.0, top_p=2.0, top_k=1 << 20)
    return [
        Window(position=at, leader=-1, row=row, previous=(int(last), 0), choice=choice)
        for row, (at, last) in enumerate(zip(positions, previous, strict=True))
    ]


@torch.no_grad()
@pytest.mark.parametrize("numbers", ["half", "whole", "bytes", "nibbles"])
@pytest.mark.parametrize("name", KINDS)
def test_logits_are_those_of_the_prior(name: str, numbers: str, target: str) -> None:
    """Of two windows, the second of which has read a part at once, over whole windows; reading is stepping."""
    config = KINDS[name]
    prior = models.build(config)
    if numbers == "half":
        for parameter in prior.parameters():
            parameter.copy_(parameter.half().float())
    elif numbers != "whole":
        prior.reduce(8 if numbers == "bytes" else 4)
    plain = copy.deepcopy(prior)
    prior.pack(native=True)
    assert NativeStep.fits(prior)
    conditions, codes = models.conditions(config, 2), models.codes(2)
    tokens = prior.layout.tokens(codes, conditions.lyrics)
    state, ahead = prior.new_state(conditions, 2), prior.layout.prefix + 5
    expected = []
    for position in range(tokens.shape[1]):
        output = plain.extend(tokens[:, max(0, position - 1)][:, None], state)
        state = output.state
        expected.append(output.logits[:, 0])
    step = NativeStep(prior, 3, 1)
    fresh = prior.new_state(conditions, 2)
    step.condition(0, fresh.items(0, 1))
    step.condition(2, fresh.items(1, 2))
    step.move(2, 1)
    logits, alone = torch.empty(2, prior.layout.vocabulary), []
    step.read([(1, tokens[1, :ahead])])
    at = [0, ahead]
    while at[1] < tokens.shape[1]:
        previous = torch.stack([tokens[row, max(0, at[row] - 1)] for row in range(2)])
        given = torch.stack([tokens[row, at[row]] for row in range(2)])[None]
        assert torch.equal(step.write(windows(at, previous), given, None, logits=logits), given)
        for row in range(2):
            assert float((logits[row] - expected[at[row]][row]).abs().max()) < TOLERANCE
        alone.append(logits[1].clone())
        at = [each + 1 for each in at]
    # The second once more, step by step from its beginning: the same bits.
    single = NativeStep(prior, 1, 1)
    single.condition(0, fresh.items(1, 2))
    one = torch.empty(1, prior.layout.vocabulary)
    for position in range(tokens.shape[1]):
        single.write(
            windows([position], tokens[1, max(0, position - 1)][None]),
            tokens[1:, position : position + 1],
            None,
            logits=one,
        )
        if position >= ahead:
            assert torch.equal(one[0], alone[position - ahead])


@torch.no_grad()
def test_more_threads_and_steps_at_once_change_no_bit(request: pytest.FixtureRequest) -> None:
    """Five windows of a prior whose runs are long, read and written by one thread and by three."""
    transformer = replace(models.UNLABELLED.transformer, context=256, width=96, attention="RCPD", rows=16, heads=3)
    prior = models.build(replace(models.UNLABELLED, transformer=transformer))
    prior.pack(native=True)
    tokens = torch.randint(0, 10, (5, 200), generator=torch.Generator().manual_seed(1))
    state = prior.new_state(models.conditions(models.UNLABELLED, 1), 1)
    threads = torch.get_num_threads()
    request.addfinalizer(lambda: torch.set_num_threads(threads))
    found = []
    for count, pieces in ((1, (40,)), (3, (1, 7, 32))):
        torch.set_num_threads(count)
        step = NativeStep(prior, 5, 1)
        for row in range(5):
            step.condition(row, state)
        step.read([(row, tokens[row, : 200 - 10 * row]) for row in range(5)])
        at, written = [200 - 10 * row for row in range(5)], []
        previous = [int(tokens[row, each - 1]) for row, each in enumerate(at)]
        for steps in pieces:
            now = windows(at, torch.tensor(previous))
            for row, each in enumerate(now):
                each.choice.key, each.choice.place = row, at[row]
            written.append(step.write(now, torch.full((steps, 5), -1), None))
            at, previous = [each + steps for each in at], written[-1][-1].tolist()
        found.append(torch.cat(written))
    assert torch.equal(*found)


@pytest.mark.parametrize("codes", [10, 700])
@pytest.mark.parametrize(
    "sampling",
    [
        token.SamplingConfig(),
        token.SamplingConfig(temperature=0.7, top_k=5),
        token.SamplingConfig(temperature=1.3, top_p=0.6),
        token.SamplingConfig(temperature=0.9, top_k=9, top_p=0.8),
        token.SamplingConfig(temperature=0.5, top_k=600, top_p=0.95),
        token.SamplingConfig(temperature=0.0),
    ],
)
@torch.no_grad()
def test_draws_are_those_of_the_choice(sampling: token.SamplingConfig, codes: int) -> None:
    """With Gumbel noise of its own, and with noise that is given; among logits of both signs, equal ones and zeros."""
    from jukebox.sampling.host import Item
    from jukebox.sampling.native import choice_of

    config = replace(models.UNLABELLED, codebook_size=codes)
    prior = models.build(config)
    weight = prior.token_embedding.weight  # of the logits too
    weight[codes // 2 :: 7] = weight[codes // 3]
    weight[1::9], weight[2::9] = 0.0, -0.0
    prior.pack(native=True)
    vocabulary, step = prior.layout.vocabulary, NativeStep(prior, 1, 1)
    step.condition(0, prior.new_state(models.conditions(config, 1), 1))
    choice, seen = token.Choice.of([sampling], vocabulary, torch.device("cpu")), set()
    logits = torch.empty(1, vocabulary)
    for key in range(200):
        item = Item(slot=0, key=key, place=key, position=0, previous=[0], replay=[], sampling=sampling)
        noise = gumbel(torch.tensor([key]), torch.tensor([key]), vocabulary)
        for given in (None, noise[None]):
            window = Window(position=0, leader=-1, row=0, previous=(0, 0), choice=choice_of(item, vocabulary))
            drawn = step.write([window], torch.full((1, 1), -1), given, logits=logits)
            assert torch.equal(drawn[0], choice.draw(logits, noise))
        seen.add(int(drawn))
    assert len(seen) == 1 if sampling.temperature == 0 else len(seen) > 3


def test_noise_is_that_of_the_definition(target: str) -> None:
    """Greedy draws of it would tell: where all logits are equal, the token is the largest noise."""
    config = replace(models.UNLABELLED, codebook_size=500)
    prior = models.build(config)
    with torch.no_grad():
        prior.token_embedding.weight.zero_()
    prior.pack(native=True)
    step = NativeStep(prior, 1, 1)
    step.condition(0, prior.new_state(models.conditions(config, 1), 1))
    for key in range(300):
        choice = Choice(temperature=1.0, guidance=1.0, top_p=2.0, top_k=500, key=key - 150, place=3 * key)
        drawn = step.write(
            [Window(position=0, leader=-1, row=0, previous=(0, 0), choice=choice)], torch.full((1, 1), -1), None
        )
        noise = gumbel(torch.tensor([key - 150]), torch.tensor([3 * key]), 500)
        assert int(drawn) == int(noise.argmax())


def test_what_it_does_not_fit() -> None:
    assert not NativeStep.fits(models.build(kind("(RC)P")))
    prior = models.build(models.UNLABELLED)
    for parameter in prior.parameters():
        parameter.data = parameter.data.half().float()  # whose matrices every processor packs that packs any
    prior.pack()
    assert NativeStep.fits(prior) == (not any(isinstance(module, PackedLinear) for module in prior.modules()))
    assert not NativeStep.fits(models.build(models.UNLABELLED).double())
