"""`jukebox evaluate`: a table, JSON and plots of every kind, and one sentence for every mistake."""

import json
from pathlib import Path

import pytest
import torch

from jukebox.checkpoints import store
from jukebox.cli.main import main
from jukebox.config import LabelConfig, LyricsConfig, PriorConfig, TransformerConfig
from jukebox.data.collection import write_names
from jukebox.data.prepare import PrepareConfig, prepare
from jukebox.data.shards import Tokens
from jukebox.data.tokenize import TokenizeConfig, tokenize
from jukebox.prior.initialise import new_prior
from tests.data.collections import RATE, music, save_tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sound, its codes, a VQ-VAE and a prior."""
    path = tmp_path_factory.mktemp("evaluate")
    config = PrepareConfig(sample_rate=RATE, validation=0.4)
    dataset = prepare(music(path / "music", 4, seconds=11.0), path / "dataset", config).dataset
    save_tiny(path / "model" / "vqvae")
    tokens = tokenize(dataset, path / "tokens", TokenizeConfig(model=str(path / "model")))
    prior = PriorConfig(
        level=2,
        codebook_size=64,
        transformer=TransformerConfig(context=64 + 8, width=16, attention="RCP", heads=1, rows=8),
        labels=LabelConfig(
            artists=tokens.vocabulary.artists.id_count, genres=tokens.vocabulary.genres.id_count, genre_slots=1,
            timing_bins=4, min_duration_s=1.0, max_duration_s=60.0, sample_rate=RATE,
        ),
        upsampler=None,
        lyrics=LyricsConfig(tokens=8, vocabulary=tokens.alphabet.token_count, loss_weight=0.4),
        tied_output=True,
        recondition=False,
    )  # fmt: skip
    save_prior(path / "model" / "top", prior, tokens)
    return path


def save_prior(folder: Path, config: PriorConfig, tokens: Tokens) -> None:
    store.save(folder, new_prior(config, torch.Generator().manual_seed(0)).state_dict(), config, source={})
    write_names(folder, tokens.vocabulary, tokens.alphabet)


def run(folder: Path, *words: object) -> dict:
    what = str(words[0])
    assert main(["evaluate", *map(str, words), "-o", str(folder / "out")]) == 0
    pictures = {p.name for p in (folder / "out").glob("*.png")}
    assert f"{what}.png" in pictures
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in (folder / "out").glob("*.png"))
    values = json.loads((folder / "out" / f"{what}.json").read_text())
    assert values["what"] == what
    return values["results"]


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    capsys.readouterr()
    assert main(["evaluate", *map(str, words)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("jukebox: ")
    assert error.count("\n") == 1
    return error


def test_reconstruction(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = folder / "model"
    found = run(folder, "reconstruction", folder / "dataset", "--model", model, "--segments", 3, "--split", "all")
    assert list(found["levels"]) == ["0", "1", "2"]
    assert found["levels"]["0"]["segments"] == 3
    assert found["levels"]["0"]["spectral_convergence"] > 0
    assert "SI-SDR (dB)" in capsys.readouterr().out
    assert (folder / "out" / "spectrograms.png").is_file()


def test_codebook_of_sound_and_of_codes(folder: Path) -> None:
    model = folder / "model"
    codes = run(folder, "codebook", folder / "tokens", "--model", model, "--split", "all")
    sound = run(folder, "codebook", folder / "dataset", "--model", model, "--split", "all")
    for a, b in zip(codes["levels"], sound["levels"], strict=True):
        assert a["size"] == b["size"] == 64
        assert a["entropy_bits"] == pytest.approx(b["entropy_bits"], abs=0.3)
        assert a["perplexity"] == pytest.approx(2 ** a["entropy_bits"])


def test_likelihood_from_codes_and_from_sound(folder: Path) -> None:
    model = folder / "model"
    rows = {}
    for data in ("tokens", "dataset"):
        found = run(folder, "likelihood", folder / data, "--model", model, "--windows", 4, "--batch", 2)
        rows[data] = {row["name"]: row for row in found["predictors"]}
        assert found["ceiling_bits"] == 6
    for found in rows.values():
        assert list(found) == [
            "told everything", "without labels", "without lyrics", "without labels and lyrics",
            "1-gram", "2-gram", "3-gram", "4-gram",
        ]  # fmt: skip
        assert found["told everything"]["bits_per_token"] == pytest.approx(6, abs=0.3)  # random weights
        assert found["4-gram"]["bits_per_token"] < 5
        assert len(found["4-gram"]["by_position"]["bits"]) == 64


def test_distribution(folder: Path) -> None:
    words = ("distribution", folder / "dataset", folder / "music", "--model", folder / "model", "--split", "all")
    found = run(folder, *words)["distances"]
    own, level = found[str(folder / "music")], found["level 2"]
    assert own["distance"] < 0.1 * level["distance"]  # the same songs
    assert "two halves of the reference" in found


def test_mistakes(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokens, dataset = folder / "model", folder / "tokens", folder / "dataset"
    assert "has a sample rate of 8000 Hz, here 44100" in refused(capsys, "reconstruction", dataset, "--model", "tiny")
    assert "was tokenised by" in refused(capsys, "codebook", tokens, "--model", "tiny")
    assert "was tokenised by" in refused(capsys, "likelihood", tokens, "--model", model, "--vqvae", "tiny")
    assert "holds no prior of level 1" in refused(capsys, "likelihood", tokens, "--model", model, "--level", 1)
    top = model / "top"
    assert "name one with --vqvae" in refused(capsys, "likelihood", dataset, "--model", top)
    assert "has no dataset.json" in refused(capsys, "reconstruction", tokens, "--model", model)
    assert "Nothing is compared" in refused(capsys, "distribution", dataset)
    assert "neither a dataset nor a folder" in refused(capsys, "distribution", dataset, folder / "nothing")
    assert "--segments is 0" in refused(capsys, "reconstruction", dataset, "--model", model, "--segments", 0)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    assert "give --no-plots" in refused(capsys, "codebook", tokens, "--model", model, "-o", folder / "none")
    assert not (folder / "none").exists()
