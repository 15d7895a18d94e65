"""jukebox features: what it writes, what it says, and one sentence for every mistake."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from jukebox.audio.io import write
from jukebox.cli.main import main
from jukebox.features.extractor import FeatureExtractor, Reading
from tests.commands import refused
from tests.features.cases import RATE, sound
from tests.mini import write_runs


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small random model."""
    return write_runs(tmp_path_factory.mktemp("cli-features") / "model")


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Two recordings, and a folder with a third."""
    folder = tmp_path / "music"
    for name, seconds in (("a.wav", 0.05), ("a.flac", 0.06), ("in/b.flac", 128 / RATE)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write(folder / name, sound(seconds), RATE)
    return folder


def test_a_folder_becomes_arrays(model: Path, music: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = ["features", str(music), "-o", str(out), "--model", str(model), "--layers", "3,1"]
    assert main(words) == 0
    assert "3 recordings, 40 frames of 32 numbers at 344.53 a second, layers 3, 1" in capsys.readouterr().out
    for layer in (1, 3):
        for name, frames in (("a.wav", 18), ("a.flac", 21), ("in/b.flac", 1)):
            found = np.load(out / f"layer_{layer}" / f"{name}.npy", mmap_mode="r")
            assert (found.shape, found.dtype) == ((frames, 32), np.float32)
    described = json.loads((out / "features.json").read_text())
    assert described["frames_per_second"] == RATE / 128
    assert described["settings"]["layers"] == [3, 1]
    assert described["settings"]["artist"] == "unknown"
    # Again: nothing is done, nothing changes; a changed recording is done again.
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.npy")}
    assert main(words) == 0
    assert "; 3 were there already" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*.npy")}
    os.utime(music / "a.wav", ns=(0, 0))
    assert main(words) == 0
    assert "; 2 were there already" in capsys.readouterr().out


def test_what_cannot_be_used_stops_nothing_else(
    model: Path, music: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(music / "silent.wav", torch.zeros(1, RATE), RATE)
    (music / "text.wav").write_text("no sound at all")
    (music / "no.codes").write_text("no codes")
    words = ["features", str(music), "-o", str(tmp_path / "out"), "--model", str(model), "--mean"]
    for there in ("", "; 3 were there already"):
        assert main(words) == 2
        said = capsys.readouterr()
        assert said.err.count("\n") == said.err.count("jukebox: ") == 3
        for name in ("silent.wav is silent", "text.wav", "no.codes is damaged"):
            assert name in said.err
        assert f"3 recordings, 40 frames of 32 numbers at 344.53 a second, layers 2{there}; 3 could not" in said.out
    assert np.load(tmp_path / "out" / "layer_2" / "in" / "b.flac.npy").shape == (32,)


def test_what_half_precision_cannot_hold_is_said_and_stops_nothing(
    model: Path, music: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = FeatureExtractor.read

    def loud(self: FeatureExtractor, reading: Reading, first: int = 0) -> Iterator[dict[int, torch.Tensor]]:
        for found in usual(self, reading, first):
            yield {layer: values * 1e9 if reading.name.endswith("a.wav") else values for layer, values in found.items()}

    monkeypatch.setattr(FeatureExtractor, "read", loud)
    words = ["features", str(music), "-o", str(tmp_path / "out"), "--model", str(model), "--store", "float16"]
    assert main(words) == 0
    said = capsys.readouterr()
    assert "a.wav has numbers beyond 65504, where half precision ends; stored as float32: layer 2." in said.err
    assert said.err.count("jukebox: ") == 1
    assert "3 recordings, 40 frames" in said.out
    found = [np.load(tmp_path / "out" / "layer_2" / f"{name}.npy").dtype for name in ("a.wav", "a.flac")]
    assert found == [np.float32, np.float16]


def test_encoded_recordings_and_a_rate(model: Path, music: Path, tmp_path: Path) -> None:
    codes, out = tmp_path / "a.codes", tmp_path / "out"
    assert main(["encode", str(music / "a.wav"), "-o", str(codes), "--model", str(model)]) == 0
    words = ["--model", str(model), "--level", "1", "--rate", "30", "--store", "float16", "--no-normalise"]
    assert main(["features", str(codes), str(music / "a.wav"), "-o", str(out), *words]) == 0
    found = [np.load(out / "layer_1" / f"{name}.npy") for name in ("a.codes", "a.wav")]
    assert found[0].shape == (2, 32)  # 18 codes of the top are 52 milliseconds
    assert found[0].dtype == np.float16
    assert np.array_equal(*found)


def test_mistakes_are_one_sentence_and_write_nothing(
    model: Path, music: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    usual = ("features", music / "a.wav", "-o", out, "--model", model)
    assert "--layers is '3;4'; give numbers of layers, as in 36,66" in refused(capsys, *usual, "--layers", "3;4")
    assert "has layers 1 to 4, and 0 for what enters the first" in refused(capsys, *usual, "--layers", "9")
    assert "has no prior of level 7; its levels are 0, 1, 2" in refused(capsys, *usual, "--level", "7")
    assert "--rate is 30.0; expected none with mean" in refused(capsys, *usual, "--mean", "--rate", "30")
    assert "--hop is 0.0; expected a share of a window" in refused(capsys, *usual, "--hop", "0")
    assert "--windows is 0; expected 1 or more" in refused(capsys, *usual, "--windows", "0")
    assert "--duration is 0.0; expected seconds, above 0" in refused(capsys, *usual, "--duration", "0")
    assert "'Cy'" in refused(capsys, *usual, "--artist", "Cy")
    assert "holds no sound files" in refused(capsys, "features", model, "-o", out)
    assert "--device is 'abacus'" in refused(capsys, *usual, "--device", "abacus")
    assert not out.exists()
    assert "nowhere.mp3" in refused(capsys, "features", tmp_path / "nowhere.mp3", *usual[2:])
    assert "cannot be told" in refused(capsys, *usual, "--timing", "recording")
    assert not list(out.glob("layer_*"))
    # A folder in which nothing is yet may become one of other features; one with some may not.
    assert main([str(word) for word in usual]) == 0
    assert "holds other features (mean False, not True)" in refused(capsys, *usual, "--mean")
    assert "holds no features" in refused(capsys, *usual[:2], "-o", music, *usual[4:])
    assert "begin before its end" in refused(capsys, *usual[:2], "-o", tmp_path / "b", *usual[4:], "--start", "9")
    codes = tmp_path / "top.codes"
    assert main(["encode", str(music / "a.wav"), "-o", str(codes), "--model", str(model), "--levels", "2"]) == 0
    lower = ("-o", tmp_path / "c", "--model", model, "--level", "1")
    assert "no codes of level 1, which features of level 1 need; it has 2" in refused(capsys, "features", codes, *lower)
