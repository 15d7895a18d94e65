"""Bits of a prior equal its loss, position by position, whatever it is told."""

import numpy as np
import pytest
import torch

from jukebox.config import ConditionDropout
from jukebox.data.windows import TokenCrop
from jukebox.evaluation.likelihood import evaluate_ngrams, evaluate_prior, variants
from jukebox.labels.labels import LabelTokens
from jukebox.labels.timing import SongSpan
from jukebox.prior.conditions import conditions_of, drop
from jukebox.prior.prior import Prior
from tests.data.collections import some_song
from tests.prior import models


class Source:
    """A few windows of random codes for one of the small priors."""

    def __init__(self, prior: Prior, count: int = 5) -> None:
        self.config, self.count = prior.config, count

    def __len__(self) -> int:
        return self.count

    def take(self, index: int) -> TokenCrop:
        random, config = torch.Generator().manual_seed(index), self.config
        lyrics = config.lyrics
        above = config.upsampler and torch.randint(config.codebook_size, (config.codes_context // 4,), generator=random)
        return TokenCrop(
            codes=torch.randint(config.codebook_size, (config.codes_context,), generator=random),
            codes_above=above,
            labels=LabelTokens(
                span=SongSpan(total_length_samples=5000, offset_samples=100 * index, window_length_samples=160),
                artist_id=index % 7,
                genre_ids=(index % 5, -1),
                lyric_tokens=tuple(torch.randint(lyrics.vocabulary, (lyrics.tokens,), generator=random).tolist())
                if lyrics
                else (),
            ),
            sung=torch.full((config.codes_context, 2), -1),
            song=some_song(),
        )


@pytest.mark.parametrize("config", [models.UNLABELLED, models.JOINT, models.ENCODER], ids=["bare", "joint", "encoder"])
def test_bits_are_the_loss_of_the_prior(config: object) -> None:
    prior = models.build(config)
    source = Source(prior)
    found = {row.name: row for row in evaluate_prior(prior, source, range(5), batch=2)}
    assert list(found) == list(variants(prior.config))
    for name, hidden in variants(prior.config).items():
        bits = []
        for index in range(5):
            crop = source.take(index)
            told = drop(conditions_of([crop.labels], prior.config), hidden, torch.Generator())
            bits.append(float(prior(crop.codes[None], told).losses.music.detach()))
        assert found[name].mean == pytest.approx(np.mean(bits), rel=1e-5)
        assert found[name].standard_error == pytest.approx(np.std(bits, ddof=1) / 5**0.5, rel=1e-3)
        firsts, means = found[name].by_position(parts=4)
        assert firsts == [0, 4, 8, 12]
        assert np.mean(means) == pytest.approx(found[name].mean)
    if prior.config.lyrics:
        assert found["told everything"].mean != found["without lyrics"].mean
        assert variants(prior.config)["without labels"] == ConditionDropout(artist=1.0, genre=1.0, timing=1.0)


def test_ngrams_of_every_order_stand_beside() -> None:
    source = Source(models.build(models.UNLABELLED))
    seen = [source.take(index).codes.numpy() for index in range(5)]
    rows = evaluate_ngrams(seen * 40, source, range(5), source.config.codebook_size)
    means = [row.mean for row in rows]
    assert [row.name for row in rows] == ["1-gram", "2-gram", "3-gram", "4-gram"]
    assert means == sorted(means, reverse=True)
    assert means[-1] < 1  # these windows have been seen
