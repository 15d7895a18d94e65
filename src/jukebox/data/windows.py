"""A prior's windows of songs: codes, the codes above them, and labels, from shards or encoded from sound.

As `crops.AudioCrops`: `take(index)` is a pure function of a seed and the index.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from jukebox.config import Config, PriorConfig
from jukebox.config.base import require
from jukebox.data.collection import Collection, Song, Split
from jukebox.data.crops import AudioCrops, CropConfig, Places, check_any, long_enough
from jukebox.data.dataset import Dataset
from jukebox.data.shards import Tokens
from jukebox.data.slots import Extent, Slots
from jukebox.errors import DataError
from jukebox.labels.labels import LabelTokens, SongTokens
from jukebox.labels.timing import SongSpan, TimeGrid
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
    None at the top; labels: what the prior is told of the window.
    """

    codes: Int64[Tensor, " codes"]
    codes_above: Int64[Tensor, " codes_above"] | None
    labels: LabelTokens
    song: Song


class TokenCrops:
    """A prior's windows of the codes of a collection."""

    def __init__(self, tokens: Tokens, config: CropConfig, split: Split | None, window: Window) -> None:
        """Number the windows.

        Args:
            tokens: codes of every level.
            config: `seed`, `shuffle` and `shift` are used.
            split: which songs; None for all.
            window: of the prior.

        Raises:
            DataError: no song of the split is as long as a window, or the codes do not have such windows.
        """
        self.tokens, self.window, grid = tokens, window, tokens.grid
        self.ratio = _ratio(grid, window)
        length = grid.token_samples(window.level, window.context)
        self.songs, self.too_short = long_enough(tokens, split, length)
        unit = grid.token_samples(window.level, self.ratio)  # a window begins with a code of the level above
        extents = [_extent(song, grid, unit) for song in self.songs]
        self._places = Places(Slots(extents, window.context // self.ratio, shift=config.shift), config)
        self._labeller = _Labeller(tokens, grid, window)
        check_any(len(self), tokens, split, length)

    def __len__(self) -> int:
        """Windows in an epoch, over all ranks."""
        return len(self._places)

    def take(self, index: int) -> TokenCrop:
        """The window number `index`, counted on over epochs."""
        place, unit, _ = self._places.place(index)
        song, start, level, context = self.songs[place], unit * self.ratio, self.window.level, self.window.context
        above = None
        if self.ratio > 1:
            above = _int64(self.tokens.codes(song, level + 1)[unit : unit + context // self.ratio])
        return TokenCrop(
            codes=_int64(self.tokens.codes(song, level)[start : start + context]),
            codes_above=above,
            labels=self._labeller.labels(song, self.tokens.grid.token_samples(level, start)),
            song=song,
        )


class EncodedCrops:
    """A prior's windows of the sound of a dataset, encoded as they are taken: no shards, random blends every time."""

    def __init__(self, dataset: Dataset, config: CropConfig, split: Split | None, window: Window, model: VQVAE) -> None:
        """Number the windows; arguments as of `TokenCrops`, `config` is used whole but for its length.

        Raises:
            DataError: as `TokenCrops`, or the dataset has another sample rate than the model.
        """
        if dataset.sample_rate != model.config.sample_rate:
            raise DataError(
                f"{dataset.folder} has a sample rate of {dataset.sample_rate} Hz, the model one of "
                f"{model.config.sample_rate} Hz: prepare the data with --sample-rate {model.config.sample_rate}."
            )
        self.model, self.window = model, window
        grid = TimeGrid(sample_rate=model.config.sample_rate, hops=model.config.hops)
        self.ratio = _ratio(grid, window)
        length = grid.token_samples(window.level, window.context)
        self.crops = AudioCrops(dataset, dataclasses.replace(config, length_samples=length), split)
        self._labeller = _Labeller(dataset, grid, window)

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
        finest = self.window.level
        sound = torch.stack([crop.sound for crop in crops]).to(self.model.vectors(finest).device)
        codes = [
            nearest_codes(self.model.latents(sound, level), self.model.vectors(level)).cpu()
            for level in ((finest, finest + 1) if self.ratio > 1 else (finest,))
        ]
        return [
            TokenCrop(
                codes=codes[0][i],
                codes_above=codes[1][i] if self.ratio > 1 else None,
                labels=self._labeller.labels(crop.song, crop.start_samples),
                song=crop.song,
            )
            for i, crop in enumerate(crops)
        ]


class _Labeller:
    """The labels of any window; the numbers of a song are made once."""

    def __init__(self, collection: Collection, grid: TimeGrid, window: Window) -> None:
        self._encoder = collection.label_encoder(window.lyric_window)
        self._grid, self._length = grid, grid.token_samples(window.level, window.context)
        self._songs: dict[str, SongTokens] = {}

    def labels(self, song: Song, start_samples: int) -> LabelTokens:
        if song.key not in self._songs:
            self._songs[song.key] = self._encoder.song(song.labels)
        span = SongSpan(
            total_length_samples=self._grid.whole_tokens_samples(song.length_samples),
            offset_samples=start_samples,
            window_length_samples=self._length,
        )
        return self._songs[song.key].window(span)


def _ratio(grid: TimeGrid, window: Window) -> int:
    """Codes of a level to one of the level above; 1 at the top."""
    level, context = window.level, window.context
    if not 0 <= level < len(grid.hops):
        raise DataError(f"There is no level {level}: these codes have the levels 0 to {len(grid.hops) - 1}.")
    ratio = grid.hops[level + 1] // grid.hops[level] if level + 1 < len(grid.hops) else 1
    if context % ratio:
        raise DataError(f"A window of {context} codes of level {level} is no multiple of {ratio}, one code above.")
    return ratio


def _extent(song: Song, grid: TimeGrid, unit: int) -> Extent:
    """The whole codes of a song, in units of so many samples; a silence holds the units that are silent throughout."""
    silences = ((-(-first // unit), end // unit) for first, end in song.silences)
    return Extent(
        length=grid.whole_tokens_samples(song.length_samples) // unit,
        silences=tuple((first, end) for first, end in silences if first < end),
    )


def _int64(codes: np.ndarray) -> Int64[Tensor, " _"]:
    return torch.from_numpy(codes.astype(np.int64))
