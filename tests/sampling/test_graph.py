"""The engine of captured graphs, with capture turned off, writes what the reference engine writes."""

from dataclasses import replace

import pytest
import torch

from jukebox.sampling.engine import Engine, Window
from jukebox.sampling.graph import GraphEngine, _launches
from jukebox.sampling.reference import ReferenceEngine
from jukebox.sampling.stepper import PlainStepper
from jukebox.sampling.token import SamplingConfig
from tests.prior import models
from tests.sampling.test_engine import LENGTH, alone, guided, prior, window

SETTINGS = (
    SamplingConfig(temperature=0.9),
    SamplingConfig(temperature=0.0),
    SamplingConfig(top_k=3),
    SamplingConfig(temperature=1.1, top_k=7, top_p=0.8),
)
GUIDED = tuple(replace(each, guidance=0.5 + index) for index, each in enumerate(SETTINGS))
CASES = [*((name, SETTINGS) for name in models.ALL), ("encoder", GUIDED), ("joint", GUIDED)]


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_it_writes_what_the_reference_writes(name: str, settings: tuple[SamplingConfig, ...]) -> None:
    """Four windows at four places, each with settings of its own; slots are refilled as windows end; bit for bit."""
    config = guided(models.ALL[name])
    given = [window(config, index, known, settings[index]) for index, known in enumerate((0, 5, 3, 9))]
    expected = [alone(ReferenceEngine, config, each) for each in given]
    engine: Engine = GraphEngine(PlainStepper(prior(config), 2))
    assert isinstance(engine, Engine)
    assert (engine.slots, engine.config) == (2, config)
    written: list[list[torch.Tensor]] = [[] for _ in given]
    waiting, placed = [3, 0, 2, 1], dict[int, int]()
    while waiting or placed:
        for slot in range(2):
            if slot not in placed and waiting:
                placed[slot] = waiting.pop()
                engine.begin(slot, given[placed[slot]])
        left = {i: len(expected[i]) - sum(map(len, written[i])) for i in placed.values()}
        codes = engine.run(min(7, *left.values()))
        for slot, index in list(placed.items()):
            written[index].append(codes[slot])
            if sum(map(len, written[index])) == len(expected[index]):
                engine.end(slot)
                del placed[slot]
    for pieces, codes in zip(written, expected, strict=True):
        assert torch.equal(torch.cat(pieces), codes)


@pytest.mark.parametrize("at", [1, 6, 11])
def test_a_replayed_window_ends_as_the_first_time(at: int) -> None:
    config = models.JOINT
    given = window(config, 2, known=1)
    expected = alone(ReferenceEngine, config, given)
    engine = GraphEngine(PlainStepper(prior(config), 2))
    engine.begin(1, Window(**(vars(given) | {"replay": expected[:at]})))
    assert torch.equal(engine.run(LENGTH - 1)[1], expected)


def test_a_step_of_a_standing_table_changes_nothing() -> None:
    """What compiles and warms before a capture leaves no trace in what is written afterwards."""
    config = models.ENCODER
    given = window(config, 0, known=6)
    stepper = PlainStepper(prior(config), 1)
    engine = GraphEngine(stepper)
    engine.begin(0, given)
    codes = [engine.run(3)[0]]
    with torch.no_grad():
        stepper.step(stepper.table.standing(), 0, stepper.variant(9, False, False))
    codes.append(engine.run(LENGTH - 9)[0])
    assert torch.equal(torch.cat(codes), alone(ReferenceEngine, config, given))


def test_launches_are_few() -> None:
    assert list(_launches(93, (64, 16, 4, 1))) == [64, 16, 4, 4, 4, 1]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize(("name", "settings"), CASES)
def test_captured_steps_are_the_steps(name: str, settings: tuple[SamplingConfig, ...]) -> None:
    """On a GPU, captured and not, guided or not: the same codes, bit for bit."""
    config = guided(models.ALL[name])
    found = []
    for capture in (False, True):
        engine = GraphEngine(PlainStepper(prior(config).cuda(), 3), capture=capture)
        codes = []
        for known, runs in (((0, 5, 9), (3, LENGTH - 12)), ((0, 0, 0), (LENGTH,))):  # single steps, and 16 at once
            for slot, each in enumerate(known):
                engine.begin(slot, window(config, slot, each, settings[slot]))
            codes += [engine.run(steps) for steps in runs]
            for slot in range(3):
                engine.end(slot)
        found.append(torch.cat(codes, 1))
    assert torch.equal(*found)
