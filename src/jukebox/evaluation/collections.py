"""The clips of a collection of sound, embedded: a dataset, a folder of files, or a dataset through a VQ-VAE."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from jukebox.audio.io import SILENCE_PEAK, mix_down, stream
from jukebox.data.collection import Split
from jukebox.data.crops import AudioCrops, CropConfig
from jukebox.data.dataset import Dataset
from jukebox.data.display import Display
from jukebox.data.metadata import sound_files
from jukebox.errors import DataError
from jukebox.evaluation.distribution import clip_samples, embed, stack
from jukebox.evaluation.parts import NOTHING_KEPT, Parts
from jukebox.evaluation.reconstruction import reconstruct
from jukebox.vqvae.vqvae import VQVAE


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """Clips of a collection: the embedding and the song of each."""

    embeddings: Sequence[Float64[np.ndarray, " features"]]
    songs: Sequence[str]
    sample_rate: int


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which clips of a collection: at most so many, chosen by the seed; of a dataset those of a split, None for all."""

    most: int
    seed: int
    split: Split | None = None


def embed_dataset(dataset: Dataset, choice: Choice, display: Display, parts: Parts = NOTHING_KEPT) -> Embedded:
    """Clips of a dataset's songs; `parts` keeps what was found."""
    crops = _crops(dataset, choice, clip_samples(dataset.sample_rate))
    embeddings, songs = [], []
    count = min(choice.most, len(crops))
    with display("embedding", count, "clips") as advance:
        for index in range(count):
            crop = crops.take(index)
            embeddings.append(parts.get(f"clip {index}", partial(embed, crop.sound, dataset.sample_rate)))
            songs.append(crop.song.key)
            advance(1)
    return Embedded(embeddings=embeddings, songs=songs, sample_rate=dataset.sample_rate)


def embed_reconstructions(
    model: VQVAE, dataset: Dataset, choice: Choice, display: Display, parts: Parts = NOTHING_KEPT
) -> dict[str, Embedded]:
    """The clips of a dataset as they come out of each level of a VQ-VAE; `parts` keeps what was found."""
    rate, levels = model.config.sample_rate, range(model.config.levels)
    crops = _crops(dataset, choice, clip_samples(rate, model.config.hops[-1]))

    def embedded(index: int) -> Float64[np.ndarray, "levels features"]:
        (segment,) = reconstruct(model, crops, [index], levels)
        return np.stack([embed(segment.estimates[level], rate) for level in levels])

    found, songs, count = [], [], min(choice.most, len(crops))
    with display("reconstructing", count, "clips") as advance:
        for index in range(count):
            songs.append(crops.take(index).song.key)
            found.append(parts.get(f"clip {index}", partial(embedded, index)))
            advance(1)
    return {
        f"level {level}": Embedded(embeddings=[clip[level] for clip in found], songs=songs, sample_rate=rate)
        for level in levels
    }


def embed_folder(
    folder: Path, sample_rate: int, choice: Choice, display: Display, parts: Parts = NOTHING_KEPT
) -> Embedded:
    """Clips of the sound files of a folder, from as many files as possible; `parts` keeps what was found.

    Raises:
        DataError: the folder has no sound files, or none as long as a clip.
        AudioError: a file is damaged.
    """
    files = list(sound_files(folder)) if folder.is_dir() else []
    if not files:
        raise DataError(f"{folder} is neither a dataset nor a folder with sound files; name one.")
    order = np.random.default_rng(choice.seed).permutation(len(files))
    each = -(-choice.most // len(files))
    found = embed_files([files[index] for index in order], sample_rate, display, most=each, parts=parts)
    if not found.embeddings:
        raise DataError(f"{folder} has no sound file with a clip of {clip_samples(1)} s that is not silent.")
    return Embedded(
        embeddings=found.embeddings[: choice.most], songs=found.songs[: choice.most], sample_rate=sample_rate
    )


def embed_files(
    files: Sequence[Path],
    sample_rate: int,
    display: Display,
    *,
    most: int | None = None,
    parts: Parts = NOTHING_KEPT,
) -> Embedded:
    """The clips of some sound files, at most so many of each; raises AudioError for one that is damaged."""
    embeddings, songs = [], []

    def embedded(path: Path) -> Float64[np.ndarray, "clips features"]:
        return stack(list(itertools.islice(_clips(path, sample_rate), most)))

    with display("embedding", len(files), "files") as advance:
        for number, path in enumerate(files):
            found = list(parts.get(f"file {number}", partial(embedded, path)))
            embeddings += found
            songs += [str(path)] * len(found)
            advance(1)
    return Embedded(embeddings=embeddings, songs=songs, sample_rate=sample_rate)


def _clips(path: Path, sample_rate: int) -> Iterator[Float64[np.ndarray, " features"]]:
    length = clip_samples(sample_rate)
    for block in stream(path, sample_rate=sample_rate, block_samples=length):
        sound = mix_down(block)
        if sound.shape[1] < length:
            return
        if sound.abs().max() > SILENCE_PEAK:
            yield embed(sound, sample_rate)


def _crops(dataset: Dataset, choice: Choice, length_samples: int) -> AudioCrops:
    config = CropConfig(length_samples=length_samples, seed=choice.seed, shift=False, blend="mean")
    return AudioCrops(dataset, config, choice.split)
