"""Training that begins from a model: new names, frozen parts, differences of low rank, and the way back to a model."""

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from jukebox import presets
from jukebox.checkpoints import load, store
from jukebox.config import PriorConfig
from jukebox.errors import ConfigError, DataError
from jukebox.labels.text import V2_ALPHABET, V3_ALPHABET, LyricAlphabet
from jukebox.labels.vocabulary import NameList, Vocabulary, normalise
from jukebox.nn.unallocated import unallocated
from jukebox.prior.prior import Prior
from jukebox.training import lora
from jukebox.training.randomness import generator_for
from jukebox.training.recipe import FinetuneConfig
from jukebox.training.workers import Workers

ARTISTS, GENRES = "labels.artist.weight", "labels.genre.weight"

Songs = Iterable[tuple[str, str]]
"""(artist, genre) of every song of a data set."""


def prior_to_finetune(config: FinetuneConfig, level: int | None, songs: Songs, seed: int) -> tuple[Prior, Vocabulary]:
    """The prior that training begins with, and the names it knows, those of the songs among them.

    Matrices that are frozen keep the precision that the recipe gives them; everything else is in float32 and its own.

    Raises:
        CheckpointError: there is no such model.
        ConfigError: a pattern of the recipe matches nothing, or a name that new rows begin as is unknown.
        DataError: the model has no label lists.
    """
    found = load.find_prior(config.model, level)
    assert isinstance(found.config, PriorConfig)
    prior_config, tensors = found.config, dict(found.tensors)
    load.check_whole(prior_config, config.model, "trained")
    vocabulary = vocabulary_of(config, prior_config)
    if prior_config.labels is not None:
        grown = grow(vocabulary, songs, prior_config.labels.artists, prior_config.labels.genres)
        artists, genres = grown.artists.id_count, grown.genres.id_count
        tensors[ARTISTS] = _with_rows(tensors[ARTISTS], artists, config.new_artists, vocabulary.artists)
        tensors[GENRES] = _with_rows(tensors[GENRES], genres, config.new_genres, vocabulary.genres)
        labels = replace(prior_config.labels, artists=len(tensors[ARTISTS]), genres=len(tensors[GENRES]))
        prior_config, vocabulary = replace(prior_config, labels=labels), grown
    with unallocated():
        prior = Prior(prior_config)
    prior.load_state_dict(tensors, assign=True)
    freeze(prior, config, seed)
    own_memory(prior)
    return prior, vocabulary


def vocabulary_of(config: FinetuneConfig, prior: PriorConfig) -> Vocabulary:
    """The names that a model knows: from its own folder, or from the lists published with a released one."""
    if (own := _own(config.model, prior.level, store.VOCABULARY)) is not None:
        return Vocabulary.from_json(own.read_text(encoding="utf-8"))
    if prior.labels is None:
        return Vocabulary.from_songs([])
    version = "v2" if prior.labels.genre_slots > 1 else "v3"
    if config.labels is not None:
        return Vocabulary.released(Path(config.labels), version)
    from jukebox.cache import LABELS, cache_folder

    folder = cache_folder() / LABELS
    if config.model in presets.RELEASED and folder.is_dir():
        return Vocabulary.released(folder, version)
    raise DataError(
        f"{config.model} has no {store.VOCABULARY}; set finetune.labels to the folder with its "
        f"{version}_artist_ids.txt and {version}_genre_ids.txt."
    )


def alphabet_of(config: FinetuneConfig, prior: PriorConfig) -> LyricAlphabet | None:
    """The characters that a model reads; None for one without lyrics."""
    if prior.lyrics is None:
        return None
    if (own := _own(config.model, prior.level, store.ALPHABET)) is not None:
        return LyricAlphabet.from_json(own.read_text(encoding="utf-8"))
    for alphabet in (V2_ALPHABET, V3_ALPHABET):
        if alphabet.token_count == prior.lyrics.vocabulary:
            return alphabet
    raise DataError(
        f"{config.model} has no {store.ALPHABET} and reads {prior.lyrics.vocabulary} characters, as no released "
        "model does; put its alphabet beside its weights."
    )


