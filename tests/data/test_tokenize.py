"""Codes in shards: those of the VQ-VAE, the same bytes whoever works on them and however often it is killed."""

import dataclasses
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jukebox.checkpoints import store
from jukebox.checkpoints.load import load_vqvae
from jukebox.cli.main import main
from jukebox.data.dataset import Dataset
from jukebox.data.shards import Tokens
from jukebox.data.tokenize import TokenizeConfig, tokenize
from jukebox.data.workers import done_by
from jukebox.errors import CheckpointError, DataError
from jukebox.vqvae.streaming import encode_stream
from tests.commands import refused
from tests.data.collections import dataset, save_tiny

SHARD_S = 5.0  # two songs or so


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenize")
    dataset(path)
    save_tiny(path / "model")
    return path


@pytest.fixture(scope="module")
def config(folder: Path) -> TokenizeConfig:
    return TokenizeConfig(model=str(folder / "model"), shard_s=SHARD_S)


@pytest.fixture(scope="module")
def tokens(folder: Path, config: TokenizeConfig) -> Tokens:
    return tokenize(Dataset.open(folder / "dataset"), folder / "tokens", config)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_codes_are_those_of_the_model(folder: Path, tokens: Tokens) -> None:
    songs, model = Dataset.open(folder / "dataset"), load_vqvae(folder / "model")
    assert tokens.songs == songs.songs
    assert tokens.vocabulary == songs.vocabulary
    assert len(tokens.shards) > 1
    for song in tokens.songs:
        sound = songs.audio(song).mean(0, keepdim=True)
        pieces = list(encode_stream(model, [sound], (0, 1, 2)))
        for level in range(3):
            expected = torch.cat([piece[level] for piece in pieces]).numpy()
            assert np.array_equal(tokens.codes(song, level), expected)


def test_other_tools_open_a_shard(tokens: Tokens) -> None:
    from safetensors.numpy import load_file

    rows = load_file(tokens.shards[0].path)
    assert {row.dtype for row in rows.values()} == {np.dtype(np.uint16)}
    assert np.array_equal(rows["level_1"][: len(tokens.codes(tokens.songs[0], 1))], tokens.codes(tokens.songs[0], 1))


def test_two_processes_make_the_same_bytes(folder: Path, tokens: Tokens, config: TokenizeConfig) -> None:
    output = folder / "two"
    tokenize(Dataset.open(folder / "dataset"), output, config, run=lambda f, t: done_by(f, t, 2))
    assert contents(output) == contents(tokens.folder)


class Killed(BaseException):
    """What a kill looks like to the code that is running."""


