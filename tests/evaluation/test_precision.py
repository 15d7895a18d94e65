"""Fewer bits cost something, in their order; the prior that is measured stays as it is."""

import pytest
import torch

from jukebox.errors import ConfigError
from jukebox.evaluation.likelihood import evaluate_prior
from jukebox.evaluation.precision import RUNGS, evaluate_precisions, parse_rungs, reduced
from jukebox.prior.conditions import Conditions
from tests.evaluation.test_likelihood import Source
from tests.prior import models


def test_rungs_by_name() -> None:
    assert parse_rungs("int8,bfloat16,int8") == ("int8", "bfloat16")
    with pytest.raises(ConfigError, match="no precision 'int3'"):
        parse_rungs("int8,int3")
    with pytest.raises(ConfigError, match="calibrated4 is chosen for songs of training"):
        reduced(models.build(models.UNLABELLED), "calibrated4")


def test_costs_are_differences_of_the_same_windows() -> None:
    prior = models.build(models.UNLABELLED)
    exact = evaluate_prior(prior, Source(prior), range(5))[0]
    costs = list(evaluate_precisions(prior, Source(prior), range(5), ("int4",), exact, batch=2))
    assert [cost.name for cost in costs] == ["int4"]
    means = (costs[0].predicted.bits - exact.bits).mean(1)
    assert costs[0].mean == pytest.approx(means.mean(), rel=1e-3)
    assert costs[0].standard_error == pytest.approx(means.std(ddof=1) / 5**0.5, rel=1e-3)


def test_predictions_move_away_as_bits_go() -> None:
    """By their divergence from the exact ones, which unlike a cost on any codes cannot be negative."""
    prior, codes = models.build(models.UNLABELLED), models.codes(6)
    before = [parameter.clone() for parameter in prior.parameters()]

    def predictions(of: torch.nn.Module) -> torch.Tensor:
        with torch.no_grad():
            return of(codes, Conditions()).logits.float().log_softmax(-1)

    exact = predictions(prior)
    far = {
        rung: float((exact.exp() * (exact - predictions(reduced(prior, rung, Source(prior))))).sum(-1).mean())
        for rung in RUNGS
    }
    assert all(value > 0 for value in far.values())
    assert far["int4"] > max(far["int8"], far["cache8"])
    assert far["calibrated4"] < far["int4"]
    assert all(torch.equal(old, new) for old, new in zip(before, prior.parameters(), strict=True))
