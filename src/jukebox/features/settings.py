"""What decides the numbers of features, besides the model and the sound."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from jukebox.config import Config
from jukebox.config.base import require

PUBLISHED_TOTAL_S = 62.0
"""The length of the song that the published protocol tells the prior, whatever the recording's (facts 5.1)."""


@dataclass(frozen=True, kw_only=True)
class FeatureConfig(Config, called="the features"):
    """Which features of a recording are wanted.

    Args:
        layers: counted as in the literature: n is the output of the n-th layer, 1 to the depth, 0 what enters the
            first; in any order. None given: the middle of the stack, depth // 2.
        level: of the prior, 0 the finest; None for the coarsest that the model has.
        mean: the mean over all frames, in place of the frames.
        rate_hz: frames a second, by Fourier resampling along time of the whole recording; None leaves those of the
            codes.
        store: type of the results; an array with a number that "float16" cannot hold is stored as float32.
        precision: of the computation.
        normalise: divide the sound by its peak.
        blend: share of the left channel where there are two.
        start_s: where to begin in the recording.
        duration_s: how much of it to take; None for all.
        windows: read at most so many of the prior's windows, from the beginning; None for all.
        hop_fraction: of a window, from the beginning of one to that of the next. All frames but the first window's have
            at least the rest of a window before them.
        timing: what the prior is told of time: "published" says of every window that it begins a song of 62 seconds,
            as the published protocol does; "recording" says where in the recording it is, and how long that is.
        artist: that the prior is told.
        genre: that the prior is told.

    Raises:
        ConfigError: a value is outside its range, or two exclude each other.
    """

    layers: tuple[int, ...] = ()
    level: int | None = None
    mean: bool = False
    rate_hz: float | None = None
    store: Literal["float32", "float16"] = "float32"
    precision: Literal["float32", "bfloat16"] = "float32"
    normalise: bool = True
    blend: float = 0.5
    start_s: float = 0.0
    duration_s: float | None = None
    windows: int | None = None
    hop_fraction: float = 0.5
    timing: Literal["published", "recording"] = "published"
    artist: str = "unknown"
    genre: str = "unknown"

    def __post_init__(self) -> None:
        require(min(self.layers, default=0) >= 0, self, "layers", "numbers of layers, 0 or more")
        require(len(set(self.layers)) == len(self.layers), self, "layers", "each layer once")
        require(self.level is None or self.level >= 0, self, "level", "0 or more")
        rate, duration = self.rate_hz, self.duration_s
        require(rate is None or (math.isfinite(rate) and rate > 0), self, "rate_hz", "frames a second, above 0")
        require(rate is None or not self.mean, self, "rate_hz", "none with mean, which leaves no frames to resample")
        require(0 <= self.blend <= 1, self, "blend", "a share from 0 to 1")
        require(math.isfinite(self.start_s) and self.start_s >= 0, self, "start_s", "seconds, 0 or more")
        require(duration is None or (math.isfinite(duration) and duration > 0), self, "duration_s", "seconds, above 0")
        require(self.windows is None or self.windows >= 1, self, "windows", "1 or more")
        require(0 < self.hop_fraction <= 1, self, "hop_fraction", "a share of a window, above 0, at most 1")


def frames_at(rate_hz: float, frames: int, sample_rate: int, hop: int) -> int:
    """How many frames at another rate last as long as so many at sample_rate / hop, the last one begun counted in."""
    return math.ceil(frames * Fraction(str(rate_hz)) * hop / sample_rate)
