"""Conditions from labels, and dropping them in training for classifier-free guidance."""

from dataclasses import replace

import pytest
import torch

from jukebox.config import ConditionDropout, PriorConfig
from jukebox.errors import LabelError
from jukebox.labels.labels import LabelTokens, NameShare
from jukebox.labels.timing import SongSpan
from jukebox.prior.conditions import Conditions, conditions_of, drop
from tests.prior import models

BATCH = 400
EVERYTHING = ConditionDropout(artist=1.0, genre=1.0, timing=1.0, lyrics=1.0)
SOME = ConditionDropout(artist=0.1, genre=0.3, timing=0.5, lyrics=0.7)


def dropped(given: Conditions, rates: ConditionDropout, seed: int = 0) -> Conditions:
    return drop(given, rates, torch.Generator().manual_seed(seed))


def nulls(given: Conditions) -> list[torch.Tensor]:
    """Which items have lost artist, genres, timing, lyrics."""
    assert given.labels is not None
    assert given.lyrics is not None
    labels = given.labels
    return [
        labels.artist_ids == 0,
        (labels.genre_ids == -1).all(1),
        labels.total_length_samples == 0,
        (given.lyrics == 0).all(1),
    ]


def told() -> Conditions:
    """Conditions in which nothing is null to begin with."""
    given = models.conditions(models.ENCODER, batch=BATCH)
    assert given.labels is not None
    assert given.lyrics is not None
    given.labels.artist_ids.clamp_(min=1)
    given.labels.genre_ids.clamp_(min=0)
    given.lyrics[:, 0] = 1
    return given


def test_each_is_dropped_at_its_own_rate_independently() -> None:
    lost = nulls(dropped(told(), SOME))
    shares = [float(part.float().mean()) for part in lost]
    # Four standard deviations of 400 draws are at most 0.1.
    assert all(abs(share - rate) < 0.1 for share, rate in zip(shares, (0.1, 0.3, 0.5, 0.7), strict=True))
    both = float((lost[2] & lost[3]).float().mean())
    assert abs(both - 0.35) < 0.1


def test_the_generator_decides_and_nothing_given_is_changed() -> None:
    given, untouched = told(), told()
    first, again, other = (nulls(dropped(given, SOME, seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    assert not any(part.any() for part in nulls(given))
    assert torch.equal(given.lyrics, untouched.lyrics)


def test_one_rate_does_not_move_the_choice_of_another() -> None:
    timing = nulls(dropped(told(), SOME))[2]
    alone = nulls(dropped(told(), ConditionDropout(timing=0.5)))
    assert torch.equal(alone[2], timing)
    assert not alone[0].any()


def test_a_prior_answers_without_any_condition() -> None:
    for config in (models.JOINT, models.ENCODER, models.UPSAMPLER, models.UNLABELLED):
        prior, given = models.build(config), models.conditions(config)
        without = dropped(given, EVERYTHING)
        logits = prior(models.codes(), without).logits
        assert torch.isfinite(logits).all()
        assert torch.equal(logits, prior(models.codes(), dropped(without, EVERYTHING)).logits)
        if config.labels is not None:
            assert not torch.equal(logits, prior(models.codes(), given).logits)
            # Whoever the song was by, the null condition is the same (but for the level above).
            others = replace(models.conditions(config, seed=5), codes_above=given.codes_above)
            assert torch.equal(logits, prior(models.codes(), dropped(others, EVERYTHING)).logits)


def test_what_is_mixed_in_is_hidden_with_the_rest() -> None:
    plain = label()
    blended = replace(plain, blend=(NameShare(weight=0.5, artist_id=5, genre_ids=(2, 3)),))
    prior = models.build(models.JOINT)
    logits = {name: prior(models.codes(), conditions_of([each] * 2, models.JOINT)).logits
              for name, each in (("plain", plain), ("blended", blended))}  # fmt: skip
    assert not torch.equal(logits["plain"], logits["blended"])
    hidden = [dropped(conditions_of([each] * 2, models.JOINT), EVERYTHING) for each in (plain, blended)]
    torch.testing.assert_close(prior(models.codes(), hidden[0]).logits, prior(models.codes(), hidden[1]).logits)


def label(lyric_tokens: tuple[int, ...] = (0, 0, 0, 1, 2, 3, 4, 5)) -> LabelTokens:
    span = SongSpan(total_length_samples=4000, offset_samples=0, window_length_samples=500)
    return LabelTokens(span=span, artist_id=3, genre_ids=(1, -1), lyric_tokens=lyric_tokens)


@pytest.mark.parametrize("config", models.ALL.values(), ids=models.ALL.keys())
def test_labels_become_what_the_prior_reads(config: PriorConfig) -> None:
    above = torch.zeros(2, 4, dtype=torch.int64) if config.upsampler else None
    found = conditions_of([label(), label()], config, above).to(torch.device("cpu"))
    assert (found.labels is None, found.lyrics is None) == (config.labels is None, config.lyrics is None)
    assert torch.isfinite(models.build(config)(models.codes(), found).losses.total)


def test_lyrics_of_another_model_are_refused() -> None:
    with pytest.raises(LabelError, match="3 lyric tokens; this model reads 8"):
        conditions_of([label((1, 2, 3))], models.JOINT)
    with pytest.raises(LabelError, match="lyric tokens are 0 to 6; this model has 0 to 5"):
        conditions_of([label((0, 0, 0, 1, 2, 3, 4, 6))], models.JOINT)
