"""The windows on which a prior is measured, from codes or from sound, with labels in its own numbers."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from jukebox.checkpoints.codes import codebook_fingerprint
from jukebox.checkpoints.load import load_vqvae
from jukebox.config import PriorConfig
from jukebox.data.collection import Collection, Song, Split
from jukebox.data.crops import AudioCrops, CropConfig
from jukebox.data.dataset import Dataset
from jukebox.data.names import check_trained_on, names_of
from jukebox.data.shards import DESCRIPTION, Tokens
from jukebox.data.windows import EncodedCrops, TokenCrops, Window, suitable
from jukebox.errors import CheckpointError, DataError
from jukebox.evaluation.contrasts import Names
from jukebox.evaluation.likelihood import Windows
from jukebox.labels.labels import LabelEncoder, Labels
from jukebox.labels.text import LyricAlphabet
from jukebox.labels.timing import TimeGrid
from jukebox.vqvae.vqvae import VQVAE


@dataclass(frozen=True, kw_only=True)
class PriorWindows:
    """Windows to measure, those of the training songs (None where there are none), and the songs that have none.

    names: of the artists and genres of all songs that the prior knows, in its numbers; alphabet: of its lyrics.
    """

    windows: Windows
    training: Windows | None
    left_out: tuple[Song, ...]
    grid: TimeGrid
    names: tuple[Names, ...]
    alphabet: LyricAlphabet | None


def windows_of(
    config: PriorConfig, model: str, data: Path, crops: CropConfig, split: Split | None, vqvae: str | None
) -> PriorWindows:
    """The windows of a prior.

    Args:
        config: the prior.
        model: where it is from: its names of artists and genres are there.
        data: codes, or sound that a VQ-VAE encodes first.
        crops: how they are taken, but for their length.
        split: which songs.
        vqvae: encodes the sound, and checks the codes; None for the one of `model`, where it has one.

    Raises:
        DataError: the codes are of another model, or there are no windows.
        CheckpointError: sound is given, and no VQ-VAE.
    """
    window, encoder = Window.of(config), _encoder(config, model)
    encoding = _vqvae(vqvae, model)
    if (data / DESCRIPTION).is_file():
        collection = Tokens.open(data)
        _check_codes(collection, config, encoding, vqvae or model)
        grid, codebooks = collection.grid, collection.fingerprint
    elif encoding is not None:
        collection = Dataset.open(data)
        grid = TimeGrid(sample_rate=encoding.config.sample_rate, hops=encoding.config.hops)
        codebooks = codebook_fingerprint(encoding)
    else:
        raise CheckpointError(
            f"{model} holds no VQ-VAE to encode the sound of {data}: name one with --vqvae, or give codes."
        )
    check_trained_on(model, config.level, codebooks)
    known = suitable(config, grid)
    length = grid.token_samples(config.level, window.context)

    def take(split: Split | None) -> Windows:
        if isinstance(collection, Tokens):
            return TokenCrops(collection, crops, split, window, encoder=encoder, songs=known)
        assert encoding is not None
        sized = dataclasses.replace(crops, length_samples=length)
        of_sound = AudioCrops(collection, sized, split, encoder=encoder, songs=known)
        return EncodedCrops(of_sound, encoding, config.level)

    windows = take(split)
    # Of all songs at once there are none left that an n-gram could be counted on.
    training = take("train") if split == "validation" else None
    left_out = tuple(s for s in collection.of_split(split) if s.length_samples < length or not known(s))
    return PriorWindows(
        windows=windows,
        training=training,
        left_out=left_out,
        grid=grid,
        names=() if encoder is None else _names(collection, encoder),
        alphabet=None if encoder is None else encoder.alphabet,
    )


def _names(collection: Collection, encoder: LabelEncoder) -> tuple[Names, ...]:
    """The numbers of every artist with its genre; what the prior does not know has the number 0 and is left out."""
    pairs = {(song.artist, song.genre) for song in collection.songs}
    songs = (encoder.song(Labels(artist=artist, genre=genre)) for artist, genre in sorted(pairs))
    return tuple(dict.fromkeys((song.artist_id, song.genre_ids) for song in songs if song.artist_id))


def _encoder(config: PriorConfig, model: str) -> LabelEncoder | None:
    """Into the numbers of the prior; None for one that is told no names."""
    if config.labels is None and config.lyrics is None:
        return None
    vocabulary, alphabet = names_of(model, config.level)
    lyrics = config.lyrics.tokens if config.lyrics else 0
    rate = config.labels.sample_rate if config.labels else 44_100
    return LabelEncoder(
        vocabulary=vocabulary, alphabet=alphabet, lyric_window=lyrics, unknown_is_zero=True, sample_rate=rate
    )


def _vqvae(vqvae: str | None, model: str) -> VQVAE | None:
    if vqvae is not None:
        return load_vqvae(vqvae)
    try:
        return load_vqvae(model)
    except CheckpointError:  # a folder of a prior alone
        return None


def _check_codes(tokens: Tokens, config: PriorConfig, vqvae: VQVAE | None, name: str) -> None:
    if not config.level < len(tokens.hops):
        raise DataError(f"{tokens.folder} has {len(tokens.hops)} levels; the prior is of level {config.level}.")
    if tokens.codebook_sizes[config.level] != config.codebook_size:
        raise DataError(
            f"{tokens.folder} has codes of {tokens.codebook_sizes[config.level]} entries at level {config.level}; the "
            f"prior was made for {config.codebook_size}: give the codes of its VQ-VAE."
        )
    if vqvae is not None:
        tokens.check_made_by(vqvae, name, "tokenise the data with the VQ-VAE that the prior belongs to")
