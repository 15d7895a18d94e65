"""Whole steps through fused kernels write what the reference engine writes."""

from dataclasses import replace

import pytest
import torch

pytest.importorskip("triton")

from jukebox.errors import ConfigError
from jukebox.nn.quantised import Bits, RoundedPairs, quantise
from jukebox.prior.prior import Prior
from jukebox.sampling.fused import FusedStepper
from jukebox.sampling.graph import GraphEngine
from jukebox.sampling.kernels.dependent import can_depend
from jukebox.sampling.noise import gumbel
from jukebox.sampling.reference import ReferenceEngine
from jukebox.sampling.stepper import CacheBits
from jukebox.sampling.token import SamplingConfig
from tests.prior import models
from tests.sampling.kernels.machine import DEVICE
from tests.sampling.test_engine import alone, guided, prior, window
from tests.sampling.test_graph import SETTINGS

KNOWN = (0, 5, 9)
STEPS = 2


def logits_of(stepper: FusedStepper, engine: GraphEngine) -> torch.Tensor:
    with torch.no_grad():
        return stepper.compute_logits(stepper.table).clone()


@pytest.mark.parametrize(
    "name", ["joint", *(pytest.param(n, marks=pytest.mark.slow) for n in models.ALL if n != "joint")]
)
def test_they_write_what_the_reference_writes(name: str) -> None:
    """Three windows at three places, with settings of their own, in float32: the same codes."""
    config = models.ALL[name]
    given = [window(config, index, known, SETTINGS[index + 1]) for index, known in enumerate(KNOWN)]
    expected = [alone(ReferenceEngine, config, each)[:STEPS] for each in given]
    engine = GraphEngine(FusedStepper(prior(config).to(DEVICE), 3))
    for slot, each in enumerate(given):
        engine.begin(slot, each)
    found = torch.cat([engine.run(1), engine.run(STEPS - 1)], 1)
    for slot, codes in enumerate(expected):
        assert torch.equal(found[slot], codes), slot


def test_they_guide_as_the_reference_does() -> None:
    """Two rows for each window, which read other words; caches of 8 bits, whose one state both rows are read into."""
    config, sampling = guided(models.ENCODER), SamplingConfig(temperature=0.9, guidance=3.0)
    given = [window(config, index, known, sampling) for index, known in enumerate((0, 9))]
    expected = torch.stack([alone(ReferenceEngine, config, each)[:STEPS] for each in given])
    for cache_bits in (16, 8):
        engine = GraphEngine(FusedStepper(prior(config).to(DEVICE), 2, cache_bits=cache_bits))
        for slot, each in enumerate(given):
            engine.begin(slot, each)
        assert torch.equal(engine.run(STEPS), expected), cache_bits


@pytest.mark.parametrize(("bits", "cache_bits"), [(16, 16), (8, 16), (4, 16), (8, 8)])
def test_every_precision_is_that_of_its_modules(bits: int, cache_bits: CacheBits) -> None:
    """Logits of a step are those of the prior itself with the same matrices in few bits, and pairs in 8."""
    config = models.ENCODER if cache_bits == 8 else models.JOINT
    transformer = replace(config.transformer, residual_scale=bits == 8)
    config = replace(config, transformer=transformer)

    def made() -> Prior:
        built = prior(config).to(DEVICE)
        if bits != 16:
            quantise(built.transformer, 8 if bits == 8 else 4)
        return built

    other = made()
    if cache_bits == 8:
        for layer in other.transformer.layers:
            if hasattr(layer.attention, "qkv"):
                layer.attention.qkv = RoundedPairs(layer.attention.qkv, transformer.attention_width, transformer.heads)
    stepper = FusedStepper(made(), 2, cache_bits=cache_bits)
    engine, given = GraphEngine(stepper), window(config, 1, known=6)
    engine.begin(1, given)
    logits = logits_of(stepper, engine)[1]
    state = other.new_state(given.conditions.to(DEVICE), 1)
    tokens = other.layout.tokens(given.known[None].to(DEVICE), given.conditions.to(DEVICE).lyrics)
    # One token before each position and one after the last: the step's own is the last of these.
    previous = torch.cat([tokens[:, :1] * 0, tokens], 1)
    expected = other.extend(previous, state).logits[0, -1]
    # Logits of order 10. In 8 bits a value between two steps may fall to either side (measured: 0.02).
    torch.testing.assert_close(logits, expected, atol=1e-4 if cache_bits == 16 else 0.1, rtol=1e-4)


