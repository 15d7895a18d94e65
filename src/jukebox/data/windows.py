"""A prior's windows of songs: codes, the codes above them, and labels, from shards or encoded from sound.

As `crops.AudioCrops`: `take(index)` is a pure function of a seed and the index.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from jukebox.config import Config, PriorConfig
from jukebox.config.base import require
from jukebox.data.collection import Song, Split
from jukebox.data.crops import AudioCrop, AudioCrops, CropConfig, Labeller, Places, check_any, long_enough
from jukebox.data.shards import Tokens
from jukebox.data.slots import Extent, Slots
from jukebox.errors import DataError
from jukebox.labels.labels import LabelEncoder, LabelTokens
from jukebox.labels.timing import TimeGrid
from jukebox.vqvae.codebook import nearest_codes
from jukebox.vqvae.vqvae import VQVAE


@dataclass(frozen=True, kw_only=True)
class Window(Config):
    """What a prior reads at once.

    Args:
        level: of its codes, 0 the finest.
        context: how many of them.
        lyric_window: how many lyric tokens, 0 for a prior without lyrics.
    """

    level: int
    context: int
    lyric_window: int = 0

    def __post_init__(self) -> None:
        for name, least in (("level", 0), ("context", 1), ("lyric_window", 0)):
            require(getattr(self, name) >= least, self, name, f"{least} or more")

    @classmethod
    def of(cls, config: PriorConfig) -> "Window":
        """The window of a prior."""
        lyrics = config.lyrics.tokens if config.lyrics else 0
        return cls(level=config.level, context=config.codes_context, lyric_window=lyrics)


@dataclass(frozen=True, kw_only=True)
class TokenCrop:
    """A prior's window of a song.

    codes: of the prior's level, as many as its context; codes_above: of the next coarser level, of the same sound,
    None at the top; labels: what the prior is told of the window; sung: the lyric tokens that are sung at each code,
    first and one past the last, -1 where none or where nobody knows (`SongTokens.sung`).
    """

    codes: Int64[Tensor, " codes"]
    codes_above: Int64[Tensor, " codes_above"] | None
    labels: LabelTokens
    sung: Int64[Tensor, "codes 2"]
    song: Song


def suitable(config: PriorConfig, grid: TimeGrid) -> Callable[[Song], bool]:
    """Whether a prior can be told a song's length, which is that of its whole codes."""
    labels = config.labels
    if labels is None or labels.min_duration_s is None or labels.max_duration_s is None:
        return lambda song: True
    shortest, longest = labels.min_duration_s * labels.sample_rate, labels.max_duration_s * labels.sample_rate
    return lambda song: shortest <= _whole(song, grid) < longest


