"""How close a reconstruction comes: measured on segments, so that any length takes the same memory.

Segments of three seconds are the ones that the published figures of the original were measured on (facts 2.5).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from jukebox.audio.spectral import log_mel_distance, scale_invariant_ratio, spectral_convergence

SEGMENT_S = 3.0
# The longest transform of the measures, and the shortest last segment that is used.
_SHORTEST_SAMPLES = 2048

Measure = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """Means over the segments that are not silent; NaN where there is none.

    spectral_convergence: mean of the ratio, lower is better; spectral_convergence_db: 20 log10 of that mean;
    si_sdr_db: higher is better; log_mel_distance: mean |difference| of log10 mel magnitudes, lower is better.
    """

    segments: int
    spectral_convergence: float
    spectral_convergence_db: float
    si_sdr_db: float
    log_mel_distance: float


class ReconstructionMeter:
    """Takes target and estimate in blocks of any size and measures whole segments."""

    def __init__(self, sample_rate: int, segment_s: float = SEGMENT_S) -> None:
        self.sample_rate = sample_rate
        self.segment_samples = max(_SHORTEST_SAMPLES, round(segment_s * sample_rate))
        self.pending = torch.empty(2, 0)
        self.sums = torch.zeros(3, dtype=torch.float64)
        self.segments = 0

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
        means = self.sums / self.segments if self.segments else torch.full((3,), torch.nan)
        convergence, ratio_db, mel = (float(mean) for mean in means)
        decibels = 20 * torch.tensor(convergence).log10().item()
        return Reconstruction(
            segments=self.segments,
            spectral_convergence=convergence,
            spectral_convergence_db=decibels,
            si_sdr_db=ratio_db,
            log_mel_distance=mel,
        )

    def _measure(self, pair: Float[Tensor, "2 samples"]) -> None:
        target, estimate = pair[:1], pair[1:]
        if target.abs().max() < 1e-4:  # nothing can be close to silence, in decibels
            return
        values = [
            spectral_convergence(target, estimate),
            scale_invariant_ratio(target, estimate),
            log_mel_distance(target, estimate, self.sample_rate),
        ]
        self.sums += torch.cat(values).double()
        self.segments += 1
