"""Laws of an engine: what is in a slot depends on nothing but its window."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from jukebox.config import ConditionDropout, PriorConfig
from jukebox.native.library import library
from jukebox.prior.conditions import Conditions, unconditioned
from jukebox.prior.prior import Prior
from jukebox.sampling.engine import Engine, Window, listened
from jukebox.sampling.graph import GraphEngine
from jukebox.sampling.native import NativeEngine
from jukebox.sampling.noise import gumbel, noise_key
from jukebox.sampling.processor import ProcessorEngine
from jukebox.sampling.reference import ReferenceEngine
from jukebox.sampling.stepper import PlainStepper
from jukebox.sampling.token import SamplingConfig
from tests.prior import models

WARM = SamplingConfig(temperature=0.9)
LENGTH = models.CODES
ENGINES = (ReferenceEngine, ProcessorEngine, *([NativeEngine] if library() is not None else []))
each_engine = pytest.mark.parametrize("kind", ENGINES)
Kind = Callable[[Prior, int], Engine]


def prior(config: PriorConfig, half: bool = True) -> Prior:
    """A prior whose matrices can be packed, or cannot."""
    built = models.build(config)
    if half:
        with torch.no_grad():
            for parameter in built.parameters():
                parameter.copy_(parameter.half().float())
    return built


def window(config: PriorConfig, index: int, known: int = 0, sampling: SamplingConfig = WARM) -> Window:
    """One of a few windows that differ in everything."""
    conditions = models.conditions(config, 4)
    labels, lyrics, above = conditions.labels, conditions.lyrics, conditions.codes_above
    one = slice(index, index + 1)
    return Window(
        conditions=Conditions(
            labels=None if labels is None else type(labels)(**{k: v[one] for k, v in vars(labels).items()}),
            lyrics=None if lyrics is None else lyrics[one],
            codes_above=None if above is None else above[one],
        ),
        known=models.codes(4)[index, :known],
        replay=torch.zeros(0, dtype=torch.int64),
        start=32 * index,
        key=noise_key(7, index, config.level),
        sampling=sampling,
    )


def guided(config: PriorConfig) -> PriorConfig:
    """The same, trained with hidden conditions."""
    return replace(config, condition_dropout=ConditionDropout(artist=0.1, genre=0.1, lyrics=0.1))


def logits_of(model: Prior, codes: Tensor, conditions: Conditions) -> Tensor:
    """Of every code of a window, raw codes, one step after another."""
    tokens = model.layout.tokens(listened(codes)[None], conditions.lyrics)
    tokens[0, model.layout.prefix :] = codes + model.layout.shift
    with torch.no_grad():
        state, seen = model.new_state(conditions, 1), []
        for position in range(tokens.shape[1]):
            output = model.extend(tokens[:, max(0, position - 1)][:, None], state)
            state = output.state
            seen.append(output.logits[:, 0])
    return torch.cat(seen)[model.layout.prefix :]


def alone(kind: Kind, config: PriorConfig, given: Window, half: bool = True) -> Tensor:
    """The codes of one window in an engine of one slot."""
    engine: Engine = kind(prior(config, half), 1)
    engine.begin(0, given)
    return engine.run(LENGTH - len(given.known))[0]


@each_engine
@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("name", models.ALL)
def test_a_window_is_the_same_in_any_company(name: str, half: bool, kind: Kind) -> None:
    """Alone, among others at other places, in another slot, in several runs: bit for bit."""
    config = models.ALL[name]
    given = [window(config, index, known) for index, known in enumerate((0, 5, 3, 9))]
    expected = [alone(kind, config, each, half) for each in given]
    engine: Engine = kind(prior(config, half), 5)
    slots, taken = {0: 3, 1: 1, 2: 0, 3: 4}, {3, 1}
    found: dict[int, list[Tensor]] = {0: [], 1: [], 2: [], 3: []}
    for index in (3, 1):
        engine.begin(slots[index], given[index])
    for steps, comes, goes in ((2, 0, None), (5, None, 3), (3, 2, None), (1, None, 1)):
        written = engine.run(steps)
        for index in found:
            if index in taken:
                found[index].append(written[slots[index]])
        if goes is not None:
            engine.end(slots[goes])
            taken.remove(goes)
        if comes is not None:
            engine.begin(slots[comes], given[comes])
            taken.add(comes)
    for index, pieces in found.items():
        codes = torch.cat(pieces)
        assert len(codes) > 0
        assert torch.equal(codes, expected[index][: len(codes)]), index


@each_engine
@pytest.mark.parametrize("name", models.ALL)
def test_the_engine_draws_what_the_whole_window_says(name: str, kind: Kind) -> None:
    """Each code is the largest of logits and noise, where the logits are those of `forward` over the result."""
    config = models.ALL[name]
    given = window(config, 1, known=4)
    codes = alone(kind, config, given)
    model = prior(config)
    logits = logits_of(model, torch.cat([given.known, codes]), given.conditions) / WARM.temperature
    places = given.start + torch.arange(LENGTH)
    noise = gumbel(torch.tensor([given.key]).expand(LENGTH), places, logits.shape[-1])
    best = (logits + noise).topk(2).values
    expected = (logits + noise).argmax(-1) - model.layout.shift
    assert float((best[:, 0] - best[:, 1]).min()) > 1e-5
    assert torch.equal(expected[4:], codes)


@each_engine
@pytest.mark.parametrize("name", models.ALL)
@pytest.mark.parametrize("at", [1, 6, 11])
def test_a_replayed_window_ends_as_the_first_time(name: str, at: int, kind: Kind) -> None:
    config = models.ALL[name]
    given = window(config, 2, known=1)
    expected = alone(kind, config, given)
    again = Window(**(vars(given) | {"replay": expected[:at]}))
    assert torch.equal(alone(kind, config, again), expected)


@each_engine
def test_greedy_slots_take_the_largest(kind: Kind) -> None:
    config = models.UNLABELLED
    cold = [SamplingConfig(temperature=0.0), SamplingConfig(top_k=1), SamplingConfig(temperature=0.3, top_k=1)]
    found = [alone(kind, config, window(config, 0, sampling=sampling)) for sampling in cold]
    assert all(torch.equal(found[0], each) for each in found[1:])
    assert not torch.equal(found[0], alone(kind, config, window(config, 0)))


def graph(prior: Prior, slots: int) -> GraphEngine:
    """The engine of captured graphs with plain steps."""
    return GraphEngine(PlainStepper(prior, slots))


@pytest.mark.parametrize("kind", [*ENGINES, graph])
@pytest.mark.parametrize(("name", "known"), [("encoder", 4), ("joint", 0)])
def test_guidance_moves_logits_away_from_those_that_are_told_less(name: str, known: int, kind: Kind) -> None:
    """Drawn from what both say of the same codes; 0 asks without conditions; the same in any company."""
    config = guided(models.ALL[name])
    given = window(config, 1, known)
    less = replace(given, conditions=unconditioned(given.conditions, config.condition_dropout))
    without = replace(given, sampling=replace(WARM, guidance=0.0))
    assert torch.equal(alone(kind, config, without), alone(kind, config, less))
    strong = replace(given, sampling=replace(WARM, guidance=3.0))
    codes = alone(kind, config, strong)
    model, whole = prior(config), torch.cat([given.known, codes])
    told, untold = (logits_of(model, whole, each.conditions)[known:] for each in (given, less))
    logits = (untold + 3.0 * (told - untold)) / WARM.temperature
    places = given.start + torch.arange(known, LENGTH)
    noise = gumbel(torch.tensor([given.key]).expand(len(codes)), places, logits.shape[1])
    best = (logits + noise).topk(2).values
    assert float((best[:, 0] - best[:, 1]).min()) > 1e-3
    assert torch.equal((logits + noise).argmax(-1) - model.layout.shift, codes)
    engine = kind(prior(config), 3)
    others = [replace(window(config, index), sampling=strong.sampling) for index in (0, 2)]
    engine.begin(2, others[0])
    engine.begin(0, replace(strong, replay=codes[:1]))
    engine.run(2)
    engine.end(2)
    engine.begin(1, others[1])
    assert torch.equal(engine.run(LENGTH - known - 2)[0], codes[2:])


def test_an_engine_that_guided_goes_on_without() -> None:
    config, given = guided(models.ENCODER), window(models.ENCODER, 1, known=4)
    expected = alone(ReferenceEngine, config, given)
    for kind in (*ENGINES, graph):
        engine: Engine = kind(prior(config), 2)
        engine.begin(1, replace(given, sampling=replace(WARM, guidance=2.0)))
        engine.run(1)
        engine.end(1)
        engine.begin(0, given)
        assert torch.equal(engine.run(len(expected))[0], expected)


@pytest.mark.skipif(library() is None, reason="there is no C compiler")
@pytest.mark.parametrize("guidance", [1.0, 2.0])
@pytest.mark.parametrize("name", models.ALL)
@pytest.mark.parametrize("late", [0, 3])
def test_a_window_that_followed_is_one_that_was_begun(name: str, guidance: float, late: int) -> None:
    """Three windows, each of which knows the second half of the one before; two follow, the first of them late."""
    config = guided(models.ALL[name]) if name in ("encoder", "joint") else models.ALL[name]
    sampling = replace(WARM, guidance=guidance if name in ("encoder", "joint") else 1.0)
    given = [replace(window(config, index, sampling=sampling), start=LENGTH // 2 * index) for index in range(3)]
    half, codes = LENGTH // 2, torch.zeros(0, dtype=torch.int64)
    for each in given:  # each begun anew
        engine = NativeEngine(prior(config), 1)
        known = codes[each.start :]
        engine.begin(0, replace(each, known=known))
        codes = torch.cat([codes, engine.run(LENGTH - len(known))[0]])
    engine, found = NativeEngine(prior(config), 1), []
    engine.begin(0, given[0])
    found.append(engine.run(half)[0])
    for following in given[1:]:
        if late:
            found.append(engine.run(late)[0])
        engine.follow(replace(following, known=torch.cat(found)[following.start :]))
        found.append(engine.run(half - late)[0])
        engine.advance()
        late = 0
    found.append(engine.run(half)[0])
    assert torch.equal(torch.cat(found), codes)
