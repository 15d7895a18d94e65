"""Small models and the golden files that several tests of checkpoints use."""

import json
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from jukebox.checkpoints import layout, openai, openai_config
from jukebox.checkpoints.openai import Imported
from jukebox.checkpoints.orders import letters
from jukebox.config import (
    CodebookConfig,
    LabelConfig,
    LyricsConfig,
    PriorConfig,
    TransformerConfig,
    UpsamplerConfig,
    VqvaeConfig,
)

GOLDEN = Path(__file__).parent.parent / "golden"
CHECKPOINTS = GOLDEN / "checkpoints"
NAMES = ("vqvae", "vqvae_module_prefix", "vqvae_zip_format", "prior", "prior_upsampler")

VQVAE = VqvaeConfig(width=2, depth=1, multipliers=(1, 1, 1), embedding_width=3, codebook=CodebookConfig(size=10))


@cache
def golden_hps() -> dict[str, dict]:
    """The recorded hyper-parameters, for the files that carry none."""
    return json.loads((CHECKPOINTS / "config.json").read_text())


def golden_path(name: str) -> Path:
    return CHECKPOINTS / f"{name}.pth.tar"


@cache
def golden(name: str) -> Imported:
    """One of the recorded files, imported."""
    without_hps = name in ("vqvae_module_prefix", "vqvae_zip_format")
    config = openai_config.vqvae_config(golden_hps()["vqvae"]["hps"]) if without_hps else None
    return openai.read(golden_path(name), config)


def upsampler(level: int) -> PriorConfig:
    """A tied upsampler without timing, as the released ones."""
    return PriorConfig(
        level=level,
        codebook_size=10,
        transformer=TransformerConfig(context=16, width=8, attention="RCP", heads=1, rows=4, init_scale=0.4),
        labels=LabelConfig(artists=7, genres=5, genre_slots=5),
        upsampler=UpsamplerConfig(steps=2, stride=2, width=4, depth=2, residual_scale=level == 1),
        lyrics=None,
        tied_output=True,
        recondition=True,
    )


def joint_top() -> PriorConfig:
    """A top prior that reads lyrics as a prefix, as 1b_lyrics."""
    return PriorConfig(
        level=2,
        codebook_size=10,
        transformer=TransformerConfig(context=24, width=8, attention=letters(12, 17), heads=2, rows=4),
        labels=LabelConfig(
            artists=9, genres=3, genre_slots=1, timing_bins=4, min_duration_s=17.84, max_duration_s=600.0
        ),
        upsampler=None,
        lyrics=LyricsConfig(tokens=8, vocabulary=79, loss_weight=0.4, alignment_layer=15, alignment_head=0),
        tied_output=True,
        recondition=True,
    )


def encoder_top() -> PriorConfig:
    """A top prior with a separate lyrics encoder, as 5b_lyrics."""
    return PriorConfig(
        level=2,
        codebook_size=10,
        transformer=TransformerConfig(context=16, width=8, attention=letters(10, 19), heads=2, rows=4),
        labels=LabelConfig(
            artists=7, genres=5, genre_slots=5, timing_bins=4, min_duration_s=23.8, max_duration_s=600.0
        ),
        upsampler=None,
        lyrics=LyricsConfig(
            tokens=8,
            vocabulary=80,
            loss_weight=0.4,
            encoder=TransformerConfig(context=8, width=4, attention="RCP", heads=1, rows=2),
        ),
        tied_output=False,
        recondition=False,
    )


def unlabelled() -> PriorConfig:
    """A prior with a start token instead of labels."""
    return PriorConfig(
        level=1,
        codebook_size=10,
        transformer=TransformerConfig(context=16, width=8, attention="DD", heads=1, rows=None),
        labels=None,
        upsampler=None,
        lyrics=None,
        tied_output=True,
        recondition=True,
    )


def random_tensors(config: layout.ModelConfig) -> dict[str, Tensor]:
    """Random parameters; matrices of linear layers in half precision, codebook sums as after an import."""
    generator = torch.Generator().manual_seed(1)
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in layout.shapes(config).items()}
    half = {
        name: tensor.half() if ".attention." in name and name.endswith("weight") else tensor
        for name, tensor in tensors.items()
        if ".ema_" not in name
    }
    return openai.add_running_sums(half)


def assert_same_model(found: Imported, config: layout.ModelConfig, tensors: dict[str, Tensor]) -> None:
    """Equal configuration, and equal names, types and bits of every tensor."""
    assert found.config == config
    assert set(found.tensors) == set(tensors)
    for name, tensor in tensors.items():
        assert found.tensors[name].dtype == tensor.dtype, name
        assert found.tensors[name].equal(tensor), name
