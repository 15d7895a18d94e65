"""Lies are lies, and cost what the loss says they cost."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jukebox.evaluation.contrasts import another, evaluate_contrasts, lies, shuffled
from jukebox.evaluation.likelihood import evaluate_prior
from jukebox.evaluation.parts import Parts
from jukebox.labels.labels import LabelTokens
from jukebox.labels.text import LyricAlphabet
from jukebox.labels.timing import SongSpan
from jukebox.prior.conditions import conditions_of
from tests.evaluation.test_likelihood import Source
from tests.prior import models

SPAN = SongSpan(total_length_samples=100, offset_samples=0, window_length_samples=10)
NAMES = ((1, (2,)), (3, (2,)), (4, (5,)))


def told(*lyrics: int, artist: int = 1, genre: int = 2) -> LabelTokens:
    return LabelTokens(span=SPAN, artist_id=artist, genre_ids=(genre,), lyric_tokens=lyrics)


@given(st.lists(st.integers(0, 6), max_size=20), st.integers(0, 99))
def test_shuffled_words_are_the_same_words_in_another_order(lyrics: list[int], seed: int) -> None:
    """Tokens 0, 1 and 2 stand between words."""
    found = shuffled(told(*lyrics), frozenset({0, 1, 2}), np.random.default_rng(seed))

    def words(tokens: tuple[int, ...]) -> list[str]:
        return "".join(str(t) if t > 2 else " " for t in tokens).split()

    if found is None:
        assert len(set(words(tuple(lyrics)))) < 2
        return
    assert words(found.lyric_tokens) != words(tuple(lyrics))
    assert sorted(words(found.lyric_tokens)) == sorted(words(tuple(lyrics)))
    assert [t for t in found.lyric_tokens if t < 3] == [t for t in lyrics if t < 3]


def test_another_artist_has_another_genre_where_there_is_one() -> None:
    random = np.random.default_rng(0)
    for _ in range(5):
        found = another(told(artist=1), NAMES, random)
        assert found is not None
        assert (found.artist_id, found.genre_ids) == (4, (5,))
        other = another(told(artist=1), NAMES[:2], random)
        assert other is not None
        assert other.artist_id == 3
    assert another(told(artist=1), NAMES[:1], random) is None


def test_a_lie_costs_the_difference_of_the_losses() -> None:
    prior = models.build(models.ENCODER)
    source, indices = Source(prior), range(5)
    truth = evaluate_prior(prior, source, indices)[0]
    told_names = ((5, (1, -1)), (6, (2, -1)))
    found = lies(prior.config, told_names, LyricAlphabet(characters="a bcd"))
    rows = evaluate_contrasts(prior, source, indices, truth, found, parts=Parts())
    assert [row.name for row in rows] == ["another artist and genre", "words shuffled"]
    expected = []
    for index in indices:
        crop = source.take(index)
        labels = found["another artist and genre"](crop, np.random.default_rng([index, 7]))
        assert labels is not None
        losses = [prior(crop.codes[None], conditions_of([one], prior.config)).losses for one in (labels, crop.labels)]
        expected.append(float((losses[0].music - losses[1].music).detach()))
    assert rows[0].differences == pytest.approx(np.array(expected), abs=1e-5)
    assert rows[0].share == np.mean(np.array(expected) > 0)
    assert torch.tensor(rows[1].differences).abs().min() > 0
