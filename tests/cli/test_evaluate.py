"""`jukebox evaluate`: a table, JSON and plots of every kind, and one sentence for every mistake."""

import importlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from jukebox.checkpoints import store
from jukebox.cli.main import main
from jukebox.config import LabelConfig, LyricsConfig, PriorConfig, TransformerConfig
from jukebox.data.collection import timed_texts, write_names, write_songs
from jukebox.data.prepare import PrepareConfig, prepare
from jukebox.data.shards import Tokens
from jukebox.data.tokenize import TokenizeConfig, tokenize
from jukebox.labels.labels import Labels
from jukebox.prior.initialise import new_prior
from jukebox.sampling.request import SongRequest
from tests import commands
from tests.audio.sounds import chord, save, sine
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
    crossing = replace(
        prior,
        transformer=TransformerConfig(context=64, width=16, attention="RCPX", heads=1, rows=8),
        lyrics=replace(
            prior.lyrics or LyricsConfig(tokens=8, vocabulary=8, loss_weight=0.4),
            encoder=TransformerConfig(context=8, width=8, attention="RCP", heads=1, rows=2),
            alignment_layer=3,
            alignment_head=0,
        ),
    )
    save_prior(path / "cross" / "top", crossing, tokens)
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


def run_without_plots(folder: Path, *words: object) -> dict:
    assert main(["evaluate", *map(str, words), "-o", str(folder / "out")]) == 0
    return json.loads((folder / "out" / f"{words[0]}.json").read_text())["results"]


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    return commands.refused(capsys, "evaluate", *words)


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