def test_what_was_stopped_anywhere_goes_on(folder: Path, tokens: Tokens, config: TokenizeConfig) -> None:
    """Stopped after each number of songs, in another order; nothing that is done is done again."""
    songs, output, encoded = Dataset.open(folder / "dataset"), folder / "stopped", []

    def run(function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        for task in reversed(list(tasks)[:2]):
            encoded.append(task.song.key)
            yield task, function(task)
            raise Killed

    for _ in songs.songs:
        with pytest.raises(Killed):
            tokenize(songs, output, config, run=run)
        with pytest.raises(DataError, match="is not finished"):
            Tokens.open(output)
    tokenize(songs, output, config, run=run)  # nothing is left
    assert sorted(encoded) == [song.key for song in songs.songs]
    assert contents(output) == contents(tokens.folder)


def test_a_sigkill_leaves_only_whole_songs(folder: Path, tokens: Tokens, config: TokenizeConfig) -> None:
    output = folder / "killed"
    words = ["data", "tokenize", folder / "dataset", "-o", output, "--model", config.model, "--shard-seconds", SHARD_S]
    words += ["--workers", 1]
    command = [sys.executable, "-m", "jukebox.cli.main", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not list(output.glob("*/*")) and process.poll() is None:
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
    tokenize(Dataset.open(folder / "dataset"), output, config)
    assert contents(output) == contents(tokens.folder)


def test_the_command(folder: Path, tokens: Tokens, config: TokenizeConfig, capsys: pytest.CaptureFixture[str]) -> None:
    output = folder / "by-command"
    words = ["data", "tokenize", folder / "dataset", "-o", output, "--model", config.model, "--shard-seconds", SHARD_S]
    assert main([*map(str, words), "--workers", "1"]) == 0
    assert f"{len(tokens.songs)} songs in {len(tokens.shards)} shards" in capsys.readouterr().out
    assert contents(output) == contents(tokens.folder)
    assert main(["data", "show", str(output)]) == 0
    assert "level 2:" in capsys.readouterr().out
    assert main(["data", "show", str(folder / "music")]) == 2
    assert "is no dataset of sound or codes" in capsys.readouterr().err


def test_mistakes_are_in_the_words_of_the_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("data", "tokenize", tmp_path, "-o", tmp_path / "x")
    for option, value, said in (
        ("--loudness", "5", "5.0; expected -70 to 0, or none"),
        ("--shard-seconds", "0", "0.0; expected a number of seconds above 0"),
        ("--shard-seconds", "nan", "nan; expected a finite number"),
    ):
        assert refused(capsys, *words, option, value) == f"jukebox: {option} is {said}.\n"


def test_songs_that_come_and_go(folder: Path, tokens: Tokens, config: TokenizeConfig) -> None:
    songs, output = Dataset.open(folder / "dataset"), folder / "growing"
    some = dataclasses.replace(songs, songs=songs.songs[:3])
    tokenize(some, output, config)
    before = contents(output / "shards")
    grown = tokenize(songs, output, config)
    assert contents(output / "shards").items() >= before.items()
    for song in songs.songs:
        assert np.array_equal(grown.codes(song, 0), tokens.codes(song, 0))
    left = tokenize(dataclasses.replace(songs, songs=songs.songs[4:]), output, config)
    assert [song.key for song in left.songs] == [song.key for song in songs.songs[4:]]


def test_loudness_is_part_of_what_the_codes_are(folder: Path, config: TokenizeConfig) -> None:
    songs = Dataset.open(folder / "dataset")
    quiet = dataclasses.replace(config, loudness_lufs=-40.0)
    some = dataclasses.replace(songs, songs=songs.songs[:1])
    found = tokenize(some, folder / "quiet", quiet)
    model, song = load_vqvae(config.model), songs.songs[0]
    pieces = list(encode_stream(model, [songs.audio(song) * song.gain(-40.0)], (2,)))
    assert np.array_equal(found.codes(song, 2), torch.cat([piece[2] for piece in pieces]).numpy())
    with pytest.raises(DataError, match=r"with the loudness -40\.0; .* has None"):
        tokenize(some, folder / "quiet", config)


def test_what_does_not_belong_is_refused(folder: Path, tokens: Tokens, config: TokenizeConfig) -> None:
    songs, before = Dataset.open(folder / "dataset"), contents(tokens.folder)
    checkpoint = store.load(folder / "model")
    other = {name: tensor + 0.01 for name, tensor in checkpoint.tensors.items()}
    store.save(folder / "other", other, checkpoint.config, source={})
    with pytest.raises(DataError, match=r"was tokenised by .*model with the codebooks"):
        tokenize(songs, tokens.folder, dataclasses.replace(config, model=str(folder / "other")))
    with pytest.raises(DataError, match=r"a sample rate of 8000 Hz, tiny one of 44100 Hz: prepare the data with --sam"):
        tokenize(songs, folder / "x", dataclasses.replace(config, model="tiny"))
    with pytest.raises(DataError, match="exists and holds no codes"):
        tokenize(songs, folder / "music", config)
    with pytest.raises(DataError, match="name a folder that `jukebox data tokenize` has finished"):
        Tokens.open(folder / "dataset")
    assert contents(tokens.folder) == before
    damaged = folder / "damaged"
    tokenize(songs, damaged, config)
    shard = next(iter(sorted((damaged / "shards").iterdir())))
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(DataError, match="is damaged or no shard"):
        Tokens.open(damaged)
    shard.unlink()
    with pytest.raises(DataError, match="lacks the codes of"):
        Tokens.open(damaged)
    tokenize(songs, damaged, config)
    for song in songs.songs:
        assert np.array_equal(Tokens.open(damaged).codes(song, 0), tokens.codes(song, 0))


def test_a_full_disk_is_one_sentence_and_what_is_done_stays(
    folder: Path, tokens: Tokens, config: TokenizeConfig
) -> None:
    """A limit on the size of files stands for the disk; only songs' own files fit."""
    songs, output = Dataset.open(folder / "dataset"), folder / "full"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit, stays in ((3_000, 0), (11_000, 1)):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            with pytest.raises(CheckpointError, match="cannot be written"):
                tokenize(songs, output, config)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert bool(list(output.glob("parts/*.codes"))) == stays
    tokenize(songs, output, config)
    assert contents(output) == contents(tokens.folder)
