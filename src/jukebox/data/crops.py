"""Crops of sound for training and measuring: a pure function of a seed and one number.

`take(index)` gives the same crop on every machine, for any number of processes: a rank of several takes its share of
the indices, and the position in the data is the next index. Index counts on over the epochs; in each, every slot
(`slots.py`) comes once, in an order of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from jukebox.audio.io import mix_down
from jukebox.config import Config
from jukebox.config.base import require
from jukebox.data.collection import Collection, Song, Split
from jukebox.data.dataset import Dataset
from jukebox.data.slots import Extent, Slots, draw
from jukebox.errors import DataError
from jukebox.labels.labels import LabelEncoder, LabelTokens, SongTokens
from jukebox.labels.timing import SongSpan


@dataclass(frozen=True, kw_only=True)
class CropConfig(Config):
    """How crops are taken from songs (facts 2.2, 3.6).

    Args:
        length_samples: of a crop of sound; crops of codes have a prior's context instead.
        seed: of everything that is random about them.
        shuffle: whether the crops of an epoch come in a random order, or song after song.
        shift: whether a crop begins anywhere, or at a multiple of its length.
        blend: mix stereo down with random shares, or evenly.
        beginnings: how many of all crops begin where their song does; the rest are spread as `shift` says.
        loudness_lufs: bring every song to this loudness; None leaves it as it is. Not for codes: those are given.
    """

    length_samples: int = 393_216
    seed: int = 0
    shuffle: bool = True
    shift: bool = True
    blend: Literal["random", "mean"] = "random"
    beginnings: float = 0.0
    loudness_lufs: float | None = None

    def __post_init__(self) -> None:
        require(self.length_samples >= 1, self, "length_samples", "1 or more")
        require(self.seed >= 0, self, "seed", "0 or more")
        require(0 <= self.beginnings <= 1, self, "beginnings", "a share, 0 to 1")
        loudness = self.loudness_lufs
        require(loudness is None or -70 <= loudness <= 0, self, "loudness_lufs", "null or -70 to 0")


@dataclass(frozen=True, kw_only=True)
class AudioCrop:
    """A piece of a song.

    sound: float32, one channel, full scale is [-1, 1]; start_samples: where it begins in the song; labels: what a prior
    is told of it.
    """

    sound: Float[Tensor, "1 samples"]
    song: Song
    start_samples: int
    labels: LabelTokens


class Places:
    """The order of the slots in every epoch, and the start that is drawn in each."""

    def __init__(self, slots: Slots, config: CropConfig) -> None:
        self.slots, self.config = slots, config
        self._order = lru_cache(maxsize=2)(self._order_of)

    def __len__(self) -> int:
        return len(self.slots)

    def place(self, index: int) -> tuple[int, int, np.random.Generator]:
        """The song, the start in it, and what draws everything else about the crop."""
        epoch, position = divmod(index, len(self))
        slot = int(self._order(epoch)[position]) if self.config.shuffle else position
        random = np.random.default_rng([self.config.seed, epoch, slot, 1])
        song = self.slots.song_of(slot)
        if self.config.beginnings > 0 and random.random() < self.config.beginnings:
            return song, self.slots.beginning(song), random
        return song, draw(self.slots.starts(slot), random), random

    def _order_of(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.config.seed, epoch]).permutation(len(self))


class AudioCrops:
    """Crops of the sound of a dataset.

    Songs that are shorter than a crop are left out (`too_short`), and so are crops in which nothing is heard.
    """

    def __init__(
        self,
        dataset: Dataset,
        config: CropConfig,
        split: Split | None,
        *,
        encoder: LabelEncoder | None = None,
        songs: Callable[[Song], bool] | None = None,
    ) -> None:
        """Number the crops.

        Args:
            dataset: where they are from.
            config: how they are taken.
            split: which songs; None for all.
            encoder: into the numbers of a prior; None for the dataset's own names, without lyrics.
            songs: keep only these.

        Raises:
            DataError: no song of the split is as long as a crop.
        """
        self.dataset, self.config = dataset, config
        self.labeller = Labeller(encoder or dataset.label_encoder(0))
        length = config.length_samples
        self.songs, self.too_short = long_enough(dataset, split, length, songs)
        extents = [Extent(length=song.length_samples, silences=song.silences) for song in self.songs]
        self._places = Places(Slots(extents, length, shift=config.shift), config)
        check_any(len(self), dataset, split, length)

    def __len__(self) -> int:
        """Crops in an epoch, over all ranks."""
        return len(self._places)

    def take(self, index: int) -> AudioCrop:
        """The crop number `index`, counted on over epochs; raises DataError where its file is missing or damaged."""
        place, start, random = self._places.place(index)
        song = self.songs[place]
        sound = self.dataset.audio(song, start, self.config.length_samples)
        blend = float(random.random()) if self.config.blend == "random" and song.channels == 2 else 0.5
        span = SongSpan(
            total_length_samples=song.length_samples,
            offset_samples=start,
            window_length_samples=self.config.length_samples,
        )
        return AudioCrop(
            sound=mix_down(sound, blend) * song.gain(self.config.loudness_lufs),
            song=song,
            start_samples=start,
            labels=self.labeller.labels(song, span),
        )


class Labeller:
    """The labels of any window of any song; the numbers of a song are made once."""

    def __init__(self, encoder: LabelEncoder) -> None:
        self._encoder = encoder
        self._songs: dict[str, SongTokens] = {}

    def labels(self, song: Song, span: SongSpan) -> LabelTokens:
        """The labels of one window."""
        return self._song(song).window(span)

    def sung(self, song: Song, span: SongSpan, codes: int) -> Int64[Tensor, "codes 2"]:
        """The lyric tokens that are sung at each code of one window, as in `SongTokens.sung`."""
        return torch.from_numpy(self._song(song).sung(span, codes))

    def _song(self, song: Song) -> SongTokens:
        if song.key not in self._songs:
            self._songs[song.key] = self._encoder.song(song.labels)
        return self._songs[song.key]


def long_enough(
    collection: Collection, split: Split | None, length_samples: int, wanted: Callable[[Song], bool] | None
) -> tuple[tuple[Song, ...], tuple[Song, ...]]:
    """The songs of a split that have a crop, and those that have none."""
    songs = [song for song in collection.of_split(split) if wanted is None or wanted(song)]
    kept = tuple(song for song in songs if song.length_samples >= length_samples)
    return kept, tuple(song for song in songs if song.length_samples < length_samples)


def check_any(count: int, collection: Collection, split: Split | None, length_samples: int) -> None:
    """Raise DataError where there is no crop at all."""
    if count == 0:
        songs = collection.of_split(split)
        longest = max((song.length_samples for song in songs), default=0) / collection.sample_rate
        raise DataError(
            f"{collection.folder} has no crop of {length_samples / collection.sample_rate:.2f} s in its "
            f"{len(songs)} songs for {split or 'everything'}, the longest of which has {longest:.2f} s: "
            "add songs, or take shorter crops."
        )
