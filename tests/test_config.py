"""Configurations: JSON is the identity, and what is wrong is named."""

import dataclasses
import pickle

import pytest

from jukebox.config import (
    CodebookConfig,
    ConditionDropout,
    LabelConfig,
    LossConfig,
    LyricsConfig,
    PriorConfig,
    TransformerConfig,
    VqvaeConfig,
)
from jukebox.errors import ConfigError, FieldError


def test_json_is_the_identity() -> None:
    config = VqvaeConfig(codebook=CodebookConfig(size=7, initialisation="kmeans"), loss=LossConfig(reconstruction="l1"))
    assert VqvaeConfig.from_json(config.to_json()) == config


def test_the_released_shape_is_the_default() -> None:
    config = VqvaeConfig()
    assert config.hops == (8, 32, 128)
    assert config.dilations(0) == (1, 3, 9, 27, 81, 243, 729, 2187)
    assert config.dilations(2) == (1, 3, 9, 27)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"levls": 3}, "VqvaeConfig has no field 'levls'"),
        ({"width": "wide"}, "VqvaeConfig.width is 'wide'; expected a whole number"),
        ({"width": True}, "VqvaeConfig.width is True; expected a whole number"),
        ({"steps": 3}, "VqvaeConfig.steps is 3; expected a list"),
        ({"codebook": {"learning": "magic"}}, "CodebookConfig.learning is 'magic'; expected one of 'ema', 'gradient'"),
        ({"codebook": {"size": 1}}, "CodebookConfig.size is 1; expected at least 2 codes"),
        ({"strides": [2, 2]}, r"VqvaeConfig.strides is \(2, 2\); expected one value per level \(3\)"),
        ({"strides": [3, 2, 2]}, "expected even strides"),
        ({"loss": {"n_ffts": [512]}}, "LossConfig has 1 n_ffts, 3 hop_lengths"),
        ({"loss": {"window_lengths": [4096, 600, 240]}}, "windows no longer than their n_fft"),
        ({"codebook": None}, "CodebookConfig is None; expected an object"),
        ({"loss": {"commit": float("inf")}}, "LossConfig.commit is inf; expected a finite number"),
    ],
)
def test_what_is_wrong_is_named(values: dict, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        VqvaeConfig.from_dict(values)


def test_a_mistake_in_a_field_is_the_same_when_a_worker_sends_it() -> None:
    with pytest.raises(FieldError) as caught:
        VqvaeConfig.from_dict({"width": "wide"})
    sent = pickle.loads(pickle.dumps(caught.value))
    assert str(sent) == str(caught.value) == "VqvaeConfig.width is 'wide'; expected a whole number."
    assert (sent.field, sent.said) == ("width", "is 'wide'; expected a whole number.")


def test_text_that_is_not_json() -> None:
    with pytest.raises(ConfigError, match="not JSON"):
        VqvaeConfig.from_json("{")


def test_missing_fields_are_named() -> None:
    with pytest.raises(ConfigError, match="TransformerConfig lacks the field 'context'"):
        TransformerConfig.from_dict({"width": 8, "attention": "D", "heads": 1, "rows": None})


def test_cross_attention_needs_lyrics() -> None:
    transformer = TransformerConfig(context=16, width=8, attention="RX", heads=1, rows=4)
    with pytest.raises(ConfigError, match="cross-attention layers"):
        PriorConfig(
            level=2, codebook_size=8, transformer=transformer, labels=None, upsampler=None, lyrics=None,
            tied_output=True, recondition=True,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"attention": "RQ"}, "letters of RCPDXLET"),
        ({"rows": None}, "a number of rows"),
        ({"rows": 5}, "a divisor of 16"),
        ({"attention": "T"}, "a number of positions"),
        ({"heads": 3}, "a divisor of 2"),
    ],
)
def test_transformers_that_cannot_be(change: dict, sentence: str) -> None:
    good = TransformerConfig(context=16, width=8, attention="RCP", heads=1, rows=4)
    assert good.depth == 3
    with pytest.raises(ConfigError, match=sentence):
        dataclasses.replace(good, **change)


def test_priors_that_cannot_be() -> None:
    transformer = TransformerConfig(context=16, width=8, attention="RCP", heads=1, rows=4)
    plain = PriorConfig(
        level=2, codebook_size=8, transformer=transformer, labels=None, upsampler=None, lyrics=None,
        tied_output=True, recondition=True,
    )  # fmt: skip
    lyrics = LyricsConfig(tokens=16, vocabulary=5, loss_weight=0.4)
    with pytest.raises(ConfigError, match="a prefix that leaves room in 16"):
        dataclasses.replace(plain, lyrics=lyrics)
    with pytest.raises(ConfigError, match=r"LyricsConfig.tokens is 8; expected the encoder's 16"):
        dataclasses.replace(lyrics, tokens=8, encoder=transformer)
    with pytest.raises(ConfigError, match=r"ConditionDropout.lyrics is 1\.5; expected a probability"):
        ConditionDropout(lyrics=1.5)
    with pytest.raises(ConfigError, match="both durations, the shorter first"):
        LabelConfig(artists=1, genres=1, genre_slots=1, timing_bins=4, min_duration_s=60.0, max_duration_s=60.0)
    assert PriorConfig.from_json(plain.to_json()) == plain
    assert plain.condition_dropout == ConditionDropout()
