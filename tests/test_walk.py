"""From a folder of music to a model of one's own and songs by it, one command after another, as a user goes."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from jukebox.audio.io import Writer, read
from jukebox.cli.main import main
from tests.commands import refused

RECIPES = Path(__file__).parents[1] / "recipes"
RATE, SECONDS = 8000, 2
RUN = ("run.steps=1", "run.batch=1", "run.evaluate_windows=1")
VQVAE = f"model.sample_rate={RATE} model.strides=[2,2,2] model.width=8 model.depth=1 model.codebook.size=16"
VQVAE += " data.crops.length_samples=2048 bandwidth_s=1"
PRIOR = "model.codebook_size=16 model.transformer.context=32 model.transformer.width=16 model.transformer.rows=4"
PRIOR += f" model.transformer.heads=2 model.labels.sample_rate={RATE}"
TOP = " model.transformer.attention=RX model.labels.min_duration_s=1 model.lyrics.tokens=16"
TOP += " model.lyrics.encoder.context=16 model.lyrics.encoder.width=16"
TOP += " model.lyrics.encoder.rows=4 model.lyrics.encoder.attention=R"
UPSAMPLER = " model.transformer.attention=RC model.upsampler.steps=1 model.upsampler.width=8 model.upsampler.depth=1"


def do(*words: object) -> None:
    """A command that succeeds."""
    assert main([str(word) for word in words]) == 0, words


def samples_of(song: Path) -> int:
    """The length of the song in a session's folder."""
    return read(song / "song.flac", sample_rate=RATE).shape[-1]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Music, a dataset, its codes, and in `runs` one run of training for each part of a model."""
    place = tmp_path_factory.mktemp("walk")
    music, runs, lines = place / "music", place / "runs", []
    for index, (artist, split) in enumerate([("Ada", "train"), ("Bo", "train"), ("Ada", "validation")]):
        sound = 0.4 * torch.sin(torch.arange(RATE * SECONDS) * (0.1 + 0.05 * index))
        music.mkdir(exist_ok=True)
        with Writer(music / f"{index}.wav", channels=1, sample_rate=RATE) as writer:
            writer.write(sound[None])
        known = {"artist": artist, "genre": "waltz", "lyrics": "la la\nover the hill", "split": split}
        lines.append({"path": f"{index}.wav", "title": f"Song {index}", **known})
    (music / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    alone = ("--workers", 1)
    do("data", "prepare", music, "-o", place / "dataset", "--sample-rate", RATE, "--minimum", 1, *alone)
    vqvae = ("train", "vqvae", RECIPES / "tiny_vqvae.yaml", f"data.path={place / 'dataset'}")
    do(*vqvae, *VQVAE.split(), *RUN, "-o", runs / "vqvae")
    do("data", "tokenize", place / "dataset", "-o", place / "tokens", "--model", runs / "vqvae" / "model", *alone)
    codes = (
        f"data.path={place / 'tokens'}",
        f"vqvae={runs / 'vqvae' / 'model'}",
        "embed_codebooks=0.2",
        *RUN,
        *PRIOR.split(),
    )
    do("train", "prior", RECIPES / "tiny_prior.yaml", "--level", 2, *codes, *TOP.split(), "-o", runs / "top")
    for name, level in (("middle", 1), ("bottom", 0)):
        upsampler = (*UPSAMPLER.split(), f"model.level={level}", "--level", level)
        do("train", "prior", RECIPES / "tiny_upsampler.yaml", *codes, *upsampler, "-o", runs / name)
    return place


def test_songs_by_a_model_of_ones_own(place: Path) -> None:
    song, runs = place / "song", place / "runs"
    labels = ("--artist", "Ada", "--genre", "waltz", "--lyrics", "over the hill")
    do("generate", "--model", runs, *labels, "--seconds", 0.02, "--no-previews", "-o", song)
    assert samples_of(song) == 160
    do("continue", song)
    do("continue", song, "--seconds", 0.03, "--lowest-level", 2, "--no-previews", "-o", place / "longer")
    assert samples_of(place / "longer") == 240
    do("upsample", song, "--duration", 0.008, "--no-previews", "-o", place / "part")
    assert samples_of(place / "part") == 64
    do("evaluate", "likelihood", place / "tokens", "--model", runs, "--level", 1, "--windows", 1, "--ngram-codes", 0)
    do("weights", "verify", runs)


def test_parts_that_were_copied_together_are_the_same_model(place: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    for part in ("vqvae", "top", "middle", "bottom"):
        shutil.copytree(place / "runs" / part / "model", mine / part)
    songs = []
    for model in (place / "runs", mine):
        song = tmp_path / f"song_{model.name}"
        do("generate", "--model", model, "--seconds", 0.02, "--lowest-level", 2, "--no-previews", "-o", song)
        songs.append(read(song / "song.flac"))
    assert torch.equal(*songs)


def test_parts_that_make_no_model_are_one_sentence(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = place / "runs"

    def song(model: object) -> str:
        return refused(capsys, "generate", "--model", model, "--seconds", 0.02, "-o", tmp_path / "song")

    assert "There is no folder or file 'nowhere' here" in song("nowhere")
    assert "holds no VQ-VAE" in song(runs / "top")
    assert "holds no prior" in song(runs / "vqvae")
    shutil.copytree(runs / "vqvae", tmp_path / "some" / "vqvae")
    shutil.copytree(runs / "middle", tmp_path / "some" / "middle")
    assert "has no prior of level 2" in song(tmp_path / "some")
    shutil.copytree(runs / "middle" / "model", tmp_path / "some" / "again")
    assert "are both a prior_level_1" in song(tmp_path / "some")
    other = ("train", "vqvae", RECIPES / "tiny_vqvae.yaml", f"data.path={place / 'dataset'}", *VQVAE.split(), *RUN)
    do(*other, "run.seed=1", "-o", tmp_path / "other" / "vqvae")
    shutil.copytree(runs / "top", tmp_path / "other" / "top")
    assert "was trained on the codes of another VQ-VAE" in song(tmp_path / "other")
    assert [path.name for path in tmp_path.glob("song/*")] == [".lock"]


def test_a_run_that_never_began_may_be_corrected(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("train", "vqvae", RECIPES / "tiny_vqvae.yaml", *VQVAE.split(), *RUN, "-o", tmp_path / "run")
    data = f"data.path={place / 'dataset'}"
    assert "the model one of 16000" in refused(capsys, *words, data, "model.sample_rate=16000")
    do(*words, data)