def test_4_bits_are_chosen_for_songs_and_kept(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is packed predicts as what was measured, to the choice of songs, and writes songs."""
    model, packed, tokens = folder / "model", tmp_path / "packed", folder / "tokens"
    few = ("--ngram-codes", 0, "--windows", 12)
    measured = run_without_plots(
        folder, "likelihood", tokens, "--model", model, "--precision", "int4,calibrated4", *few
    )
    assert [cost["name"] for cost in measured["precisions"]] == ["int4", "calibrated4"]
    assert main(["weights", "pack", str(model), "-o", str(packed), "--precision", "int4", "--codes", str(tokens)]) == 0
    assert "transformer.layers" in capsys.readouterr().out
    assert store.verify(packed / "top").config.matrix_bits == 4  # pyright: ignore
    counts = []
    for place in (model / "top", packed / "top"):
        assert main(["weights", "info", str(place)]) == 0
        counts.append(re.findall("parameters: ([0-9,]+) in", capsys.readouterr().out))
    assert counts[0] == counts[1] != []
    found = run_without_plots(folder, "likelihood", tokens, "--model", packed, *few)
    exact = measured["predictors"][0]["bits_per_token"]
    assert exact != found["predictors"][0]["bits_per_token"] == pytest.approx(exact, abs=0.05)
    assert "cannot be measured in others" in refused(
        capsys, "likelihood", tokens, "--model", packed, "--precision", "int8"
    )
    words = ["--model", str(packed), "--seconds", "1", "--lowest-level", "2", "-o", str(tmp_path / "song")]
    assert main(["generate", *words]) == 0

    def mistake(*words: object) -> str:
        return commands.refused(capsys, "weights", *words)

    out = ("-o", tmp_path / "other")
    assert "give --codes with what" in mistake("pack", model, *out, "--precision", "int4")
    assert "--codes is for --precision int4, not int8" in mistake(
        "pack", model, *out, "--precision", "int8", "--codes", tokens
    )
    assert "in 4 bits, which is for songs alone and cannot be exported" in mistake(
        "export", packed / "top", *out, "--to", "openai"
    )
    assert "cannot be packed" in mistake("pack", packed, *out)
    for codes in (tmp_path / "no_tokens", folder / "dataset"):
        error = mistake("pack", model, *out, "--precision", "int4", "--codes", codes)
        assert "name a folder that `jukebox data tokenize` has finished" in error
    assert not (tmp_path / "other").exists()


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


def test_alignment_and_lies(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokens = Tokens.open(folder / "tokens")
    timed = timed_texts([(0.1 + k / 5, 0.2 + k / 5, word) for k, word in enumerate(["la", "di", "da", "dum", "dum"])])
    songs = [replace(song, lyric_times=timed if song.lyrics else ()) for song in tokens.songs]
    copy = folder / "timed"
    shutil.copytree(folder / "tokens", copy)
    write_songs(copy, songs)
    model, words = folder / "cross" / "top", ("--windows", 30, "--split", "all")
    found = run(folder, "alignment", copy, "--model", model, *words)
    assert [(row["layer"], row["head"]) for row in found["heads"]] == [(3, 0)]
    assert found["windows"] >= 1
    assert "layer 3, head 0" in capsys.readouterr().out
    contrasts = run(folder, "likelihood", copy, "--model", model, "--batch", 8, *words)["contrasts"]
    assert [row["name"] for row in contrasts] == ["another artist and genre", "words shuffled"]
    assert all(0 <= row["truth_is_better"] <= 1 for row in contrasts)
    refusal = refused(capsys, "alignment", folder / "tokens", "--model", model)
    assert "knows of no window in which words enough are sung" in refusal


@pytest.mark.parametrize("what", ["likelihood", "reconstruction", "codebook", "distribution", "artists"])
def test_a_killed_evaluation_goes_on(
    what: str, folder: Path, choir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second run computes only what the first one has not, and gives what an unbroken one gives."""
    # What is called again and again, the call in which it is killed, and the calls left (of 12, 9, 3, 20 and 26).
    module, name, limit, left = {
        "likelihood": ("jukebox.evaluation.likelihood", "window_bits", 8, 5),
        "reconstruction": ("jukebox.evaluation.reconstruction", "measure", 8, 3),
        "codebook": ("jukebox.evaluation.codebook_use", "count_crop", 2, 2),
        "distribution": ("jukebox.evaluation.collections", "embed", 15, 6),
        "artists": ("jukebox.evaluation.collections", "embed", 20, 7),
    }[what]
    usual, calls = getattr(importlib.import_module(module), name), 0
    data = choir / "dataset" if what == "artists" else folder / ("tokens" if what == "likelihood" else "dataset")
    count = {
        "likelihood": ("--windows", 3, "--ngram-codes", 0),
        "distribution": ("--clips", 4),
        "artists": ("--clips", 1000),
    }.get(what, ("--segments", 3))
    others = {"distribution": [folder / "music"], "artists": [choir / "true"]}.get(what, [])
    model = [] if what == "artists" else ["--model", folder / "model"]
    words = ["evaluate", what, data, *others, *model, *count, "--split", "all", "--no-plots"]

    def evaluate(output: Path) -> dict:
        assert main([*map(str, words), "-o", str(output)]) == 0
        return json.loads((output / f"{what}.json").read_text())

    def dying(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == limit:
            raise KeyboardInterrupt
        return usual(*arguments)

    expected = evaluate(tmp_path / "whole")
    monkeypatch.setattr(f"{module}.{name}", dying)
    assert main([*map(str, words), "-o", str(tmp_path / "parts")]) == 130
    limit, first = 0, calls
    assert evaluate(tmp_path / "parts") == expected
    assert calls - first <= left  # what was under way is lost
    assert [path.name for path in (tmp_path / "parts").iterdir()] == [f"{what}.json"]


@pytest.fixture(scope="module")
def choir(folder: Path) -> Path:
    """Two singers, one high and one low; a session in which each sings, and one in which their names are exchanged."""
    path, length = folder / "choir", 6 * RATE
    (path / "music").mkdir(parents=True)
    lines = []
    for k in range(24):
        singer, pitch = ("high", 1400) if k % 2 else ("low", 300)
        sound = 0.3 * sine(pitch + 7 * k, RATE, length) + 0.01 * chord(1, length, RATE, seed=k)
        save(path / "music" / f"{k}.flac", sound, RATE)
        lines.append({"path": f"{k}.flac", "title": f"{k}", "artist": singer, "genre": "choir"})
    (path / "music" / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    prepare(path / "music", path / "dataset", PrepareConfig(sample_rate=RATE, validation=0.4))
    for name, singers in (("true", ("low", "high")), ("exchanged", ("high", "low"))):
        request = SongRequest(seconds=6.0, songs=tuple(Labels(artist=singer) for singer in singers))
        (path / name).mkdir()
        (path / name / "request.yaml").write_text(request.to_yaml())
        for number in (1, 2):
            shutil.copy(path / "music" / f"{number - 1}.flac", path / name / f"song_{number}.flac")
    return path


def test_artists_are_heard_also_through_a_model(folder: Path, choir: Path) -> None:
    words = ("artists", choir / "dataset", choir / "true", "--no-plots")
    rows = run_without_plots(folder, *words)["rows"]
    assert list(rows) == ["recordings", "generated songs"]
    assert [row["right"] for row in rows.values()] == [1.0, 1.0]
    assert rows["generated songs"] == {"clips": 2, "right": 1.0, "times_chance": 2.0}
    words = ("artists", choir / "dataset", choir / "exchanged", "--model", folder / "model", "--no-plots")
    rows = run_without_plots(folder, *words)["rows"]
    assert list(rows) == ["recordings", *(f"recordings, level {level}" for level in range(3)), "generated songs"]
    assert rows["recordings"]["right"] == 1.0
    assert rows["generated songs"]["right"] == 0.0


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
    assert "--seed is -1; give a number, 0 or more" in refused(capsys, "codebook", tokens, "--seed", -1)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    assert "give --no-plots" in refused(capsys, "codebook", tokens, "--model", model, "-o", folder / "none")
    assert not (folder / "none").exists()
