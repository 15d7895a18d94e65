"""One small prior of each kind, with weights large enough that everything matters."""

from typing import Any

import torch

from jukebox.config import LabelConfig, LyricsConfig, PriorConfig, TransformerConfig, UpsamplerConfig
from jukebox.prior.conditions import Conditions
from jukebox.prior.initialise import new_prior
from jukebox.prior.label_conditioner import LabelTensors
from jukebox.prior.prior import Prior

CODES = 16
LABELS = LabelConfig(
    artists=7, genres=5, genre_slots=2, timing_bins=4, min_duration_s=1.0, max_duration_s=10.0, sample_rate=1000
)


def _config(attention: str, *, context: int = CODES, **changes: Any) -> PriorConfig:
    fields = {"level": 2, "labels": LABELS, "upsampler": None, "lyrics": None, "tied_output": True, "recondition": True}
    transformer = TransformerConfig(
        context=context, width=8, attention=attention, heads=2, rows=4, attention_ratio=0.5, init_scale=10.0
    )
    return PriorConfig(codebook_size=10, transformer=transformer, **(fields | changes))


UNLABELLED = _config("RCPD", labels=None, level=1)
JOINT = _config("RCPLD", context=CODES + 8, lyrics=LyricsConfig(tokens=8, vocabulary=6, loss_weight=0.4))
ENCODER = _config(
    "RCPX",
    lyrics=LyricsConfig(
        tokens=8,
        vocabulary=6,
        loss_weight=0.4,
        encoder=TransformerConfig(context=8, width=4, attention="RCP", heads=1, rows=2, init_scale=10.0),
    ),
    tied_output=False,
    recondition=False,
)
UPSAMPLER = _config(
    "RCP",
    level=0,
    labels=LabelConfig(artists=7, genres=5, genre_slots=2),
    upsampler=UpsamplerConfig(steps=2, stride=2, width=4, depth=2),
)
EVERYWHERE = _config("RC", labels=LabelConfig(artists=7, genres=5, genre_slots=2, everywhere=True))
ALL = {
    "unlabelled": UNLABELLED,
    "joint": JOINT,
    "encoder": ENCODER,
    "upsampler": UPSAMPLER,
    "everywhere": EVERYWHERE,
}


def build(config: PriorConfig, seed: int = 0) -> Prior:
    """A prior whose every parameter has an effect: also those that begin at zero in training."""
    generator = torch.Generator().manual_seed(seed)
    prior = new_prior(config, generator).eval()
    with torch.no_grad():
        for name, parameter in prior.named_parameters():
            if parameter.ndim == 1 or name.endswith("attention.output.weight"):
                parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return prior


def codes(batch: int = 2, seed: int = 1) -> torch.Tensor:
    return torch.randint(0, 10, (batch, CODES), generator=torch.Generator().manual_seed(seed))


def conditions(config: PriorConfig, batch: int = 2, seed: int = 2) -> Conditions:
    generator = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int, *shape: int) -> torch.Tensor:
        return torch.randint(low, high, (batch, *shape), generator=generator)

    labels = LabelTensors(
        total_length_samples=draw(1000, 9999),
        offset_samples=draw(0, 1000),
        window_length_samples=torch.full((batch,), 500),
        artist_ids=draw(0, 7),
        genre_ids=draw(-1, 5, 2),
    )
    return Conditions(
        labels=labels if config.labels else None,
        lyrics=draw(0, 6, config.lyrics.tokens) if config.lyrics else None,
        codes_above=draw(0, 10, CODES // 4) if config.upsampler else None,
    )
