"""What a VQ-VAE is, and what it learns from."""

import math
from dataclasses import dataclass, field
from typing import Literal

from jukebox.config.base import Config, require
from jukebox.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class CodebookConfig(Config):
    """One level's codebook and how it is learnt (facts 2.4).

    The defaults are the original's rules. `reset_restarted` is the corrected restart: a replaced code begins with
    fresh statistics instead of being redrawn every step until its old count has climbed back over the threshold.
    The threshold counts hits per step of all workers, or is a share of the mean use of a code (small batches).
    """

    size: int = 2048
    decay: float = 0.99
    restart_threshold: float = 1.0
    restart_unit: Literal["hits", "mean_use"] = "hits"
    reset_restarted: bool = False
    learning: Literal["ema", "gradient"] = "ema"
    initialisation: Literal["random", "kmeans"] = "random"
    gradient: Literal["straight_through", "rotation"] = "straight_through"

    def __post_init__(self) -> None:
        require(self.size >= 2, self, "size", "at least 2 codes")
        require(0.0 <= self.decay < 1.0, self, "decay", "a number in [0, 1)")
        require(self.restart_threshold >= 0.0, self, "restart_threshold", "0 or more")


@dataclass(frozen=True, kw_only=True)
class LossConfig(Config):
    """Weights of the VQ-VAE's losses (facts 2.3); the defaults are the released model's.

    `reconstruction` names the waveform term: "l1", "l2", "linf" (mean of the `linf_k` largest squared errors of an
    item) or "mix", the weighted sum of the three. `relative` divides the single-resolution spectral term by the
    norm of its target; the multi-resolution term is always absolute. `emphasis` c has all terms hear sound through
    x[t] - c x[t - 1], which raises the treble: 0 for not, 0.97 raises it by 30 dB beside the bass.
    """

    reconstruction: Literal["l1", "l2", "linf", "mix"] = "mix"
    mix_l1: float = 0.0
    mix_l2: float = 1.0
    mix_linf: float = 0.02
    linf_k: int = 2048
    spectral: float = 0.0
    multispectral: float = 1.0
    relative: bool = False
    n_ffts: tuple[int, ...] = (2048, 1024, 512)
    hop_lengths: tuple[int, ...] = (240, 120, 50)
    window_lengths: tuple[int, ...] = (1200, 600, 240)
    commit: float = 0.02
    codebook: float = 0.0
    emphasis: float = 0.0

    def __post_init__(self) -> None:
        require(self.linf_k >= 1, self, "linf_k", "at least one sample")
        for name in ("mix_l1", "mix_l2", "mix_linf", "spectral", "multispectral", "commit", "codebook"):
            require(getattr(self, name) >= 0.0, self, name, "a weight of 0 or more")
        require(0.0 <= self.emphasis < 1.0, self, "emphasis", "a number in [0, 1)")
        counts = {len(self.n_ffts), len(self.hop_lengths), len(self.window_lengths)}
        if len(counts) != 1:
            raise ConfigError(
                f"LossConfig has {len(self.n_ffts)} n_ffts, {len(self.hop_lengths)} hop_lengths and "
                f"{len(self.window_lengths)} window_lengths; expected one of each for every resolution."
            )
        fits = all(w <= n for w, n in zip(self.window_lengths, self.n_ffts, strict=True))
        require(fits, self, "window_lengths", "windows no longer than their n_fft")


@dataclass(frozen=True, kw_only=True)
class VqvaeConfig(Config):
    """The VQ-VAE: one encoder, codebook and decoder per level (facts 2.1, 2.2).

    Level `k` runs stages 0..k; stage `s` makes `steps[s]` repetitions of a convolution with stride `strides[s]`
    and a residual stack. `multipliers[k]` scales width and depth of level `k`. The defaults are the released shape.
    """

    sample_rate: int = 44100
    channels: int = 1
    steps: tuple[int, ...] = (3, 2, 2)
    strides: tuple[int, ...] = (2, 2, 2)
    multipliers: tuple[int, ...] = (2, 1, 1)
    width: int = 32
    depth: int = 4
    hidden_ratio: float = 1.0
    dilation_growth: int = 3
    dilation_cycle: int | None = None
    reverse_decoder_dilation: bool = True
    embedding_width: int = 64
    quantise: bool = True
    codebook: CodebookConfig = field(default_factory=CodebookConfig)
    loss: LossConfig = field(default_factory=LossConfig)

    def __post_init__(self) -> None:
        require(len(self.steps) >= 1, self, "steps", "one count of strided steps per level")
        for name in ("strides", "multipliers"):
            require(len(getattr(self, name)) == self.levels, self, name, f"one value per level ({self.levels})")
        require(min(self.steps) >= 1, self, "steps", "at least one strided step per level")
        require(min(self.strides) >= 2, self, "strides", "strides of 2 or more")
        require(
            all(s % 2 == 0 for s in self.strides),
            self,
            "strides",
            "even strides (the padding is half of one)",
        )
        require(min(self.multipliers) >= 1, self, "multipliers", "multipliers of 1 or more")
        for name in ("sample_rate", "channels", "width", "dilation_growth", "embedding_width"):
            require(getattr(self, name) >= 1, self, name, "1 or more")
        require(self.depth >= 0, self, "depth", "0 or more residual blocks")
        require(self.hidden_ratio * self.width >= 1, self, "hidden_ratio", "a hidden width of at least 1")
        require(
            self.dilation_cycle is None or self.dilation_cycle >= 1,
            self,
            "dilation_cycle",
            "null or 1 or more",
        )

    @property
    def levels(self) -> int:
        """How many levels there are; level 0 is the finest."""
        return len(self.steps)

    @property
    def hops(self) -> tuple[int, ...]:
        """Samples per code of each level, finest first: (8, 32, 128) as released."""
        strides = [stride**steps for stride, steps in zip(self.strides, self.steps, strict=True)]
        return tuple(math.prod(strides[: level + 1]) for level in range(self.levels))

    def dilations(self, level: int) -> tuple[int, ...]:
        """Dilation of each residual block of one encoder step of this level."""
        return dilations(self.depth * self.multipliers[level], self.dilation_growth, self.dilation_cycle)


def dilations(depth: int, growth: int, cycle: int | None) -> tuple[int, ...]:
    """`growth ** b` for block b of `depth`, beginning again every `cycle` blocks."""
    return tuple(growth ** (block if cycle is None else block % cycle) for block in range(depth))