def _own(model: str, level: int, name: str) -> Path | None:
    """A file of names in a model's folder, or in the one of its prior of a level; None where there is none."""
    place = load.locate(model) if model == presets.MINI else Path(model)
    if not place.is_dir():
        return None
    folders = (place, load.part_folders(place).get(f"prior_level_{level}"))
    return next((folder / name for folder in folders if folder is not None and (folder / name).is_file()), None)


def grow(vocabulary: Vocabulary, songs: Songs, artists: int, genres: int) -> Vocabulary:
    """The vocabulary with the names of the songs that it lacks, numbered from `artists` and `genres` on, sorted."""
    names = list(songs)
    rule = vocabulary.rule
    words = [word for _, genre in names for word in (normalise(genre, "v2").split("_") if rule == "v2" else [genre])]
    return replace(
        vocabulary,
        artists=_grown(vocabulary.artists, (artist for artist, _ in names), artists),
        genres=_grown(vocabulary.genres, words, genres),
    )


def _grown(known: NameList, names: Iterable[str], first: int) -> NameList:
    missing: dict[str, str] = {}
    for name in sorted(set(names)):
        key = normalise(name, known.rule)
        if key not in ("", "unknown") and not _knows(known, name):
            missing.setdefault(key, " ".join(name.split()) if known.rule == "open" else key)
    start = max(first, known.id_count)
    new = tuple((missing[key], start + index) for index, key in enumerate(sorted(missing)))
    return replace(known, entries=known.entries + new)


def _knows(known: NameList, name: str) -> bool:
    from jukebox.errors import LabelError

    try:
        known.id(name)
    except LabelError:
        return False
    return True


def _with_rows(table: Tensor, count: int, begin_as: str, names: NameList) -> Tensor:
    """A table with at least `count` rows; new ones are the mean of all, or the row of a name."""
    if count <= len(table):
        return table
    row = table.float().mean(0) if begin_as == "mean" else table[names.id(begin_as)].float()
    return torch.cat([table, row.to(table.dtype).expand(count - len(table), -1)])


def freeze(model: nn.Module, config: FinetuneConfig, seed: int) -> None:
    """Freeze what the recipe freezes, and give what it adapts a difference.

    Raises:
        ConfigError: a pattern matches no parameter.
    """
    names = [name for name, _ in model.named_parameters()]
    for field in ("frozen", "trained") if config.lora is not None else ("frozen",):
        for pattern in getattr(config, field):
            default = field == "trained" and getattr(config, field) == FinetuneConfig(model="").trained
            if not default and not any(fnmatch.fnmatchcase(name, pattern) for name in names):
                raise ConfigError(
                    f"FinetuneConfig.{field} has {pattern!r}, which matches no parameter; the names are those of "
                    "`jukebox weights info`."
                )
    for name, parameter in model.named_parameters():
        frozen = any(fnmatch.fnmatchcase(name, pattern) for pattern in config.frozen)
        kept = config.lora is not None and not any(fnmatch.fnmatchcase(name, p) for p in config.trained)
        parameter.requires_grad_(not (frozen or kept))
    if config.lora is not None:
        lora.adapt(model, config.lora, config.frozen_precision, generator_for(seed, "lora"))
    if config.frozen_precision != "float32":
        lora.pack_frozen(model, config.frozen_precision)


@torch.no_grad()
def own_memory(model: nn.Module) -> None:
    """Parameters in float32 and in memory of their own: those of a file are mapped, and may be half precision."""
    for parameter in model.parameters():
        own = parameter.detach().to(torch.float32)
        parameter.data = own.clone() if own.data_ptr() == parameter.data_ptr() and parameter.requires_grad else own


def merged_tensors(model: nn.Module, workers: Workers) -> Mapping[str, Tensor]:
    """Every tensor of the model under its own name, whole and on the CPU; all workers call, the first one gets them.

    Differences of low rank are added to what they belong to, so the result is a model like any other.
    """
    found: dict[str, Tensor] = {}
    with torch.no_grad():
        for name, tensor in lora.merged_state(model):
            whole = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor  # pyright: ignore
            if workers.first:
                found[name] = whole.detach().cpu()
    return found
