"""Every conversion between seconds, samples and the tokens of a level.

A hop is the number of samples that one token of a level stands for: 8, 32 and 128 in the released models.
Level 0 is the finest.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

from jukebox.config import Config
from jukebox.errors import ConfigError, LabelError


@dataclass(frozen=True, kw_only=True)
class SongSpan:
    """Where a window lies in its song, in samples.

    Args:
        total_length_samples: length of the whole song, at least 1.
        offset_samples: first sample of the window, 0 <= offset < total length.
        window_length_samples: length of the window, at least 1; it may reach past the end of the song.

    Raises:
        LabelError: when a number is outside its range.
    """

    total_length_samples: int
    offset_samples: int
    window_length_samples: int

    def __post_init__(self) -> None:
        if self.total_length_samples < 1 or self.window_length_samples < 1:
            raise LabelError(
                f"A song of {self.total_length_samples} samples and a window of "
                f"{self.window_length_samples}: both must be at least 1."
            )
        if not 0 <= self.offset_samples < self.total_length_samples:
            raise LabelError(
                f"The window starts at sample {self.offset_samples} of {self.total_length_samples}: give "
                "a longer total length or a smaller offset, so that it starts inside the song."
            )


@dataclass(frozen=True, kw_only=True)
class TimeGrid(Config):
    """The sample rate and the hops of a model, and all that follows from them.

    Args:
        sample_rate: samples per second, at least 1.
        hops: samples per token of each level, finest first, each a multiple of the one before.

    Raises:
        ConfigError: when the rate or a hop is not positive, or the hops do not divide each other.
    """

    sample_rate: int
    hops: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.sample_rate < 1:
            raise ConfigError(f"sample_rate is {self.sample_rate}: it must be at least 1 sample per second.")
        if not self.hops or min(self.hops) < 1:
            raise ConfigError(f"hops is {self.hops}: give one positive number of samples per level.")
        if any(coarse % fine for fine, coarse in pairwise(self.hops)):
            raise ConfigError(f"hops is {self.hops}: each must be a multiple of the one before, finest level first.")

    @property
    def coarsest_hop(self) -> int:
        """Samples per token of the top level; songs are whole multiples of it."""
        return self.hops[-1]

    def samples(self, duration_s: float) -> int:
        """The nearest number of samples to a duration in seconds.

        Raises:
            LabelError: when the duration is negative or not a finite number.
        """
        if not (math.isfinite(duration_s) and duration_s >= 0):
            raise LabelError(f"A duration of {duration_s} seconds: it must be a finite number, 0 or more.")
        return round(duration_s * self.sample_rate)

    def seconds(self, length_samples: int) -> float:
        """The duration of a number of samples."""
        return length_samples / self.sample_rate

    def whole_tokens_samples(self, length_samples: int) -> int:
        """The length cut to whole tokens of the top level, as the original cuts every song."""
        return length_samples - length_samples % self.coarsest_hop

    def tokens(self, level: int, length_samples: int) -> int:
        """How many whole tokens of a level fit into a number of samples."""
        return length_samples // self._hop(level)

    def token_samples(self, level: int, tokens: int) -> int:
        """How many samples a number of tokens of a level stand for."""
        return tokens * self._hop(level)

    def token_seconds(self, level: int, tokens: int) -> float:
        """How many seconds a number of tokens of a level stand for."""
        return self.seconds(self.token_samples(level, tokens))

    def ratio(self, level: int) -> int:
        """Tokens of a level to one of the level above; 1 at the top."""
        return self._hop(level + 1) // self._hop(level) if level + 1 < len(self.hops) else 1

    def tokens_per_second(self, level: int) -> float:
        """The token rate of a level: 344.53 at the top of the released models, 5512.5 at the bottom."""
        return self.sample_rate / self._hop(level)

    def tokens_at(self, tokens: int, *, of_level: int, at_level: int) -> int:
        """How many whole tokens of one level cover the same sound as `tokens` of another."""
        return self.tokens(at_level, self.token_samples(of_level, tokens))

    def span(self, level: int, start_token: int, context_tokens: int, total_length_samples: int) -> SongSpan:
        """The window of `context_tokens` tokens that starts at `start_token` of a level."""
        return SongSpan(
            total_length_samples=total_length_samples,
            offset_samples=self.token_samples(level, start_token),
            window_length_samples=self.token_samples(level, context_tokens),
        )

    def _hop(self, level: int) -> int:
        if not 0 <= level < len(self.hops):
            raise ConfigError(f"There is no level {level}: the levels are 0..{len(self.hops) - 1}, 0 the finest.")
        return self.hops[level]
