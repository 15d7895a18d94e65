"""The n-gram is a distribution, whatever it has seen, and knows what it has seen."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jukebox.errors import ConfigError
from jukebox.evaluation.ngram import Ngram

SIZE = 5
runs = st.lists(st.lists(st.integers(0, SIZE - 1), max_size=12), max_size=4)


@settings(max_examples=60, deadline=None)
@given(seen=runs, context=st.lists(st.integers(0, SIZE - 1), max_size=4), order=st.integers(1, 4))
def test_the_probabilities_of_all_next_codes_sum_to_one(seen: list[list[int]], context: list[int], order: int) -> None:
    model = Ngram([np.array(run, np.int64) for run in seen], SIZE, order)
    bits = [model.bits(np.array([*context, code]))[-1] for code in range(SIZE)]
    assert sum(2.0**-b for b in bits) == pytest.approx(1)
    assert all(math.isfinite(b) for b in bits)


def test_what_always_follows_costs_little_and_what_is_new_as_much_as_its_frequency() -> None:
    cycle = np.tile(np.arange(SIZE), 2000)
    assert Ngram([cycle], SIZE, 2).bits(cycle)[1:].max() < 0.01
    chance = np.random.default_rng(0).integers(0, SIZE, 50_000)
    for order in (1, 2, 3):
        found = Ngram([chance], SIZE, order).bits(np.random.default_rng(1).integers(0, SIZE, 5000))
        assert found.mean() == pytest.approx(math.log2(SIZE), abs=0.01)


def test_longer_orders_see_further() -> None:
    """The next code is the sum of the two before it: a bigram knows nothing, a trigram everything."""
    random, codes = np.random.default_rng(0), [1, 2]
    while len(codes) < 40_000:
        codes.append(int((codes[-1] + codes[-2]) % SIZE if random.random() < 0.95 else random.integers(SIZE)))
    train, test = np.array(codes[:30_000]), np.array(codes[30_000:])
    bits = {order: float(Ngram([train], SIZE, order).bits(test).mean()) for order in (1, 2, 3, 4)}
    right = 0.95 + 0.05 / SIZE
    entropy = -right * math.log2(right) - (1 - right) * math.log2(0.05 / SIZE)
    assert bits[2] > 2.2
    assert bits[3] == pytest.approx(entropy, abs=0.02)
    assert bits[4] == pytest.approx(entropy, abs=0.1)


def test_runs_do_not_reach_into_each_other() -> None:
    apart = Ngram([np.array([0, 1]), np.array([2, 3])], SIZE, 2)
    joined = Ngram([np.array([0, 1, 2, 3])], SIZE, 2)
    assert apart.bits(np.array([1, 2]))[1] > joined.bits(np.array([1, 2]))[1]


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(ConfigError, match="codes of 2048 allow 1 to 5"):
        Ngram([], 2048, 6)
    with pytest.raises(ConfigError, match="not all in 0 to 4"):
        Ngram([np.array([5])], SIZE, 2)
