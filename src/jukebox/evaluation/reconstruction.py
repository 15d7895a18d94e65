"""How close a reconstruction comes: measured on segments, so that any length takes the same memory.

Segments of three seconds are the ones that the published figures of the original were measured on (facts 2.5).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from jukebox.audio.spectral import (
    log_mel_distance,
    scale_invariant_ratio,
    spectral_convergence,
    stft_distance,
    treble_level,
)
from jukebox.data.crops import AudioCrop, AudioCrops
from jukebox.data.display import Display, unseen
from jukebox.evaluation.parts import NOTHING_KEPT, Parts
from jukebox.vqvae.codebook import nearest_codes
from jukebox.vqvae.vqvae import VQVAE

SEGMENT_S = 3.0
# The longest transform of the measures, and the shortest last segment that is used.
_SHORTEST_SAMPLES = 2048

MEASURES = ("spectral_convergence", "si_sdr_db", "stft_distance", "log_mel_distance", "treble_db")

Waves = Float[Tensor, "batch samples"]


def measure(target: Waves, estimate: Waves, sample_rate: int) -> Float[Tensor, "batch measures"]:
    """Each of `MEASURES` of each item."""
    values = (
        spectral_convergence(target, estimate),
        scale_invariant_ratio(target, estimate),
        stft_distance(target, estimate),
        log_mel_distance(target, estimate, sample_rate),
        treble_level(target, estimate, sample_rate),
    )
    return torch.stack(values, 1)


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """Means over the segments that are not silent; NaN where there is none.

    spectral_convergence: mean of the ratio, lower is better; spectral_convergence_db: 20 log10 of that mean;
    si_sdr_db: higher is better; stft_distance, log_mel_distance: as `audio.spectral` defines them, lower is better;
    treble_db: how loud consonants and cymbals are beside those of the target, 0 is right (`treble_level`);
    standard_errors: of the means, by measure; of the decibels of spectral convergence, to first order.
    """

    segments: int
    spectral_convergence: float
    spectral_convergence_db: float
    si_sdr_db: float
    stft_distance: float
    log_mel_distance: float
    treble_db: float
    standard_errors: dict[str, float]


def summary(values: Float[Tensor, "segments measures"]) -> Reconstruction:
    """The means of what `measure` gave."""
    values = values.double()
    means = values.mean(0) if len(values) else torch.full((len(MEASURES),), torch.nan, dtype=torch.float64)
    errors = values.std(0) / len(values) ** 0.5 if len(values) > 1 else torch.full_like(means, torch.nan)
    ratio, ratio_error = float(means[0]), float(errors[0])
    standard_errors = {name: float(error) for name, error in zip(MEASURES, errors, strict=True)}
    return Reconstruction(
        segments=len(values),
        spectral_convergence=ratio,
        spectral_convergence_db=20 * float(means[0].log10()),
        si_sdr_db=float(means[1]),
        stft_distance=float(means[2]),
        log_mel_distance=float(means[3]),
        treble_db=float(means[4]),
        standard_errors=standard_errors | {"spectral_convergence_db": 20 / math.log(10) * ratio_error / ratio},
    )


class ReconstructionMeter:
    """Takes target and estimate in blocks of any size and measures whole segments."""

    def __init__(self, sample_rate: int, segment_s: float = SEGMENT_S) -> None:
        self.sample_rate = sample_rate
        self.segment_samples = max(_SHORTEST_SAMPLES, round(segment_s * sample_rate))
        self.pending = torch.empty(2, 0)
        self.values: list[Tensor] = []

    def add(self, target: Float[Tensor, "1 samples"], estimate: Float[Tensor, "1 samples"]) -> None:
        """Measure the segments that these samples complete."""
        pair = torch.cat([target, estimate]).cpu()
        self.pending = torch.cat([self.pending, pair], 1)
        while self.pending.shape[1] >= self.segment_samples:
            self._measure(self.pending[:, : self.segment_samples])
            self.pending = self.pending[:, self.segment_samples :].clone()

    def result(self) -> Reconstruction:
        """The means, a last short segment included."""
        if self.pending.shape[1] >= _SHORTEST_SAMPLES:
            self._measure(self.pending)
        self.pending = torch.empty(2, 0)
        return summary(torch.cat([torch.empty(0, len(MEASURES)), *self.values]))

    def _measure(self, pair: Float[Tensor, "2 samples"]) -> None:
        target, estimate = pair[:1], pair[1:]
        if target.abs().max() < 1e-4:  # nothing can be close to silence, in decibels
            return
        self.values.append(measure(target, estimate, self.sample_rate))


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A segment and its reconstruction from each level."""

    crop: AudioCrop
    estimates: dict[int, Float[Tensor, "1 samples"]]


def reconstruct(model: VQVAE, crops: AudioCrops, indices: Sequence[int], levels: Sequence[int]) -> Iterator[Segment]:
    """Segments of a dataset through the VQ-VAE, each by itself and from its codes alone.

    Args:
        model: on any device; the segments come back on the CPU.
        crops: a whole number of codes of every level long.
        indices: which.
        levels: from which levels.
    """
    for index in indices:
        crop = crops.take(index)
        sound = crop.sound[None].to(model.vectors(0).device)
        estimates = {}
        for level in levels:
            with torch.no_grad():
                codes = nearest_codes(model.latents(sound, level), model.vectors(level))
                estimates[level] = model.decode(codes, level)[0].cpu()
        yield Segment(crop=crop, estimates=estimates)


def evaluate_reconstruction(
    model: VQVAE,
    crops: AudioCrops,
    indices: Sequence[int],
    levels: Sequence[int],
    *,
    parts: Parts = NOTHING_KEPT,
    display: Display = unseen,
) -> dict[int, Float[Tensor, "segments measures"]]:
    """What `measure` gives for each level and segment; arguments as of `reconstruct`; `parts` keeps what was found."""

    def measured(index: int) -> np.ndarray:
        (segment,) = reconstruct(model, crops, [index], levels)
        found = [measure(segment.crop.sound, segment.estimates[level], model.config.sample_rate) for level in levels]
        return torch.cat(found).numpy()

    values = []
    with display("reconstructing", len(indices), "segments") as advance:
        for index in indices:
            # Another version with other measures has left nothing under this name.
            name = f"{len(MEASURES)} measures of segment {index}"
            values.append(torch.from_numpy(parts.get(name, partial(measured, index))))
            advance(1)
    return dict(zip(levels, torch.stack(values, 1), strict=True))
