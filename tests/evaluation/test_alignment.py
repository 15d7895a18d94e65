"""Planted attention is found where it was planted; ranks are those of SciPy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, rankdata

from jukebox.evaluation.alignment import evaluate_alignment, measured, rank_correlation, sung_words
from jukebox.evaluation.parts import Parts
from tests.evaluation.test_likelihood import Source
from tests.prior import models

WORDS = [(0, 4, 0, 2), (4, 6, 2, 4), (8, 12, 5, 6), (12, 16, 6, 8)]
"""(first code, one past the last, first token, one past the last); from code 6 to 8 nothing is sung."""


def sung() -> torch.Tensor:
    found = torch.full((16, 2), -1)
    for start, stop, first, end in WORDS:
        found[start:stop] = torch.tensor([first, end])
    return found


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=12))
def test_ranks_are_those_of_scipy(pairs: list[tuple[int, int]]) -> None:
    one, other = np.array(pairs, float).T
    found = rank_correlation(one, other)
    if len(set(one)) == 1 or len(set(other)) == 1:
        assert found == 0
    else:
        assert found == pytest.approx(pearsonr(rankdata(one), rankdata(other)).statistic)


def test_words_are_found_in_their_order() -> None:
    assert sung_words(sung()) == WORDS
    again = torch.tensor([[0, 2], [-1, -1], [0, 2], [2, 3], [0, 2]])
    assert sung_words(again) == [(0, 1, 0, 2), (2, 3, 0, 2), (3, 4, 2, 3), (4, 5, 0, 2)]


def test_a_head_that_follows_is_told_from_one_that_does_not() -> None:
    follows, sleeps, against = torch.zeros(16, 9), torch.full((16, 9), 1 / 9), torch.zeros(16, 9)
    for start, stop, first, end in WORDS:
        follows[start:stop, first : end + 1] = 1 / (end + 1 - first)
        against[16 - stop : 16 - start, first : end + 1] = 1 / (end + 1 - first)
    correlation, share, error = measured(follows.double(), WORDS)
    assert (correlation, share) == pytest.approx((1, 1))
    assert error < 1.5  # a neighbour's first character is also the one after this word's last
    assert measured(sleeps.double(), WORDS)[0] == 0
    assert measured(against.double(), WORDS)[0] == pytest.approx(-1)


def test_every_head_is_measured_and_the_best_comes_first() -> None:
    prior = models.build(models.ENCODER)
    source = Source(prior)
    take = source.take
    source.take = lambda index: type(take(index))(**{**vars(take(index)), "sung": sung() if index else sung() * 0 - 1})
    found = evaluate_alignment(prior, source, range(5), 0.5, parts=Parts())
    assert found.windows == 4  # nothing is sung in the first
    assert {(row.layer, row.head) for row in found.heads} == {(3, 0), (3, 1)}
    assert found.heads[0].correlation >= found.heads[1].correlation
    assert found.even_share == pytest.approx((4 * 3 + 2 * 3 + 4 * 2 + 4 * 2) / 14 / 8)  # the last word ends the window
