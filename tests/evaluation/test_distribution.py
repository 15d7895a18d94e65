"""The Fréchet distance against its closed forms, and what the embedding hears."""

import math

import numpy as np
import pytest
import torch

from jukebox.errors import DataError
from jukebox.evaluation.distribution import clip_samples, distance, embed, frechet_distance, halves


def normal(mean: np.ndarray, deviation: np.ndarray, clips: int = 4000, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    values = random.standard_normal((clips, len(mean)))
    values = (values - values.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(values.T))).T  # exactly white
    return values * deviation + mean


def test_of_normal_distributions_it_is_the_closed_form() -> None:
    first = normal(np.zeros(3), np.array([1.0, 2.0, 3.0]))
    second = normal(np.array([1.0, 0.0, -2.0]), np.array([1.0, 4.0, 1.0]), seed=1)
    expected = 5 + (2 - 4) ** 2 + (3 - 1) ** 2
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(second, first) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-6)


def test_fewer_clips_than_features_give_a_number_too() -> None:
    few = np.random.default_rng(0).standard_normal((5, 20))
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-5)
    with pytest.raises(DataError, match="needs two of each"):
        frechet_distance(few, few[:1])


def test_extrapolation_removes_the_bias_of_few_clips() -> None:
    random = np.random.default_rng(0)
    reference, other = random.standard_normal((20_000, 10)), random.standard_normal((400, 10))
    found = distance(reference, other)
    assert found.clips == 400
    assert found.distance > 0.05
    assert abs(found.extrapolated) < found.distance / 2
    assert math.isnan(distance(reference, other[:20]).extrapolated)


def test_a_feature_does_not_count_for_its_unit() -> None:
    random = np.random.default_rng(0)
    a, b = random.standard_normal((50, 4)), random.standard_normal((50, 4)) + 1
    unit = np.array([1.0, 100.0, 0.01, 1.0])
    assert distance(a, b).distance == pytest.approx(distance(a * unit, b * unit).distance)


def test_the_embedding_hears_timbre_and_level_but_not_the_clip() -> None:
    samples = clip_samples(44_100)
    noise = [0.1 * torch.randn(1, samples, generator=torch.Generator().manual_seed(k)) for k in range(3)]
    a, b = embed(noise[0], 44_100), embed(noise[1], 44_100)
    duller = embed(torch.nn.functional.avg_pool1d(noise[2], 5, 1, 2), 44_100)
    assert a.shape == (80,)
    assert np.linalg.norm(a - b) < 0.05 * np.linalg.norm(a - duller)
    louder = embed(2 * noise[0], 44_100)
    changed = np.abs(louder - a)
    assert changed[0] == pytest.approx(math.log10(2) * 8, rel=1e-3)  # the first cepstrum: sqrt(64) times the mean log
    assert changed[1:].max() < 1e-3


def test_halves_share_no_song() -> None:
    embeddings = np.arange(10.0)[:, None]
    songs = list("aabbbccdde")
    first, second = halves(embeddings, songs)
    names = [{songs[int(v)] for v in half[:, 0]} for half in (first, second)]
    assert names[0] & names[1] == set()
    assert names[0] | names[1] == set("abcde")