@pytest.mark.parametrize(("norm", "position"), [(True, "rotary"), (True, "learned"), (False, "rotary")])
def test_queries_and_keys_that_are_normalised_and_turned(norm: bool, position: str) -> None:
    """For new models: logits of a step are the prior's own."""
    config, given = models.UNLABELLED, window(models.UNLABELLED, 1, known=6)
    config = replace(config, transformer=replace(config.transformer, query_key_norm=norm, position=position))
    stepper = FusedStepper(prior(config).to(DEVICE), 1)
    engine = GraphEngine(stepper)
    engine.begin(0, given)
    other = prior(config).to(DEVICE)
    state = other.new_state(given.conditions.to(DEVICE), 1)
    previous = torch.nn.functional.pad(given.known, (1, 0))[None].to(DEVICE)
    expected = other.extend(previous, state).logits[0, -1]
    torch.testing.assert_close(logits_of(stepper, engine)[0], expected, atol=1e-4, rtol=1e-4)


def test_bfloat16_is_nearer_than_plain_bfloat16() -> None:
    """The residual stream in float32 loses less than the plain step, which rounds it after every layer."""
    config, given = models.UNLABELLED, window(models.UNLABELLED, 1, known=9)
    logits = {}
    for kind in (torch.float32, torch.bfloat16):
        stepper = FusedStepper(prior(config).to(DEVICE, kind), 1)
        engine = GraphEngine(stepper)
        engine.begin(0, given)
        logits[kind] = logits_of(stepper, engine)[0].softmax(-1)
    plain = prior(config).to(DEVICE, torch.bfloat16)
    state = plain.new_state(given.conditions.to(DEVICE), 1)
    previous = torch.nn.functional.pad(given.known, (1, 0))[None].to(DEVICE)
    theirs = plain.extend(previous, state).logits[0, -1].float().softmax(-1)
    ours, exact = logits[torch.bfloat16], logits[torch.float32]
    assert float((ours - exact).abs().max()) < 0.05
    # Twice: the interpreter truncates where a device rounds.
    assert float((ours - exact).abs().sum()) < 2 * float((theirs - exact).abs().sum()) + 1e-3


def test_other_noise_is_asked_for() -> None:
    """A noise that the kernels do not know is added by the plain choice: recorded numbers, tests."""
    config, given = models.UNLABELLED, window(models.UNLABELLED, 0)

    def other(keys: torch.Tensor, positions: torch.Tensor, count: int) -> torch.Tensor:
        return gumbel(keys + 1, positions, count)

    engine = GraphEngine(FusedStepper(prior(config).to(DEVICE), 1, other))
    engine.begin(0, given)
    moved = replace(given, key=given.key + 1)
    assert torch.equal(engine.run(1)[0], alone(ReferenceEngine, config, moved)[:1])


def test_what_the_kernels_lack_is_said() -> None:
    config = replace(models.UNLABELLED, transformer=replace(models.UNLABELLED.transformer, attention="R(RC)"))
    with pytest.raises(ConfigError, match="union"):
        FusedStepper(models.build(config), 1)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("name", models.ALL)
@pytest.mark.parametrize("bits", [16, 8, 4])
def test_captured_steps_are_the_steps(name: str, bits: int) -> None:
    """On a GPU, captured and not, each kernel begun early and not, in bfloat16: the same codes, bit for bit."""
    config, found = models.ALL[name], []
    for capture, dependent in ((False, False), (True, False), (False, can_depend(DEVICE)), (True, can_depend(DEVICE))):
        made = prior(config).cuda().bfloat16()
        if bits != 16:
            reduced: Bits = 8 if bits == 8 else 4
            quantise(made.transformer, reduced)
        engine = GraphEngine(FusedStepper(made, 3, dependent=dependent), capture=capture)
        for slot, known in enumerate((0, 5, 7)):
            engine.begin(slot, window(config, slot, known, SETTINGS[slot]))
        found.append(engine.run(9))  # a graph of eight steps, and one of one
    assert all(torch.equal(found[0], each) for each in found)
