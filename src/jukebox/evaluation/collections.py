"""The clips of a collection of sound, embedded: a dataset, a folder of files, or a dataset through a VQ-VAE."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
from jukebox.evaluation.distribution import clip_samples, embed
from jukebox.evaluation.reconstruction import reconstruct
from jukebox.vqvae.vqvae import VQVAE


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """Clips of a collection: the embedding and the song of each."""

    embeddings: Sequence[Float64[np.ndarray, " features"]]
    songs: Sequence[str]
    sample_rate: int


def embed_dataset(dataset: Dataset, split: Split | None, most: int, seed: int, display: Display) -> Embedded:
    """At most so many clips of a dataset's songs, chosen by the seed."""
    crops = _crops(dataset, split, clip_samples(dataset.sample_rate), seed)
    embeddings, songs = [], []
    count = min(most, len(crops))
    with display("embedding", count, "clips") as advance:
        for index in range(count):
            crop = crops.take(index)
            embeddings.append(embed(crop.sound, dataset.sample_rate))
            songs.append(crop.song.key)
            advance(1)
    return Embedded(embeddings=embeddings, songs=songs, sample_rate=dataset.sample_rate)


def embed_reconstructions(
    model: VQVAE, dataset: Dataset, split: Split | None, most: int, seed: int, display: Display
) -> dict[str, Embedded]:
    """The clips of a dataset as they come out of each level of a VQ-VAE."""
    rate = model.config.sample_rate
    crops = _crops(dataset, split, clip_samples(rate, model.config.hops[-1]), seed)
    levels = range(model.config.levels)
    found = {level: [] for level in levels}
    songs, count = [], min(most, len(crops))
    with display("reconstructing", count, "clips") as advance:
        for segment in reconstruct(model, crops, range(count), levels):
            songs.append(segment.crop.song.key)
            for level, sound in segment.estimates.items():
                found[level].append(embed(sound, rate))
            advance(1)
    return {f"level {n}": Embedded(embeddings=e, songs=songs, sample_rate=rate) for n, e in found.items()}


def embed_folder(folder: Path, sample_rate: int, most: int, seed: int, display: Display) -> Embedded:
    """Clips of the sound files of a folder, at most so many, from as many files as possible.

    Raises:
        DataError: the folder has no sound files, or none as long as a clip.
        AudioError: a file is damaged.
    """
    files = list(sound_files(folder)) if folder.is_dir() else []
    if not files:
        raise DataError(f"{folder} is neither a dataset nor a folder with sound files; name one.")
    order = np.random.default_rng(seed).permutation(len(files))
    each = -(-most // len(files))
    found = embed_files([files[index] for index in order], sample_rate, display, most=each)
    if not found.embeddings:
        raise DataError(f"{folder} has no sound file with a clip of {clip_samples(1)} s that is not silent.")
    return Embedded(embeddings=found.embeddings[:most], songs=found.songs[:most], sample_rate=sample_rate)


def embed_files(files: Sequence[Path], sample_rate: int, display: Display, most: int | None = None) -> Embedded:
    """The clips of some sound files, at most so many of each; raises AudioError for one that is damaged."""
    embeddings, songs = [], []
    with display("embedding", len(files), "files") as advance:
        for path in files:
            found = list(itertools.islice(_clips(path, sample_rate), most))
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


def _crops(dataset: Dataset, split: Split | None, length_samples: int, seed: int) -> AudioCrops:
    config = CropConfig(length_samples=length_samples, seed=seed, shift=False, blend="mean")
    return AudioCrops(dataset, config, split)
