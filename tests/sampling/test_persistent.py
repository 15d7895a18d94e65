"""One kernel for all layers writes what five kernels for each of them write, and so what the reference engine writes.

A barrier would wait for ever in the interpreter, whose programs run one after the other: there each stage is a launch,
or programs are threads that take turns (`together`).
"""

from dataclasses import replace

import pytest
import torch

pytest.importorskip("triton")

from jukebox.engines import EngineSettings, make_engine
from jukebox.errors import ConfigError
from jukebox.nn.quantised import quantise
from jukebox.prior.prior import Prior
from jukebox.sampling.fused import FusedStepper
from jukebox.sampling.graph import GraphEngine
from jukebox.sampling.kernels.rules import INTERPRETED
from jukebox.sampling.persistent import MOST_ROWS, PersistentStepper
from jukebox.sampling.reference import ReferenceEngine
from tests.prior import models
from tests.sampling.kernels.machine import DEVICE
from tests.sampling.kernels.together import together
from tests.sampling.test_engine import alone, guided, prior, window
from tests.sampling.test_graph import SETTINGS

KNOWN = (0, 5, 9)


def made(config: models.PriorConfig, bits: int = 16, kind: torch.dtype = torch.float32) -> Prior:
    built = prior(config).to(DEVICE, kind)
    if bits != 16:
        quantise(built.transformer, 8 if bits == 8 else 4)
    return built


def logits_of(stepper: FusedStepper, config: models.PriorConfig, known: tuple[int, ...]) -> torch.Tensor:
    """Of a step of windows at several places, a row for each."""
    engine = GraphEngine(stepper)
    for slot, each in enumerate(known):
        engine.begin(slot, window(config, slot, each, SETTINGS[slot]))
    with torch.no_grad():
        return stepper.compute_logits(stepper.table).clone()


@pytest.mark.parametrize(
    "name", ["encoder", *(pytest.param(n, marks=pytest.mark.slow) for n in models.ALL if n != "encoder")]
)
def test_it_writes_what_the_reference_writes(name: str) -> None:
    """Three windows at three places, with settings of their own, in float32: the same codes."""
    config, steps = models.ALL[name], 1 if name == "encoder" else 2
    given = [window(config, index, known, SETTINGS[index + 1]) for index, known in enumerate(KNOWN)]
    expected = [alone(ReferenceEngine, config, each)[:steps] for each in given]
    engine = GraphEngine(PersistentStepper(made(config), 3, programs=2))
    for slot, each in enumerate(given):
        engine.begin(slot, each)
    found = engine.run(steps)
    for slot, codes in enumerate(expected):
        assert torch.equal(found[slot], codes), slot


