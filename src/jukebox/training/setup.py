"""From a recipe to a run that is ready to go: data, model, task, workers; and the refusal to mix two runs."""

import json
from pathlib import Path
from typing import Any

import torch

from jukebox.checkpoints import load
from jukebox.checkpoints.codes import codebook_fingerprint
from jukebox.config import VqvaeConfig
from jukebox.data.names import check_trained_on
from jukebox.data.shards import Tokens
from jukebox.errors import ConfigError, DataError, JukeboxError, TrainingError
from jukebox.prior.codebook_features import embed_codebooks
from jukebox.prior.initialise import new_prior
from jukebox.prior.prior import Prior
from jukebox.training import checkpoint, data_sources
from jukebox.training.compiled import check_compiler
from jukebox.training.finetune import alphabet_of, freeze, own_memory, prior_to_finetune
from jukebox.training.log import Say
from jukebox.training.loop import RunFolder, Sources, Trainer
from jukebox.training.prior_task import PriorTask, Words
from jukebox.training.recipe import PriorRecipe, Recipe, VqvaeRecipe
from jukebox.training.recipe_file import read_recipe, write_recipe
from jukebox.training.shard import place
from jukebox.training.vqvae_task import VqvaeTask, bandwidth_of
from jukebox.training.workers import Workers
from jukebox.vqvae.losses import Bandwidth
from jukebox.vqvae.vqvae import VQVAE

RECIPE = "recipe.yaml"

# What may change between two sessions of a run: how fast, how long and how talkative it is, and how fast it learns.
_FREE = ("run.steps", "run.micro_batch", "run.recompute", "run.compile", "run.save_every_steps", "run.keep")
_FREE += ("run.log_every_steps", "run.evaluate_every_steps", "run.evaluate_windows", "run.sample_every_steps")
_FREE += ("run.most_skipped", "run.loader_threads", "data.path", "vqvae", "schedule", "optimizer.learning_rate")
_FREE += ("alignment", "hiding")


def vqvae_trainer(recipe: VqvaeRecipe, folder: RunFolder, workers: Workers, say: Say) -> Trainer:
    """A VQ-VAE's run, from its data to its last saved state.

    Raises:
        JukeboxError: the data, the model or the folder are not what the recipe says.
    """
    check_compiler(recipe.run, workers.device)
    claim(folder, recipe, workers)
    model = vqvae_model(recipe)
    check_length(model.config, recipe.data.crops.length_samples)
    sources = data_sources.sound_sources(recipe.data, model.config.sample_rate, _first(workers, say))
    # A run that goes on has its bandwidth in its state.
    fresh = checkpoint.latest(folder.checkpoints) is None if workers.first else None
    rate = model.config.sample_rate
    bandwidth = Bandwidth()
    if workers.told(fresh):
        bandwidth = bandwidth_of(sources.training, recipe.bandwidth_s, rate, model.config.loss.emphasis)
    task = VqvaeTask(model, recipe, bandwidth, workers.device)
    place(task.module, recipe.run, workers)
    return Trainer(recipe, task, sources, folder, workers, say)


def vqvae_model(recipe: VqvaeRecipe) -> VQVAE:
    """The model with its first weights: random ones of the recipe's seed, or those of another model."""
    if recipe.finetune is not None:
        model = load.load_vqvae(recipe.finetune.model)
        freeze(model, recipe.finetune, recipe.run.seed)
        own_memory(model)
        return model
    assert recipe.model is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.run.seed)
        return VQVAE(recipe.model)


def check_length(config: VqvaeConfig, samples: int) -> None:
    """Refuse windows that the model or its losses cannot take."""
    if samples % config.hops[-1]:
        raise ConfigError(f"CropConfig.length_samples is {samples}; expected a multiple of the hop {config.hops[-1]}.")
    shortest = max(2048, *config.loss.n_ffts) // 2 + 1
    if samples < shortest:
        raise ConfigError(f"CropConfig.length_samples is {samples}; expected {shortest} or more, for the spectra.")


def prior_trainer(recipe: PriorRecipe, level: int | None, folder: RunFolder, workers: Workers, say: Say) -> Trainer:
    """A prior's run, from its data to its last saved state.

    Raises:
        JukeboxError: the data, the model or the folder are not what the recipe says.
    """
    recipe = at_level(recipe, level)
    check_compiler(recipe.run, workers.device)
    claim(folder, recipe, workers)
    say = _first(workers, say)
    model, words, sources, codebooks = prior_parts(recipe, level, workers, say)
    task = PriorTask(model, recipe, words, codebooks, workers.device)
    place(task.module, recipe.run, workers)
    return Trainer(recipe, task, sources, folder, workers, say)


