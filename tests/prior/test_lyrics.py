"""Lyrics in both forms; equality with the original is in tests/parity/prior.py."""

import torch

from jukebox.prior.lyrics import LyricsEncoder, TokenLayout
from tests.prior import models


def test_a_joint_vocabulary_has_lyrics_first() -> None:
    layout = TokenLayout.of(models.JOINT)
    assert layout == TokenLayout(prefix=8, shift=6, vocabulary=16)
    codes, lyrics = models.codes(), models.conditions(models.JOINT).lyrics
    tokens = layout.tokens(codes, lyrics)
    assert torch.equal(tokens[:, :8], lyrics)
    assert torch.equal(layout.codes(tokens[:, 8:]), codes)


def test_a_lyric_token_among_the_codes_counts_as_code_0() -> None:
    assert TokenLayout.of(models.JOINT).codes(torch.tensor([[0, 5, 6, 7]])).tolist() == [[0, 0, 0, 1]]


def test_encoded_lyrics_leave_the_tokens_alone() -> None:
    for config in (models.ENCODER, models.UNLABELLED):
        layout = TokenLayout.of(config)
        assert layout == TokenLayout(prefix=0, shift=0, vocabulary=10)
        assert layout.tokens(models.codes(), None) is not None


def encoder() -> LyricsEncoder:
    found = models.build(models.ENCODER).lyrics_encoder
    assert found is not None
    return found


def test_the_encoder_predicts_each_character_from_those_before() -> None:
    module, lyrics = encoder(), models.conditions(models.ENCODER).lyrics
    assert lyrics is not None
    changed = lyrics.clone()
    changed[:, 5] = (lyrics[:, 5] + 1) % 6
    difference = (module.logits(module(lyrics)) - module.logits(module(changed))).abs().amax((0, 2))
    assert not difference[:6].any()
    assert difference[6:].any()


def test_what_cross_attention_sees_is_normalised() -> None:
    module, lyrics = encoder(), models.conditions(models.ENCODER).lyrics
    assert lyrics is not None
    encoded = module(lyrics)
    plain = (encoded - module.norm.bias) / module.norm.weight
    torch.testing.assert_close(plain.mean(-1), torch.zeros(2, 8), rtol=0, atol=1e-5)
    assert encoded.shape == (2, 8, 8)
