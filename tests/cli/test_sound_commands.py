"""encode, decode, reconstruct: what they write, and one sentence for every mistake."""

from pathlib import Path

import pytest
import torch

from jukebox.audio.io import probe, read, read_tags, write
from jukebox.checkpoints.codes import load_codes
from jukebox.cli.main import main
from tests.commands import refused

RATE = 44100


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """Three seconds and a bit, stereo, at another rate than the model's."""
    path = tmp_path / "song.flac"
    sound = 0.3 * torch.randn(2, 3 * 48000 + 77, generator=torch.Generator().manual_seed(0))
    write(path, sound, 48000)
    return path


def test_codes_and_back_have_the_length_of_the_recording(song: Path, tmp_path: Path) -> None:
    codes, sound = tmp_path / "song.codes", tmp_path / "back.flac"
    assert main(["encode", str(song), "-o", str(codes), "--model", "tiny"]) == 0
    samples = round((3 * 48000 + 77) * RATE / 48000)
    file = load_codes(codes)
    assert file.header.length_samples == samples
    assert file.header.hops == (8, 32, 128)
    whole = -(-samples // 128) * 128
    assert {level: len(c) for level, c in file.codes.items()} == {0: whole // 8, 1: whole // 32, 2: whole // 128}
    for level in (0, 2):
        assert main(["decode", str(codes), "-o", str(sound), "--model", "tiny", "--level", str(level)]) == 0
        assert (probe(sound).samples, probe(sound).sample_rate) == (samples, RATE)
        assert read_tags(sound).model == "tiny"
        assert read(sound).abs().max() > 0


def test_a_range_and_some_levels(song: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    codes = tmp_path / "part.codes"
    words = ["encode", str(song), "-o", str(codes), "--model", "tiny", "--start", "1", "--duration", "0.5"]
    assert main([*words, "--levels", "1,2"]) == 0
    file = load_codes(codes)
    assert sorted(file.codes) == [1, 2]
    assert file.header.length_samples == RATE // 2
    missing = refused(capsys, "decode", codes, "-o", tmp_path / "x.wav", "--model", "tiny", "--level", 0)
    assert "no codes of level 0; its levels are 1, 2" in missing


def test_reconstruct_writes_a_file_and_a_line_per_level(
    song: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    assert main(["reconstruct", str(song), "--model", "tiny", "--levels", "0,2", "-o", str(folder)]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["song.level_0.wav", "song.level_2.wav"]
    assert probe(folder / "song.level_0.wav").samples == round((3 * 48000 + 77) * RATE / 48000)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("level  hop  spectral convergence    SI-SDR    STFT  log-mel     treble  file")
    assert [line.split()[0] for line in lines[1:3]] == ["0", "2"]


def test_mistakes_are_one_sentence_and_write_nothing(
    song: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.codes"
    silent, short, text = tmp_path / "silent.wav", tmp_path / "short.wav", tmp_path / "text.wav"
    write(silent, torch.zeros(1, RATE), RATE)
    write(short, torch.ones(1, 100) * 0.5, RATE)
    text.write_text("no sound at all")
    encode = ("encode", song, "-o", out, "--model")
    assert "silent" in refused(capsys, "encode", silent, "-o", out, "--model", "tiny")
    assert "(100 samples), give at least 0.003 s (128 samples)" in refused(
        capsys, "encode", short, "-o", out, "--model", "tiny"
    )
    assert "text.wav" in refused(capsys, "encode", text, "-o", out, "--model", "tiny")
    assert "nowhere.mp3" in refused(capsys, "encode", tmp_path / "nowhere.mp3", "-o", out, "--model", "tiny")
    assert "is a folder" in refused(capsys, "encode", tmp_path, "-o", out, "--model", "tiny")
    assert "--levels is '3'; give levels from 0 to 2" in refused(capsys, *encode, "tiny", "--levels", "3")
    assert "--threads is 0" in refused(capsys, *encode, "tiny", "--threads", "0")
    assert "--device is 'abacus'" in refused(capsys, *encode, "tiny", "--device", "abacus")
    assert "no-such-model" in refused(capsys, *encode, "no-such-model")
    assert "duration_s is -1.0" in refused(capsys, *encode, "tiny", "--duration", "-1")
    for folder in (text, text / "in"):
        assert "text.wav" in refused(capsys, "reconstruct", song, "--model", "tiny", "-o", folder)
    assert "3.00 s long: begin before its end" in refused(capsys, *encode, "tiny", "--start", "100")
    before = song.read_bytes()
    for sound in (song, short, tmp_path / "new.m4a"):
        assert "name a file that ends in .codes" in refused(capsys, "encode", song, "-o", sound, "--model", "tiny")
    assert song.read_bytes() == before
    assert not out.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["short.wav", "silent.wav", "song.flac", "text.wav"]


def test_codes_that_are_damaged_or_of_another_model(
    song: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes, out = tmp_path / "song.codes", tmp_path / "x.wav"
    assert main(["encode", str(song), "-o", str(codes), "--model", "tiny"]) == 0
    other = Path(__file__).parents[1] / "golden" / "checkpoints" / "vqvae.pth.tar"
    assert "was encoded with the codebooks" in refused(capsys, "decode", codes, "-o", out, "--model", other)
    cut = tmp_path / "cut.codes"
    cut.write_bytes(codes.read_bytes()[:-100])
    assert "damaged or not a codes file" in refused(capsys, "decode", cut, "-o", out, "--model", "tiny")
    sound = refused(capsys, "decode", song, "-o", out, "--model", "tiny")
    assert "is a sound file; `jukebox encode` makes codes of it" in sound
    assert "is not a file" in refused(capsys, "decode", tmp_path / "none", "-o", out, "--model", "tiny")
    assert "choose one of" in refused(capsys, "decode", codes, "-o", tmp_path / "x.aiff", "--model", "tiny")
    assert not out.exists()
