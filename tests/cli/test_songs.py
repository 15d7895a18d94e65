"""generate, continue, upsample: what they write, and one sentence for every mistake."""

from pathlib import Path

import pytest

from jukebox import pipeline
from jukebox.audio.io import probe, read, read_tags
from jukebox.checkpoints.codes import load_codes
from jukebox.cli.main import main
from jukebox.engines import EngineSettings
from jukebox.native.library import library
from jukebox.prior.prior import Prior
from jukebox.sampling.engine import Engine
from jukebox.sampling.request import LevelSettings, SongRequest
from jukebox.sampling.session import Session, is_session
from tests.commands import refused

pytestmark = pytest.mark.usefixtures("short_windows")
MODEL = ["--model", "tiny-random", "--seconds", "0.05", "--seed", "2"]


def test_a_song_its_repetition_its_upsampling_and_more_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    song, again, finer, longer = (tmp_path / name for name in ("song", "again", "finer", "longer"))
    lyrics = tmp_path / "words.txt"
    lyrics.write_text("la la", encoding="utf-8")
    words = ["generate", *MODEL, "--artist", "nobody", "--genre", "waltz", "--lyrics", f"@{lyrics}", "-o", str(song)]
    words += ["--follow-lyrics", "--temperature", "2=0.9,1=0.95"]
    assert main([*words, "--lowest-level", "1", "--format", "wav"]) == 0
    assert probe(song / "song.wav").samples == 17 * 128
    assert read(song / "song.wav").abs().max() > 0.01
    tags = read_tags(song / "song.wav")
    assert (tags.model, tags.seed, tags.lyrics) == ("tiny-random", 2, "la la")
    assert {path.name for path in (song / "previews").iterdir()} == {"song.level_1.flac", "song.level_2.flac"}
    settings = SongRequest.read(song / "request.yaml").levels
    assert settings == (LevelSettings(level=1, temperature=0.95), LevelSettings(level=2, temperature=0.9))

    assert main(["generate", "--request", str(song / "request.yaml"), "-o", str(again)]) == 0
    assert (again / "song.codes").read_bytes() == (song / "song.codes").read_bytes()
    assert main(["continue", str(again)]) == 0

    upsample = ["upsample", str(song), "--start", "0.02", "--duration", "0.02", "-o", str(finer)]
    assert main([*upsample, "--lowest-level", "1"]) == 0
    assert (finer / "lyrics.lrc").is_file()
    given, codes = load_codes(song / "song.codes").codes, load_codes(finer / "song.codes").codes
    assert codes[2].tolist() == given[2][6:13].tolist()
    assert len(codes[1]) == 28

    longest = ["--seconds", "0.07", "-o", str(longer), "--levels", "2", "--no-follow-lyrics"]
    assert main(["continue", str(song), *longest]) == 0
    followed = {folder: SongRequest.read(folder / "request.yaml").follow_lyrics for folder in (song, finer, longer)}
    assert followed == {song: True, finer: True, longer: False}
    codes = load_codes(longer / "song.codes").codes
    assert codes[2][:17].tolist() == given[2].tolist()
    assert (len(codes[2]), len(codes[1])) == (24, 96)


def test_what_was_begun_in_8_bits_goes_on_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed song and a longer one, neither of them told again."""
    make, precisions = pipeline.make_engine, []

    def noted(prior: Prior, slots: int, settings: EngineSettings) -> Engine:
        precisions.append(settings.precision)
        return make(prior, slots, settings)

    monkeypatch.setattr(pipeline, "make_engine", noted)
    whole, longer = tmp_path / "whole", tmp_path / "longer"
    assert main(["generate", *MODEL, "--precision", "int8", "-o", str(whole)]) == 0
    codes = (whole / "song.codes").read_bytes()
    for path in [whole / "song.codes", *whole.glob("codes/*")]:  # as if nothing had been saved yet
        path.unlink()
    assert main(["continue", str(whole)]) == 0
    assert (whole / "song.codes").read_bytes() == codes
    assert main(["continue", str(whole), "--seconds", "0.07", "-o", str(longer), "--levels", "2"]) == 0
    assert Session(longer).precision == "int8"
    assert set(precisions) == {"int8"}
    assert len(precisions) == 3 + 3 + 3
    assert main(["continue", str(longer), "--precision", "float32"]) == 0


def test_a_longer_take_is_that_of_a_longer_song(tmp_path: Path) -> None:
    """`continue --item` goes on with the take's own noise, as `upsample --item` does."""
    takes = ["--takes", "2", "--total", "1", "--lowest-level", "2", "--no-previews", "--format", "wav", "-o"]
    assert main(["generate", *MODEL, *takes, str(tmp_path / "short")]) == 0
    assert main(["generate", *MODEL, "--seconds", "0.07", *takes, str(tmp_path / "long")]) == 0
    longer = ["--item", "song_take_1", "--seconds", "0.07", "-o", str(tmp_path / "longer")]
    assert main(["continue", str(tmp_path / "short"), *longer]) == 0
    found, expected = (load_codes(tmp_path / name / "song_take_1.codes").codes[2] for name in ("longer", "long"))
    assert found.tolist() == expected.tolist()
    assert len(found) == 24


