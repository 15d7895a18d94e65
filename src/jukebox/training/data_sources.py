"""From the data of a recipe to numbered windows: of sound for a VQ-VAE, of codes with labels for a prior."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from jukebox.checkpoints.codes import codebook_fingerprint
from jukebox.config import PriorConfig
from jukebox.data import shards
from jukebox.data.collection import Collection, Split, holds
from jukebox.data.crops import AudioCrops, CropConfig
from jukebox.data.dataset import Dataset
from jukebox.data.shards import Tokens
from jukebox.data.windows import EncodedCrops, TokenCrops, Window, suitable
from jukebox.errors import ConfigError, DataError
from jukebox.labels.timing import TimeGrid
from jukebox.training.log import Say
from jukebox.training.loop import Sources
from jukebox.training.prior_task import Words
from jukebox.training.recipe import DataConfig
from jukebox.vqvae.vqvae import VQVAE

AnyCollection = TypeVar("AnyCollection", bound=Collection)
Make = Callable[[CropConfig, Split], Any]


def open_data(data: DataConfig) -> Dataset | Tokens:
    """The dataset of sound or of codes that a recipe names; raises DataError where it is neither."""
    folder = Path(data.path)
    return Tokens.open(folder) if holds(folder, shards.DESCRIPTION) else Dataset.open(folder)


def sound_sources(data: DataConfig, sample_rate: int, say: Say) -> Sources:
    """Windows of sound.

    Raises:
        DataError: there is no such dataset, it has another sample rate, or no song is long enough.
    """
    dataset = open_data(data)
    if not isinstance(dataset, Dataset):
        raise DataError(
            f"{data.path} holds codes; a VQ-VAE learns from sound: name a folder of `jukebox data prepare`."
        )
    dataset.check_rate(sample_rate)
    return _both(data, say, lambda config, split: AudioCrops(dataset, config, split))


def code_sources(
    data: DataConfig, collection: Dataset | Tokens, config: PriorConfig, vqvae: VQVAE | None, say: Say
) -> Sources:
    """A prior's windows of codes, from shards or encoded as they are taken.

    Args:
        data: the recipe's.
        collection: what it names, with the prior's own names and characters.
        config: of the prior.
        vqvae: whose codes they are, in evaluation mode where it shall compute; needed for sound.
        say: where lines for people go.

    Raises:
        DataError: codes of another model, or of fewer codes than the prior has, or no song is long enough.
    """
    window = Window.of(config)
    if isinstance(collection, Tokens):
        sizes = collection.codebook_sizes
        if config.level < len(sizes) and sizes[config.level] != config.codebook_size:
            raise DataError(
                f"{data.path} has {sizes[config.level]} codes at level {config.level}, this prior "
                f"{config.codebook_size}: tokenise the data with its VQ-VAE."
            )
        if vqvae is not None and codebook_fingerprint(vqvae) != collection.fingerprint:
            raise DataError(
                f"{data.path} was tokenised with the codebooks {collection.fingerprint} (model "
                f"{collection.model!r}), the recipe's vqvae has {codebook_fingerprint(vqvae)}: tokenise them with it."
            )
        return _both(data, say, lambda crops, split: TokenCrops(collection, crops, split, window))
    assert vqvae is not None
    hops = vqvae.config.hops
    if config.level >= len(hops):
        raise DataError(f"PriorConfig.level is {config.level}; the VQ-VAE has the levels 0 to {len(hops) - 1}.")
    length, encoder = window.context * hops[config.level], collection.label_encoder(window.lyric_window)

    def encoded(crops: CropConfig, split: Split) -> EncodedCrops:
        sound = AudioCrops(collection, replace(crops, length_samples=length), split, encoder=encoder)
        return EncodedCrops(sound, vqvae, config.level)

    return _both(data, say, encoded)


def with_words(collection: AnyCollection, words: Words) -> AnyCollection:
    """The collection labelled by the names and characters of a model, where it has them."""
    return replace(
        collection,
        vocabulary=words.vocabulary or collection.vocabulary,
        alphabet=words.alphabet or collection.alphabet,
    )


def grid_of(data: DataConfig, collection: Collection, vqvae: VQVAE | None) -> TimeGrid:
    """Where the codes lie that are learnt.

    Raises:
        ConfigError: the data are sound and there is no VQ-VAE to encode it.
    """
    if isinstance(collection, Tokens):
        return collection.grid
    if vqvae is None:
        raise ConfigError(f"PriorRecipe.vqvae is None; expected a VQ-VAE's folder, since {data.path} holds sound.")
    return TimeGrid(sample_rate=vqvae.config.sample_rate, hops=vqvae.config.hops)


def of_known_length(collection: AnyCollection, config: PriorConfig, grid: TimeGrid, say: Say) -> AnyCollection:
    """The songs whose length a prior can be told; those of other lengths are left out with a word about it.

    Raises:
        DataError: none is left.
    """
    labels, known = config.labels, suitable(config, grid)
    kept = tuple(song for song in collection.songs if known(song))
    if labels is not None and len(kept) < len(collection.songs):
        say(
            f"{len(collection.songs) - len(kept)} of {len(collection.songs)} songs are left out: the prior is told "
            f"lengths of {labels.min_duration_s:g} to {labels.max_duration_s:g} s (model.labels)."
        )
    if not kept:
        raise DataError("No song is left to train on: set other durations in model.labels.")
    return replace(collection, songs=kept)


def _both(data: DataConfig, say: Say, make: Make) -> Sources:
    """Windows of both splits; validation windows are always the same, and stay where they are."""
    training = make(data.crops, "train")
    try:
        validation = make(replace(data.crops, shift=False, blend="mean"), "validation")
    except DataError as error:
        say(f"There is no validation: {error}")
        validation = None
    return Sources(training=training, validation=validation)
