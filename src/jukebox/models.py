"""From a name or a folder to everything a song needs: VQ-VAE, words of every level, and priors when they are asked for.

Weights of priors are large: only their configurations are read until one is loaded.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from jukebox import presets
from jukebox.cache import cache_folder
from jukebox.checkpoints import files, load, store
from jukebox.checkpoints.codes import codebook_fingerprint
from jukebox.checkpoints.openai import Imported
from jukebox.checkpoints.packing import Part, parts_in
from jukebox.config import PriorConfig
from jukebox.data.names import names_of
from jukebox.errors import CheckpointError, JukeboxError
from jukebox.labels.labels import LabelEncoder, Labels
from jukebox.labels.text import V3_ALPHABET, LyricAlphabet
from jukebox.labels.vocabulary import Vocabulary
from jukebox.prior.initialise import new_prior
from jukebox.prior.prior import Prior
from jukebox.sampling.model import LevelModel, SongModel
from jukebox.sampling.request import SongRequest
from jukebox.sampling.token import SamplingConfig
from jukebox.vqvae.vqvae import VQVAE


@dataclass(frozen=True)
class Parts:
    """A model, and how a prior of it is loaded: on the CPU, in evaluation mode.

    Args:
        model: without the weights of its priors.
        checkpoint: a short name of the weights of a level.
        stored: the tensors of the prior of a level as they are stored, of which `checkpoints.load.first_layers` makes a
            part.
    """

    model: SongModel
    checkpoint: Callable[[int], str]
    stored: Callable[[int], Imported]

    def prior(self, level: int) -> Prior:
        """The prior of a level, in the types in which it is stored."""
        found = self.stored(level)
        assert isinstance(found.config, PriorConfig)
        return load.build_prior(found.config, found.tensors, None)

    def fingerprint(self, lowest_level: int = 0) -> str:
        """A short name of the codebooks, and of the configurations and weights of a level and those above it."""
        digest = hashlib.sha256(codebook_fingerprint(self.model.vqvae).encode())
        for level, known in sorted(each for each in self.model.levels.items() if each[0] >= lowest_level):
            digest.update(known.config.to_json().encode())
            digest.update(self.checkpoint(level).encode())
        return digest.hexdigest()[:16]


def find(name: str) -> Parts:
    """The model that a name or folder stands for.

    Args:
        name: "mini", "tiny-random", a released model whose files are in the cache, or a folder that holds a VQ-VAE and
            priors of ours or the runs of their training, with their `vocabulary.json` and `alphabet.json`, and perhaps
            a `song.yaml`: a request that says how and what the model writes where nothing else is asked for.

    Raises:
        CheckpointError: there is no such model, or a part of it is missing.
        DataError: a list of names is missing or damaged.
    """
    if name == presets.TINY_RANDOM:
        return _tiny_random()
    if name in presets.RELEASED and not Path(name).exists():
        return _released(presets.model(name))
    path = load.locate(name)
    if not path.is_dir():
        raise CheckpointError(f"{name} is no folder of a model; name one, or one of {', '.join(presets.NAMES)}.")
    return _folder(path, name)


def parts_to_pack(name: str) -> list[Part]:
    """What `checkpoints.packing.pack` takes of a model: of a folder, mini, or a released model that is in the cache.

    Raises:
        CheckpointError: there is no such model, or a part of it is missing or damaged.
        DataError: a list of names is missing.
    """
    if name not in presets.RELEASED or Path(name).exists():
        return parts_in(load.locate(name))
    found = []
    for part in ("vqvae", *(f"prior_level_{prior.level}" for prior in presets.model(name).priors)):
        imported, words = load.find_part(name, part)[part], {}
        if isinstance(imported.config, PriorConfig):
            vocabulary, alphabet = names_of(name, imported.config.level)
            words = {store.VOCABULARY: vocabulary.to_json(), store.ALPHABET: alphabet.to_json()}
        found.append(Part(where=f"{part} of {name}", checkpoint=imported, words=words))
    return found


def _tiny_random() -> Parts:
    words = names_of(presets.TINY_RANDOM)
    levels = {
        config.level: LevelModel(
            config=config,
            words=_words(*words, config),
            sampling=SamplingConfig(temperature=1.0),
            # Random codes have no seams, and tests have no time.
            parallel_windows=1 if config.upsampler is None else 16,
        )
        for config in presets.TINY_PRIORS
    }

    def prior(level: int) -> Prior:
        config = levels[level].config
        built = new_prior(config, torch.Generator().manual_seed(presets.TINY_SEED + level)).eval()
        if built.upsampler is not None:  # as loud as everything else, so that the level above is heard
            with torch.no_grad():
                built.upsampler.norm.weight.mul_(0.5)
        return built

    artist, genre = presets.TINY_NAMES[0]
    usual = SongRequest(songs=(Labels(artist=artist, genre=genre, lyrics="la la la"),), seconds=3.0)
    vqvae = load.load_vqvae(load.TINY)
    return Parts(
        SongModel(presets.TINY_RANDOM, vqvae, levels, usual),
        lambda level: "random",
        lambda level: Imported(config=levels[level].config, tensors=prior(level).state_dict(), source={}),
    )


def _released(released: presets.ReleasedModel) -> Parts:
    levels = {}
    for config, hop, temperature in zip(released.priors, released.hop_fractions, released.temperatures, strict=True):
        levels[config.level] = LevelModel(
            config=config,
            words=_words(*names_of(released.name, config.level), config),
            hop_fraction=hop,
            sampling=SamplingConfig(temperature=temperature),
            # Upsamplers read other lists than the top prior; what these lack the original left unknown too.
            forgiving=config.upsampler is not None,
            half=True,
        )
    return Parts(
        SongModel(released.name, load.load_vqvae(released.name), levels),
        lambda level: _glimpse(cache_folder() / released.files[1 + level].path),
        lambda level: load.find_prior(released.name, level),
    )


def _folder(path: Path, name: str) -> Parts:
    folders = load.part_folders(path)
    place = folders.pop("vqvae", None)
    if place is None or not folders:
        what = "no VQ-VAE" if place is None else "no prior"
        raise CheckpointError(
            f"{path} holds {what}; a model is a folder with a VQ-VAE and its priors, or their runs, side by side."
        )
    vqvae = load.load_vqvae(place)
    priors = {_level(folder, vqvae, place): folder for folder in folders.values()}
    usual = _usual(path)
    levels = {level: _trained(folder, usual) for level, folder in sorted(priors.items())}
    return Parts(
        # What is usual at a level is in the levels.
        SongModel(name, vqvae, levels, replace(usual, levels=(), parallel_windows=None)),
        lambda level: _digest(priors[level]),
        lambda level: load.find_prior(priors[level], level),
    )


def _level(folder: Path, vqvae: VQVAE, place: Path) -> int:
    """The level of a prior; refuses one whose codes are not those of the VQ-VAE, as far as it is known."""
    found, codebooks = store.load(folder), codebook_fingerprint(vqvae)
    assert isinstance(found.config, PriorConfig)
    # An imported prior does not know its codebooks, only their size.
    fits = found.config.level < vqvae.config.levels and found.config.codebook_size == vqvae.config.codebook.size
    if not fits or (found.source.get("codebooks") or codebooks) != codebooks:
        raise CheckpointError(
            f"{folder} was trained on the codes of another VQ-VAE than {place}; put the one that made its codes beside "
            "it, or train it on codes of this one."
        )
    return found.config.level


def _glimpse(file: Path) -> str:
    return files.glimpse(file) if file.is_file() else file.name


def _digest(folder: Path) -> str:
    """What the manifest says of the weights: they are as they were where it is."""
    return hashlib.sha256((folder / store.MANIFEST).read_bytes()).hexdigest()


def _usual(path: Path) -> SongRequest:
    """The song of a folder's `song.yaml`; ten seconds without labels where there is none."""
    file = path / store.SONG
    if not file.is_file():
        return SongRequest(seconds=10.0)
    try:
        return SongRequest.read(file)
    except JukeboxError as error:
        raise CheckpointError(f"{file} cannot be used: {error}") from error