def test_a_machine_without_a_compiler_writes_the_song_and_says_what_it_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    library.cache_clear()
    try:
        assert main(["generate", *MODEL, "-o", str(tmp_path / "song")]) == 0
        assert "There is no C compiler" in capsys.readouterr().err
        assert main(["generate", *MODEL, "--engine", "native", "-o", str(tmp_path / "other")]) == 2
        assert "needs a C compiler that works" in capsys.readouterr().err
        assert not is_session(tmp_path / "other")
    finally:
        library.cache_clear()


def test_an_estimate_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "song"
    assert main(["generate", *MODEL, "--estimate", "-o", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert not folder.exists()
    head = next(index for index, line in enumerate(lines) if line.startswith("level"))
    rows = [line.split() for line in lines[head + 1 : head + 4]]
    assert [(row[0], row[1]) for row in rows[:1]] == [("2", "17")]
    assert lines[-2].startswith("Memory: ")
    assert "it fits" in lines[-2]
    assert lines[-1].startswith("Time expected on this machine: ")


def test_an_estimate_needs_no_folder_to_write_into(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of any command that writes songs; without an estimate a folder that is missing is a sentence."""
    sketch = tmp_path / "sketch"
    assert main(["generate", *MODEL, "--lowest-level", "2", "--no-previews", "-o", str(sketch)]) == 0
    before = sorted(tmp_path.rglob("*"))
    for words in (["upsample", sketch], ["join", sketch, sketch], ["continue", sketch, "--seconds", 0.07]):
        asked = ["jukebox", *map(str, words)]
        assert main([*asked[1:], "--takes", "2", "--estimate"]) == 0
        assert "Time expected on this machine: " in capsys.readouterr().out
        sentence = refused(capsys, *asked[1:])
        assert "-o FOLDER" in sentence or "--output" in sentence
    assert sorted(tmp_path.rglob("*")) == before


def test_mistakes_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ("-o", tmp_path / "song")
    generate = ("generate", *MODEL, *out)
    assert "a song is a folder" in refused(capsys, "generate", *MODEL, "-o", tmp_path / "song.flac")
    assert "did you mean '1b_lyrics'" in refused(capsys, "generate", "--model", "1b_lyric", "--seconds", 1, *out)
    assert "use 'waltz'" in refused(capsys, *generate, "--genre", "walz")
    assert "--temperature is 'hot'; give a number" in refused(capsys, *generate, "--temperature", "hot")
    assert "--one-window is '7'; give levels from 0 to 2" in refused(capsys, *generate, "--one-window", "7")
    assert "top_k is 0" in refused(capsys, *generate, "--top-k", "0")
    assert "was not trained with hidden conditions" in refused(capsys, *generate, "--guidance", "2=2")
    assert "song 1 has no lyrics: give some" in refused(capsys, *generate, "--artist", "nobody", "--follow-lyrics")
    assert "--slots is 0" in refused(capsys, *generate, "--slots", "0")
    assert "--threads is 100000" in refused(capsys, *generate, "--threads", "100000")
    assert "--save-every is nan" in refused(capsys, *generate, "--save-every", "nan")
    assert "takes of the request is 100000000; expected 10000 or fewer" in refused(capsys, *generate, "--takes", 10**8)
    assert "--threads is 0" in refused(capsys, *generate, "--threads", "0")
    assert "cannot be used" in refused(capsys, *generate, "--device", "nonsense")
    assert "cannot be read" in refused(capsys, *generate, "--lyrics", "@nowhere.txt")
    assert "need --prime" in refused(capsys, *generate, "--prime-start", "1")
    assert "expected a length in seconds above 0" in refused(capsys, *generate[:3], "--seconds", "-1", *out)
    assert "holds no session" in refused(capsys, "continue", tmp_path)
    assert "name a codes file" in refused(capsys, "upsample", tmp_path, "--model", "tiny-random", *out)
