"""From a dataset of sound to a dataset of codes.

A song is encoded by itself and waits as a file of its own in `parts/`; as soon as the next shard's songs are all there,
they become the shard. Songs are put into shards in the order of the dataset, and shards are written in their order, so
the bytes do not depend on how many worked on them, in which order they ended, or how often the run was killed.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from jukebox.audio.io import mix_down
from jukebox.checkpoints.codes import CodesFile, CodesHeader, codebook_fingerprint, load_codes, save_codes
from jukebox.checkpoints.load import load_vqvae
from jukebox.config import Config
from jukebox.config.base import require
from jukebox.data.collection import Song, read_description, write_names, write_songs, write_text
from jukebox.data.dataset import Dataset
from jukebox.data.display import Display, unseen
from jukebox.data.shards import (
    DESCRIPTION,
    FORMAT,
    SHARDS,
    Codes,
    Entry,
    Tokens,
    read_shard,
    song_codes,
    write_shard,
)
from jukebox.data.workers import done_by
from jukebox.errors import DataError
from jukebox.vqvae.streaming import encode_stream
from jukebox.vqvae.vqvae import VQVAE

PARTS = "parts"
_BLOCK_SAMPLES = 4 * 65_536


@dataclass(frozen=True, kw_only=True)
class TokenizeConfig(Config, called="the codes"):
    """How codes are made.

    Args:
        model: the VQ-VAE, as `load_vqvae` takes it.
        device: as in "cpu" or "cuda:1".
        loudness_lufs: bring every song to this loudness first, as the VQ-VAE was trained; None leaves it as it is.
        shard_s: seconds of sound in a shard, or one song that is longer.
    """

    model: str
    device: str = "cpu"
    loudness_lufs: float | None = None
    shard_s: float = 4 * 3600.0

    def __post_init__(self) -> None:
        require(self.shard_s > 0, self, "shard_s", "a number of seconds above 0")
        loudness = self.loudness_lufs
        require(loudness is None or -70 <= loudness <= 0, self, "loudness_lufs", "-70 to 0, or none")


@dataclass(frozen=True, kw_only=True)
class EncodeTask:
    """A song to encode, with all that another process, perhaps on another machine, needs to know."""

    folder: Path
    song: Song
    config: TokenizeConfig


Run = Callable[[Callable[[EncodeTask], dict[int, Codes]], Iterable[EncodeTask]], Iterator[tuple[EncodeTask, Any]]]
"""Runs a function on tasks, somewhere: `workers.done_by`, `cluster.done_on_cluster`."""


def encode_song(task: EncodeTask) -> dict[int, Codes]:
    """The codes of a song at every level: two channels are mixed down evenly."""
    model, dataset = _model(task.config.model, task.config.device), _dataset(task.folder)
    levels = tuple(range(model.config.levels))
    pieces: dict[int, list[np.ndarray]] = {level: [] for level in levels}
    sound = (block.to(task.config.device) for block in _blocks(dataset, task.song, task.config.loudness_lufs))
    for codes in encode_stream(model, sound, levels):
        for level, piece in codes.items():
            pieces[level].append(piece.cpu().numpy().astype(np.uint16))
    return {level: np.concatenate(found) for level, found in pieces.items()}


def _blocks(dataset: Dataset, song: Song, loudness_lufs: float | None) -> Iterator[Float[Tensor, "1 _"]]:
    for start in range(0, song.length_samples, _BLOCK_SAMPLES):
        block = dataset.audio(song, start, min(_BLOCK_SAMPLES, song.length_samples - start))
        yield mix_down(block) * song.gain(loudness_lufs)


@lru_cache(maxsize=1)
def _model(name: str, device: str) -> VQVAE:
    return load_vqvae(name).to(device)


@lru_cache(maxsize=1)
def _dataset(folder: Path) -> Dataset:
    return Dataset.open(folder)


def tokenize(
    dataset: Dataset, output: Path, config: TokenizeConfig, *, run: Run | None = None, display: Display = unseen
) -> Tokens:
    """Make a dataset of codes, or bring one up to date; songs that are done are not done again.

    Args:
        dataset: the sound.
        output: the folder of the codes.
        config: how they are made.
        run: where the songs are encoded; None for this process.
        display: shows how far it has come, in seconds of sound.

    Raises:
        DataError: the folder holds something else or codes of another model, or the sample rates differ.
        CheckpointError: the model cannot be loaded, or a file cannot be written.
    """
    model = load_vqvae(config.model)
    dataset.check_rate(model.config.sample_rate, config.model)
    fingerprint = codebook_fingerprint(model)
    description = {
        "format": FORMAT,
        "fingerprint": fingerprint,
        "sample_rate": model.config.sample_rate,
        "hops": list(model.config.hops),
        "codebook_sizes": [model.config.codebook.size] * model.config.levels,
        "loudness_lufs": config.loudness_lufs,
    }
    model_name = _begin(output, description, config.model)
    work = _Work(
        dataset,
        output,
        config,
        CodesHeader(
            fingerprint=fingerprint,
            model=config.model,
            sample_rate=model.config.sample_rate,
            length_samples=0,
            hops=model.config.hops,
        ),
    )
    work.finish(run or (lambda function, tasks: done_by(function, tasks, 1)), display)
    write_songs(output, dataset.songs)
    write_names(output, dataset.vocabulary, dataset.alphabet)
    _describe(output, description, model_name, complete=True)
    return Tokens.open(output)


def _begin(output: Path, description: Mapping[str, Any], model: str) -> str:
    """Make sure that the folder is ours to fill, with codes of the same model; returns the model's recorded name."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        _describe(output, description, model, complete=False)
        return model
    if not (output / DESCRIPTION).is_file():
        raise DataError(f"{output} exists and holds no codes: name another folder, or remove it.")
    found = read_description(output, DESCRIPTION, FORMAT, "tokenize")
    for name, meaning in (("fingerprint", "the codebooks"), ("hops", "the hops"), ("loudness_lufs", "the loudness")):
        if found.get(name) != description[name]:
            raise DataError(
                f"{output} was tokenised by {found.get('model')} with {meaning} {found.get(name)}; {model} has "
                f"{description[name]}: name the same model and settings, or another folder."
            )
    _describe(output, description, found["model"], complete=False)
    return found["model"]