class TokenCrops:
    """A prior's windows of the codes of a collection."""

    def __init__(
        self,
        tokens: Tokens,
        config: CropConfig,
        split: Split | None,
        window: Window,
        *,
        encoder: LabelEncoder | None = None,
        songs: Callable[[Song], bool] | None = None,
    ) -> None:
        """Number the windows.

        Args:
            tokens: codes of every level.
            config: `seed`, `shuffle` and `shift` are used.
            split: which songs; None for all.
            window: of the prior.
            encoder: into the numbers of the prior; None for the collection's own names.
            songs: keep only these.

        Raises:
            DataError: no song of the split is as long as a window, or the codes do not have such windows.
        """
        self.tokens, self.window, grid = tokens, window, tokens.grid
        self.ratio = _ratio(grid, window.level)
        if window.context % self.ratio:
            raise DataError(
                f"A window of {window.context} codes of level {window.level} is no multiple of {self.ratio}, "
                "one code above."
            )
        length = grid.token_samples(window.level, window.context)
        self.songs, self.too_short = long_enough(tokens, split, length, songs)
        unit = grid.token_samples(window.level, self.ratio)  # a window begins with a code of the level above
        extents = [_extent(song, grid, unit) for song in self.songs]
        self._places = Places(Slots(extents, window.context // self.ratio, shift=config.shift), config)
        self._labeller = Labeller(encoder or tokens.label_encoder(window.lyric_window))
        check_any(len(self), tokens, split, length)

    def __len__(self) -> int:
        """Windows in an epoch, over all ranks."""
        return len(self._places)

    def take(self, index: int) -> TokenCrop:
        """The window number `index`, counted on over epochs."""
        place, unit, _ = self._places.place(index)
        song, start, grid = self.songs[place], unit * self.ratio, self.tokens.grid
        level, context = self.window.level, self.window.context
        above = None
        if self.ratio > 1:
            above = _int64(self.tokens.codes(song, level + 1)[unit : unit + context // self.ratio])
        span = grid.span(level, start, context, _whole(song, grid))
        return TokenCrop(
            codes=_int64(self.tokens.codes(song, level)[start : start + context]),
            codes_above=above,
            labels=self._labeller.labels(song, span),
            sung=self._labeller.sung(song, span, context),
            song=song,
        )


class EncodedCrops:
    """A prior's windows of sound, encoded as they are taken: no shards, and other blends in every epoch."""

    def __init__(self, crops: AudioCrops, model: VQVAE, level: int) -> None:
        """Take windows as long as the crops.

        Args:
            crops: of sound, with the labels of the prior, as long as its window.
            model: encodes them, on its device.
            level: of the prior.

        Raises:
            DataError: the crops have another sample rate than the model, or are no whole number of codes long.
        """
        config, dataset = model.config, crops.dataset
        dataset.check_rate(config.sample_rate)
        self.crops, self.model, self.level = crops, model, level
        self._grid = TimeGrid(sample_rate=config.sample_rate, hops=config.hops)
        length = crops.config.length_samples
        self.ratio = _ratio(self._grid, level)
        if length % (config.hops[level] * self.ratio):
            raise DataError(
                f"Crops of {length} samples are no whole number of codes: give a multiple of "
                f"{config.hops[level] * self.ratio} samples."
            )

    def __len__(self) -> int:
        """Windows in an epoch, over all ranks."""
        return len(self.crops)

    def take(self, index: int) -> TokenCrop:
        """The window number `index`; its codes are on the CPU."""
        return self.take_many([index])[0]

    @torch.no_grad()
    def take_many(self, indices: Sequence[int]) -> list[TokenCrop]:
        """Several windows, encoded together."""
        crops = [self.crops.take(index) for index in indices]
        sound = torch.stack([crop.sound for crop in crops]).to(self.model.vectors(self.level).device)
        codes = [
            nearest_codes(self.model.latents(sound, level), self.model.vectors(level)).cpu()
            for level in ((self.level, self.level + 1) if self.ratio > 1 else (self.level,))
        ]
        return [
            TokenCrop(
                codes=codes[0][i],
                codes_above=codes[1][i] if self.ratio > 1 else None,
                labels=self._labels(crop),
                sung=self.crops.labeller.sung(crop.song, crop.labels.span, codes[0].shape[1]),
                song=crop.song,
            )
            for i, crop in enumerate(crops)
        ]

    def _labels(self, crop: AudioCrop) -> LabelTokens:
        span = dataclasses.replace(crop.labels.span, total_length_samples=_whole(crop.song, self._grid))
        return dataclasses.replace(crop.labels, span=span)


def _whole(song: Song, grid: TimeGrid) -> int:
    """The length of a song in whole codes of every level, as the original cut every song."""
    return grid.whole_tokens_samples(song.length_samples)


def _ratio(grid: TimeGrid, level: int) -> int:
    """Codes of a level to one of the level above; 1 at the top."""
    if not 0 <= level < len(grid.hops):
        raise DataError(f"There is no level {level}: these codes have the levels 0 to {len(grid.hops) - 1}.")
    return grid.ratio(level)


def _extent(song: Song, grid: TimeGrid, unit: int) -> Extent:
    """The whole codes of a song, in units of so many samples; a silence holds the units that are silent throughout."""
    silences = ((-(-first // unit), end // unit) for first, end in song.silences)
    return Extent(
        length=_whole(song, grid) // unit,
        silences=tuple((first, end) for first, end in silences if first < end),
    )


def _int64(codes: np.ndarray) -> Int64[Tensor, " _"]:
    return torch.from_numpy(codes.astype(np.int64))
