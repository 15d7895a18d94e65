"""Noise, choice and inputs as kernels make them are those of PyTorch."""

from dataclasses import replace

import pytest
import torch

pytest.importorskip("triton")

from jukebox.sampling.kernels import tokens
from jukebox.sampling.noise import gumbel, noise_key
from jukebox.sampling.stepper import Variant, draw
from jukebox.sampling.table import SlotTable
from jukebox.sampling.token import SamplingConfig, filter_logits
from tests.sampling.kernels.machine import DEVICE, drawn

SETTINGS = (
    SamplingConfig(temperature=0.0),
    SamplingConfig(),
    SamplingConfig(temperature=0.7),
    SamplingConfig(top_k=1),
    SamplingConfig(top_k=5),
    SamplingConfig(temperature=1.3, top_p=0.6),
    SamplingConfig(top_p=0.01),
    SamplingConfig(top_k=20, top_p=0.5),
    SamplingConfig(top_k=10_000, top_p=1.0),
)


def test_noise_is_the_same_noise() -> None:
    """The same bits; the logarithms differ by a few roundings (measured: 3e-6 of values up to 20)."""
    keys = torch.tensor([noise_key(0, 0, 0), noise_key(5, 1, 2), -1, 0], device=DEVICE)
    places = torch.tensor([0, 1, 1 << 20, 10**7], device=DEVICE)
    found, expected = tokens.noise(keys, places, 2000), gumbel(keys, places, 2000)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-6)
    assert torch.equal(found.argmax(1), expected.argmax(1))


def table(vocabulary: int, rows: int) -> SlotTable:
    made = SlotTable.empty(len(SETTINGS), 2, vocabulary, DEVICE, rows)
    for slot, sampling in enumerate(SETTINGS):
        made.set_choice(slot, replace(sampling, guidance=0.5 * slot), vocabulary)
        made.keys[slot], made.places[slot], made.positions[slot] = noise_key(slot, 0, 1), 3 + 1000 * slot, slot
    made.moves[:] = 1
    made.moves[2] = 0
    made.replayed[4, 1] = 11
    return made


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize(("vocabulary", "times"), [(30, 2), pytest.param(64, 30, marks=pytest.mark.slow)])
def test_the_same_tokens_are_drawn(vocabulary: int, times: int, rows: int) -> None:
    """All settings side by side, guided or not; slots move on; what is read again is taken as it is."""
    ours, theirs = table(vocabulary, rows), table(vocabulary, rows)
    for seed in range(times):
        logits = 3 * drawn(rows * len(SETTINGS), vocabulary, seed=seed)
        tokens.draw(ours, logits, seed % 2)
        draw(theirs, seed % 2, logits, Variant(reach=0, top_k=True, top_p=True), gumbel)
        for name, tensor in vars(ours).items():
            assert torch.equal(tensor, getattr(theirs, name)), name


def test_of_equals_all_are_kept() -> None:
    """Four tokens share the place of the second most probable: a border at it keeps all five, as `top_k` does."""
    logits = torch.tensor([[4.0, 2.0, 2.0, 2.0, 2.0, 1.0, 0.0, -1.0]], device=DEVICE)
    kept = filter_logits(logits, top_k=2).isfinite()[0]
    seen = set()
    for place in range(24):
        made = SlotTable.empty(1, 1, 8, DEVICE)
        made.set_choice(0, SamplingConfig(temperature=5.0, top_k=2), 8)
        made.places[0] = place
        tokens.draw(made, logits, 0)
        seen.add(int(made.written[0, 0]))
    assert seen == set(kept.nonzero()[:, 0].tolist()) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("learned", [True, False])
@pytest.mark.parametrize("conditioned", [True, False])
def test_inputs(learned: bool, conditioned: bool) -> None:
    made = SlotTable.empty(3, 1, 10, DEVICE)
    previous, positions = torch.tensor([4, 9, 2], device=DEVICE), torch.tensor([0, 5, 1], device=DEVICE)
    made.previous[:, 0], made.positions[:, 0] = previous, positions
    words, places, start, added = drawn(10, 20), drawn(6, 20), drawn(3, 20), drawn(3, 6, 20)
    out = torch.full((3, 20), 9.0, device=DEVICE)
    tokens.embed(made, words, places if learned else None, start, added if conditioned else None, out)
    expected = torch.where((positions == 0)[:, None], start, words[previous])
    expected = expected + (places[positions] if learned else 0)
    expected = expected + (added[torch.arange(3, device=DEVICE), positions] if conditioned else 0)
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=1e-6)
