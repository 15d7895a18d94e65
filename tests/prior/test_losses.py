"""Bits per token (facts 3.2)."""

import pytest
import torch

from jukebox.prior.losses import bits, weighted


def test_a_fair_choice_among_2048_codes_costs_11_bits() -> None:
    loss = bits(torch.zeros(2, 3, 2048), torch.zeros(2, 3, dtype=torch.int64))
    assert float(loss) == pytest.approx(11.0)


def test_certainty_costs_nothing_and_half_precision_is_counted_in_float32() -> None:
    logits = torch.zeros(1, 2, 4, dtype=torch.bfloat16)
    logits[0, 0, 3] = logits[0, 1, 1] = 100.0
    loss = bits(logits, torch.tensor([[3, 1]]))
    assert loss.dtype == torch.float32
    assert float(loss) == 0.0


def test_lyrics_weigh_less_but_are_counted() -> None:
    music, lyrics = torch.tensor(8.0), torch.tensor(4.0)
    found = weighted(music=music, codes=6144, lyrics=lyrics, lyric_tokens=384, lyrics_weight=0.4)
    assert float(found.total) == pytest.approx((8 * 6144 + 0.4 * 4 * 384) / 6528)
    assert (found.music, found.lyrics) == (music, lyrics)