def prior_parts(
    recipe: PriorRecipe, level: int | None, workers: Workers, say: Say
) -> tuple[Prior, Words, Sources, str]:
    """The model with its first weights, its names and characters, its windows, and the codebooks' fingerprint."""
    collection = data_sources.open_data(recipe.data)
    vqvae = None if recipe.vqvae is None else load.load_vqvae(recipe.vqvae).to(workers.device)
    codebooks = collection.fingerprint if isinstance(collection, Tokens) else ""
    codebooks = codebooks or ("" if vqvae is None else codebook_fingerprint(vqvae))
    if recipe.finetune is not None:
        songs = [(song.artist, song.genre) for song in collection.songs]
        model, vocabulary = prior_to_finetune(recipe.finetune, level, songs, recipe.run.seed)
        check_trained_on(recipe.finetune.model, level, codebooks)
        words = Words(vocabulary=vocabulary, alphabet=alphabet_of(recipe.finetune, model.config))
    else:
        assert recipe.model is not None
        generator = torch.Generator().manual_seed(recipe.run.seed)
        model = new_prior(recipe.model, generator)
        if recipe.embed_codebooks is not None:
            assert vqvae is not None
            _embed_codebooks(model, vqvae, recipe.embed_codebooks, generator)
        words = Words(vocabulary=collection.vocabulary, alphabet=collection.alphabet)
        _check_tables(model, words)
    collection = data_sources.with_words(collection, words)
    grid = data_sources.grid_of(recipe.data, collection, vqvae)
    collection = data_sources.of_known_length(collection, model.config, grid, say)
    if recipe.alignment is not None:
        model.config.aligned_layers(recipe.alignment.also)
        if not any(song.lyric_times for song in collection.of_split("train")):
            raise DataError(
                f"{recipe.data.path} knows of no song when its words are sung, which alignment is taught: give "
                "lyrics_words or lyrics_lines in its metadata, or leave alignment out of the recipe."
            )
    sources = data_sources.code_sources(recipe.data, collection, model.config, vqvae, say)
    return model, words, sources, codebooks


def _embed_codebooks(model: Prior, vqvae: VQVAE, deviation: float, generator: torch.Generator) -> None:
    """Begin the tables of codes as features of the codebooks; refuses those of another size."""
    level, size = model.config.level, model.config.codebook_size
    if vqvae.config.codebook.size != size or level + (model.upsampler is not None) >= vqvae.config.levels:
        raise ConfigError(
            f"PriorConfig has level {level} and codebook_size {size}; the VQ-VAE has {vqvae.config.levels} levels of "
            f"{vqvae.config.codebook.size} codes: name the one whose codes are learnt."
        )
    above = None if model.upsampler is None else vqvae.vectors(level + 1).to(generator.device)
    embed_codebooks(model, vqvae.vectors(level).to(generator.device), above, deviation, generator)


def at_level(recipe: PriorRecipe, level: int | None) -> PriorRecipe:
    """The recipe for a level that was asked for.

    Raises:
        ConfigError: it describes the prior of another level.
    """
    if recipe.model is not None and level not in (None, recipe.model.level):
        raise ConfigError(
            f"--level is {level} and PriorConfig.level is {recipe.model.level}; give the recipe of that level, or "
            f"model.level={level} if this one suits it too."
        )
    return recipe


def _check_tables(model: Prior, words: Words) -> None:
    """Refuse a new prior whose tables are too small for the data's names or characters."""
    labels, lyrics, vocabulary = model.config.labels, model.config.lyrics, words.vocabulary
    if labels is not None and vocabulary is not None:
        needs = {"artists": vocabulary.artists.id_count, "genres": vocabulary.genres.id_count}
        for name, need in needs.items():
            if getattr(labels, name) < need:
                raise ConfigError(f"LabelConfig.{name} is {getattr(labels, name)}; the data need {need}.")
        if labels.genre_slots != vocabulary.genre_slots:
            raise ConfigError(
                f"LabelConfig.genre_slots is {labels.genre_slots}; the data give {vocabulary.genre_slots}."
            )
    if lyrics is not None and words.alphabet is not None and lyrics.vocabulary < words.alphabet.token_count:
        raise ConfigError(
            f"LyricsConfig.vocabulary is {lyrics.vocabulary}; the data's alphabet needs {words.alphabet.token_count}."
        )


def claim(folder: RunFolder, recipe: Recipe, workers: Workers) -> None:
    """Make a folder the run's own, or find it to be that already.

    Raises:
        ConfigError: the folder is of a run with other settings.
        TrainingError: it holds something else.
        CheckpointError: nobody may look at its saved states, or write others.
    """
    problem: Exception | None = None
    if workers.first:
        try:
            _claim(folder.path, recipe)
        except JukeboxError as error:
            problem = error
        except OSError as error:
            problem = TrainingError(
                f"{folder.path} cannot be written ({error.strerror}); make room, or name another place."
            )
    problem = workers.told(problem)
    if problem is not None:
        raise problem


def _claim(path: Path, recipe: Recipe) -> None:
    kept = path / RECIPE
    if kept.is_file() and checkpoint.states(RunFolder(path=path).checkpoints):
        try:
            before, now = _flat(read_recipe(kept, type(recipe))), _flat(recipe)
        except ConfigError as error:
            raise TrainingError(f"{path} is a run of another kind; name a new folder ({error})") from error
        for name in sorted(set(before) | set(now)):
            if before.get(name) != now.get(name) and not any(name == f or name.startswith(f + ".") for f in _FREE):
                raise ConfigError(
                    f"{path} is a run with {name} = {before.get(name)!r}; the recipe says {now.get(name)!r}: set it "
                    "back, or name another folder (to go on from its model, set finetune.model)."
                )
    elif not kept.is_file() and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise TrainingError(f"{path} exists and is no run of training; name a new folder.")
    path.mkdir(parents=True, exist_ok=True)
    temporary = path / f".{RECIPE}.part"
    write_recipe(temporary, recipe)
    temporary.replace(kept)


def _flat(recipe: Recipe) -> dict[str, Any]:
    """Every field by its dotted name."""

    def walk(values: Any, prefix: str) -> dict[str, Any]:
        if not isinstance(values, dict):
            return {prefix: values}
        found: dict[str, Any] = {}
        for name, value in values.items():
            found |= walk(value, f"{prefix}.{name}" if prefix else name)
        return found

    return walk(json.loads(recipe.to_json()), "")


def _first(workers: Workers, say: Say) -> Say:
    return say if workers.first else lambda text: None
