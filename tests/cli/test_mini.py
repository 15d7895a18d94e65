"""The model that is part of the package: what works without naming anything, here with a stand-in for it."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from jukebox import presets
from jukebox.audio.io import probe, read, read_tags, write
from jukebox.cli.main import main
from jukebox.labels.labels import Blend
from jukebox.models import find
from jukebox.sampling.request import SongRequest
from tests import mini
from tests.commands import refused


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("package")
    runs, folder = mini.write_runs(place / "runs"), place / "mini"
    (runs / "glossary.txt").write_text("Bo: man, deep\n", encoding="utf-8")  # comes along
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(presets, "MINI_FOLDER", folder)
        assert main(["weights", "pack", str(runs), "-o", str(folder)]) == 0
        yield folder


def test_without_any_option_there_is_a_song(
    shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["generate"]) == 0
    printed = capsys.readouterr()
    assert "artist 'Ada', genre 'march', sings 'la la'; seed 0" in printed.err
    assert "song/song.flac" in printed.out
    tags = read_tags(Path("song/song.flac"))
    assert (tags.artist, tags.genre, tags.lyrics, tags.model) == ("Ada", "march", "la la", "mini")
    assert probe(Path("song/song.flac")).samples == 6 * 128
    request = SongRequest.read("song/request.yaml")
    assert (request.model, request.seconds, request.levels) == ("mini", 0.02, ())

    words = tmp_path / "words.txt"
    words.write_text("lo lo", encoding="utf-8")
    assert main(["generate", "--artist", "Bo", "--lyrics-file", str(words), "--takes", "2", "--seed", "5"]) == 0
    request = SongRequest.read("song_2/request.yaml")
    assert (request.songs[0].artist, request.songs[0].genre, request.songs[0].lyrics) == ("Bo", "unknown", "lo lo")
    assert {path.name for path in Path("song_2").glob("*.flac")} == {"song_take_0.flac", "song_take_1.flac"}
    assert main(["generate", "--lyrics", "[00:00.01]la la\n[00:00.02]", "--lowest-level", "2", "-o", "timed"]) == 0
    (labels,) = SongRequest.read("timed/request.yaml").songs
    assert [(each.start_s, each.end_s, each.text) for each in labels.lyric_times] == [(0.01, 0.02, labels.lyrics)]
    mixed = [
        "generate",
        "--artist",
        "Ada",
        "--blend-artist",
        "Bo=0.5",
        "--blend-genre",
        "waltz=0.25",
        "--lowest-level",
        "2",
    ]
    assert main([*mixed, "-o", "mixed"]) == 0
    (labels,) = SongRequest.read("mixed/request.yaml").songs
    assert labels.blend == (Blend(weight=0.5, artist="Bo"), Blend(weight=0.25, genre="waltz"))
    for wrong in ("Bo", "Bo=", "Bo=2", "=0.5"):
        assert "as in NAME=0.3" in refused(capsys, "generate", "--blend-artist", wrong)
    assert "use 'Bo'" in refused(capsys, "generate", "--blend-artist", "Boo=0.5")
    assert "give one" in refused(capsys, "generate", "--lyrics", "la", "--lyrics-file", words)
    assert "use 'Ada'" in refused(capsys, "generate", "--artist", "Adda")
    assert main(["upsample", "song/song.codes", "--artist", "Ada", "-o", "finer", "--lowest-level", "1"]) == 0


def test_how_it_is_usually_written_is_in_its_folder(shipped: Path) -> None:
    levels = find("mini").model.levels
    assert (levels[2].sampling.temperature, levels[2].sampling.top_p, levels[2].hop_fraction) == (0.7, 0.9, 0.125)
    assert (levels[1].sampling.temperature, levels[1].hop_fraction, levels[1].parallel_windows) == (0.99, 0.25, 3)


def test_a_wrong_song_file_is_one_sentence(shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    song = shipped / "song.yaml"
    song.write_text("seconds: ten\n")
    try:
        assert "song.yaml cannot be used: seconds of the request" in refused(capsys, "generate", "-o", tmp_path)
    finally:
        song.write_text(mini.SONG)


def test_a_recording_there_and_back(shipped: Path, tmp_path: Path) -> None:
    recording, codes, back = (tmp_path / name for name in ("a.wav", "a.codes", "b.wav"))
    write(recording, torch.sin(torch.arange(8820) * 0.05)[None] * 0.5, 44_100)
    assert main(["encode", str(recording), "-o", str(codes)]) == 0
    assert main(["decode", str(codes), "-o", str(back)]) == 0
    assert read(back).shape[1] == 8820
    assert main(["reconstruct", str(recording), "-o", str(tmp_path)]) == 0


def test_what_there_is(shipped: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["models"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows[1:6]] == ["mini", "1b_lyrics", "5b_lyrics", "5b", "tiny-random"]
    assert rows[1].split()[1] == "3"
    assert "the model where none is named" in rows[1]
    assert main(["labels"]) == 0
    assert " ".join(capsys.readouterr().out.split()) == "artists (3): Ada Bo unknown genres (3): march unknown waltz"
    assert main(["labels", "tiny-random", "walz"]) == 0
    assert "waltz" in capsys.readouterr().out
    assert "knows no name like 'xyz'" in refused(capsys, "labels", "mini", "xyz")


def test_a_description_chooses_names_and_says_so(
    shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["labels", "--describe", "a deep voice with drums and a parade of soldiers: a march"]) == 0
    assert "artist 'Bo', genre 'march' (deep, march)" in capsys.readouterr().out
    words = ("generate", "--describe", "a waltz for a deep voice", "--artist", "Ada", "--seconds", "0.02")
    assert main([*words, "-o", str(tmp_path / "song")]) == 0
    assert "The description is read as artist 'Bo', genre 'waltz'" in capsys.readouterr().err
    labels = SongRequest.read(tmp_path / "song/request.yaml").songs[0]
    assert (labels.artist, labels.genre) == ("Ada", "waltz")  # what is said outright comes first
    request = str(tmp_path / "song/request.yaml")  # what a description does not speak of is as it was
    for number, (description, names) in enumerate([("a march", ("Ada", "march")), ("a deep voice", ("Bo", "waltz"))]):
        folder = tmp_path / f"it's again {number}"
        assert main(["generate", "--request", request, "--describe", description, "-o", str(folder)]) == 0
        labels = SongRequest.read(folder / "request.yaml").songs[0]
        assert (labels.artist, labels.genre) == names
        shown = capsys.readouterr()
        assert f"; the {('artist', 'genre')[number]} is as without it" in shown.err
        last = shlex.split(shown.out.splitlines()[-1].split("again: ")[1])  # as a shell would read it
        assert last == ["jukebox", "generate", "--request", str(folder / "request.yaml"), "-o", "FOLDER"]
    assert "say instruments" in refused(capsys, "generate", "--describe", "qwerty", "-o", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_without_it_everything_that_needs_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presets, "MINI_FOLDER", tmp_path / "nothing")
    for words in (["generate", "-o", "song"], ["encode", "a.wav", "-o", "a.codes"], ["labels"]):
        assert "The weights of mini are not in this installation" in refused(capsys, *words)
    assert main(["models"]) == 0
    assert "no: its weights are not in this installation" in capsys.readouterr().out


def test_only_a_prior_that_reads_lyrics_needs_an_alphabet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A fine-tuned upsampler is exported without one."""
    runs = mini.write_runs(tmp_path / "runs")
    for run in ("low", "high"):
        (runs / run / "model" / "alphabet.json").unlink()
    assert main(["labels", str(runs / "low" / "model")]) == 0
    assert "Ada" in capsys.readouterr().out
    assert "alphabet.json cannot be read" in refused(capsys, "labels", str(runs / "high" / "model"))