@pytest.mark.parametrize("kind", [torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("bits", "known", "programs"),
    [(16, (9,), 3), (8, (0, 5), 1), (4, (9,), 2), *(pytest.param(bits, KNOWN, 5, marks=pytest.mark.slow)
                                                   for bits in (16, 8, 4))],
)  # fmt: skip
def test_logits_are_those_of_five_kernels(bits: int, known: tuple[int, ...], programs: int, kind: torch.dtype) -> None:
    """One row, which is multiplied otherwise, and several; shares of any size, and of none for the last programs."""
    config = replace(models.UNLABELLED, transformer=replace(models.UNLABELLED.transformer, residual_scale=bits == 8))
    stepper = PersistentStepper(made(config, bits, kind), len(known), programs=programs)
    found = logits_of(stepper, config, known)
    expected = logits_of(FusedStepper(made(config, bits, kind), len(known)), config, known)
    # Logits of order 10: sums in another order in float32, roundings of factors to bfloat16 that follow from that.
    torch.testing.assert_close(found, expected, atol=1e-4 if kind == torch.float32 else 0.1, rtol=1e-4)


@pytest.mark.skipif(not INTERPRETED, reason="a card runs all programs at once")
@pytest.mark.parametrize("backwards", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_all_stages_at_once_are_the_stages_one_by_one_in_threads(backwards: bool) -> None:
    """Whatever program comes first in a stage; between stages each matrix but the first is asked for, and no more."""
    config = replace(models.ENCODER, transformer=replace(models.ENCODER.transformer, attention="CX"))
    stepper = PersistentStepper(made(config), 1, programs=3)
    logits_of(stepper, config, (9,))
    x, positions = stepper._x.normal_().clone(), stepper.table.positions
    stepper.layers.run(positions)
    expected = stepper._x.clone()
    stepper._x.copy_(x)
    with together(backwards) as asked:
        stepper.layers.launch(positions, 0, 5 * config.transformer.depth)
    assert torch.equal(stepper._x, expected)
    matrices = [m for block in stepper._blocks for m in (block.first, block.projection, block.inner, block.outer)]
    # Rows of these matrices are no longer than a line: that is the beginning of each output's.
    wanted = {m.weight.data_ptr() + row * m.row_bytes for m in matrices[1:] for row in range(m.outer)}
    assert set(asked) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("letter", "RCPDLWSFET")
def test_every_pattern_at_every_position(letter: str) -> None:
    """The rules as numbers of the table, where five kernels have them as constants; 16 positions side by side."""
    transformer = replace(models.UNLABELLED.transformer, attention=letter, tail=2, window=5, stride=7)
    config = replace(models.UNLABELLED, transformer=transformer)
    if letter == "L":
        config = replace(models.JOINT, transformer=replace(models.JOINT.transformer, attention=letter))
    found, expected = (
        torch.cat([logits_of(kind(made(config), 4), config, known) for known in ((0, 1, 3, 4), (7, 8, 14, 15))])
        for kind in (PersistentStepper, FusedStepper)
    )
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_more_rows_than_it_has_are_five_kernels() -> None:
    """Guidance doubles the rows of a stepper, which may be too many then; an engine has more slots from the start."""
    config = guided(models.UNLABELLED)
    stepper = PersistentStepper(made(config), MOST_ROWS // 2)
    kept = stepper.with_rows(2)
    assert isinstance(kept, PersistentStepper)
    assert kept.table.rows == 2
    stepper = PersistentStepper(made(config), MOST_ROWS)
    assert not isinstance(stepper.with_rows(2), PersistentStepper)
    settings = EngineSettings(engine="persistent", precision="float32")
    for slots, kind in ((MOST_ROWS, PersistentStepper), (MOST_ROWS + 1, FusedStepper)):
        assert type(make_engine(made(config), slots, settings)._stepper) is kind  # pyright: ignore


def test_what_it_lacks_is_said() -> None:
    """By itself and by the settings, before anything is loaded."""
    transformer = replace(models.UNLABELLED.transformer, query_key_norm=True)
    config = replace(models.UNLABELLED, transformer=transformer)
    with pytest.raises(ConfigError, match=r"queries and keys that are normalised or turned; use the fused engine"):
        PersistentStepper(models.build(config), 1)
    with pytest.raises(ConfigError, match=r"The persistent engine cannot be used: .* normalised or turned"):
        EngineSettings(engine="persistent").on(DEVICE, config)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("name", models.ALL)
@pytest.mark.parametrize("bits", [16, 8, 4])
@pytest.mark.parametrize("slots", [1, 3])
def test_all_stages_at_once_are_the_stages_one_by_one(name: str, bits: int, slots: int) -> None:
    """On a GPU: the barrier lets nobody read too early; many times over, the same numbers bit for bit."""
    config, known = models.ALL[name], KNOWN[:slots]
    stepper = PersistentStepper(made(config, bits, torch.bfloat16), slots)
    expected = logits_of(stepper, config, known)
    layers, positions = stepper.layers, stepper.table.positions
    x = stepper._x.clone()
    for _ in range(200):
        stepper._x.copy_(x)
        layers.run(positions)
        at_once = stepper._x.clone()
        stepper._x.copy_(x)
        for stage in range(5 * config.transformer.depth):
            layers.launch(positions, stage, stage + 1)
        assert torch.equal(at_once, stepper._x)
    with torch.no_grad():
        assert torch.equal(stepper.compute_logits(stepper.table), expected)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("name", models.ALL)
def test_captured_steps_are_the_steps(name: str) -> None:
    """On a GPU, captured and not: the same codes, bit for bit."""
    config, found = models.ALL[name], []
    for capture in (False, True):
        engine = GraphEngine(PersistentStepper(made(config, 16, torch.bfloat16), 3), capture=capture)
        for slot, known in enumerate((0, 5, 7)):
            engine.begin(slot, window(config, slot, known, SETTINGS[slot]))
        found.append(engine.run(9))  # a graph of eight steps, and one of one
    assert torch.equal(*found)
