"""Noise is a function of its counters, the same however it is computed."""

import math

import pytest
import torch

from jukebox.sampling import noise
from jukebox.sampling.noise import gumbel, noise_key

WORD = (1 << 64) - 1


def bits(key: int, position: int, token: int) -> int:
    """splitmix64 of a counter, in Python's integers: its upper half."""
    x = (key + (position * (1 << 20) + token) * 0x9E3779B97F4A7C15) & WORD
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & WORD
    x = (x ^ x >> 27) * 0x94D049BB133111EB & WORD
    return (x ^ x >> 31) >> 32


def test_noise_is_that_of_counters() -> None:
    """Of more rows than are made at once."""
    keys = [noise_key(seed, 0, 2) for seed in range(21)]
    places = [7 * row for row in range(21)]
    found = gumbel(torch.tensor(keys), torch.tensor(places), 5)
    for row, (key, place) in enumerate(zip(keys, places, strict=True)):
        for token in range(5):
            uniform = (bits(key, place, token) + 0.5) / 2**32
            assert float(found[row, token]) == pytest.approx(-math.log(-math.log1p(-uniform)), rel=1e-5, abs=1e-6)


def test_integers_are_the_same_on_a_processor_and_elsewhere() -> None:
    counters = torch.randint(-(2**63), 2**63 - 1, (40, 33), generator=torch.Generator().manual_seed(1))
    elsewhere, here = noise._uniform_bits(counters.clone()), noise._uniform_bits(counters.clone().numpy())
    assert torch.equal(elsewhere, torch.from_numpy(here))
    assert int(elsewhere.min()) >= 0
    assert int(elsewhere.max()) < 2**32