def _describe(output: Path, description: Mapping[str, Any], model: str, *, complete: bool) -> None:
    values = dict(description) | {"model": model, "complete": complete}
    write_text(output / DESCRIPTION, json.dumps(values, indent=2) + "\n")


class _Work:
    """What is left to do in a folder of codes."""

    def __init__(self, dataset: Dataset, output: Path, config: TokenizeConfig, header: CodesHeader) -> None:
        self._dataset, self._output, self._config, self._header = dataset, output, config, header
        paths = sorted((output / SHARDS).glob("*.safetensors"))
        done = {(entry.key, entry.digest): path for path in paths for entry in read_shard(path).entries}
        kept = {done.get((song.key, song.digest)) for song in dataset.songs}
        for path in paths:
            if path not in kept:  # no song of it is in the dataset any more
                path.unlink()
        self._number = 1 + max((int(path.stem) for path in paths), default=-1)
        songs = [song for song in dataset.songs if (song.key, song.digest) not in done]
        self._groups = list(_groups(songs, round(config.shard_s * dataset.sample_rate)))

    def finish(self, run: Run, display: Display) -> None:
        """Encode what is left, and write every shard as soon as it and those before it are complete."""
        rate = self._dataset.sample_rate
        waiting = [song for group in self._groups for song in group if not self._part(song).is_file()]
        tasks = (EncodeTask(folder=self._dataset.folder, song=song, config=self._config) for song in waiting)
        self._write_shards()
        with display("tokenising", sum(song.length_samples for song in waiting) / rate, "s") as advance:
            for task, codes in run(encode_song, tasks):
                song = task.song
                header = dataclasses.replace(self._header, length_samples=song.length_samples)
                rows = {level: torch.from_numpy(row) for level, row in codes.items()}
                save_codes(self._part(song), CodesFile(header=header, codes=rows))
                self._write_shards()
                advance(song.length_samples / rate)
        parts = self._output / PARTS
        if parts.is_dir():
            for path in parts.iterdir():  # of songs that have left the dataset
                path.unlink()
            parts.rmdir()

    def _write_shards(self) -> None:
        while self._groups and all(self._part(song).is_file() for song in self._groups[0]):
            group = self._groups.pop(0)
            files = [load_codes(self._part(song)) for song in group]
            codes = {
                level: np.concatenate([file.codes[level].numpy() for file in files])
                for level in range(len(self._header.hops))
            }
            for level, row in codes.items():
                assert len(row) == sum(song_codes(s.length_samples, self._header.hops, level) for s in group)
            entries = (Entry(key=s.key, digest=s.digest, length_samples=s.length_samples) for s in group)
            write_shard(self._output / SHARDS / f"{self._number:05d}.safetensors", entries, codes)
            self._number += 1
            for song in group:
                self._part(song).unlink()

    def _part(self, song: Song) -> Path:
        return self._output / PARTS / f"{song.name}.codes"


def _groups(songs: Sequence[Song], shard_samples: int) -> Iterator[list[Song]]:
    """Songs in their order, so many together that their samples stay below a limit, but at least one."""
    group: list[Song] = []
    for song in songs:
        if group and sum(s.length_samples for s in group) + song.length_samples > shard_samples:
            yield group
            group = []
        group.append(song)
    if group:
        yield group