def _trained(folder: Path, usual: SongRequest) -> LevelModel:
    """A level of a model in folders; `vocabulary.json` and `alphabet.json` are in the prior's, or beside it."""
    found = store.load(folder)
    config = found.config
    assert isinstance(config, PriorConfig)
    words = None
    if config.labels is not None:
        vocabulary = Vocabulary.from_json(_beside(folder, "vocabulary.json"))
        alphabet = V3_ALPHABET
        if config.lyrics is not None:
            alphabet = LyricAlphabet.from_json(_beside(folder, "alphabet.json"))
        words = _words(vocabulary, alphabet, config)
    settings = usual.level(config.level)
    return LevelModel(
        config=config,
        words=words,
        sampling=settings.sampling(SamplingConfig(temperature=0.99)),
        hop_fraction=settings.hop_fraction or (0.5 if config.upsampler else 0.125),
        # Of another origin: the released upsamplers read other lists than the top prior.
        forgiving=config.upsampler is not None and found.source.get("format") in ("openai", "huggingface"),
        half=all(t.dtype == torch.float16 for name, t in found.tensors.items() if name.endswith("mlp.input.weight")),
        parallel_windows=usual.parallel_windows or 1,
    )


def _beside(folder: Path, name: str) -> str:
    for place in (folder / name, folder.parent / name):
        if place.is_file():
            try:
                return place.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise CheckpointError(f"{place} cannot be read ({error}); restore it from the training.") from error
    raise CheckpointError(f"{folder} has no {name}; put the one of its training into it or beside it.")


def _words(vocabulary: Vocabulary, alphabet: LyricAlphabet, config: PriorConfig) -> LabelEncoder:
    lyrics = config.lyrics.tokens if config.lyrics is not None else 0
    rate = config.labels.sample_rate if config.labels is not None else 44_100
    return LabelEncoder(vocabulary=vocabulary, alphabet=alphabet, lyric_window=lyrics, sample_rate=rate)
