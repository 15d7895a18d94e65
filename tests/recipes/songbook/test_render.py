"""Songs from end to end, where the programs that sing and play are installed; and mistakes, where they are not."""

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from jukebox.cli.main import main as jukebox
from recipes.songbook import tools
from recipes.songbook.__main__ import main
from tests.recipes.songbook.test_scores import HEAD

NEEDED = pytest.mark.skipif(
    bool(tools.missing() or tools.missing_modules(tools.MODULES)), reason="what sings and plays is not installed"
)
SONG = """V:1
G A B d | c B A2 | B d c A | G4 |
w: sing to the morn- ing of light, all our hearts in one
V:2
D F G G | E G F2 | G G E F | D4 |
V:3
B, D D B, | C D D2 | D B, C C | B,4 |
V:4
G, D, G,, G, | A,, G,, D,2 | G,, G, C, D, | G,,4 |
"""
VOICES = ("Kevin Bass", "Sally Tenor")


def render(folder: Path, out: str, *more: str) -> list[dict[str, Any]]:
    """Render the song, ten seconds, in each of two takes; the entries."""
    score = folder / "morning.abc"
    score.write_text(HEAD + SONG)
    voices = [word for name in VOICES for word in ("--voice", name)]
    words = ["render", str(score), "-o", str(folder / out), "--hours", "0.005", "--seed", "4", "--workers", "1"]
    assert main([*words, *voices, *more]) == 0
    lines = (folder / out / "songs" / "metadata.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def files(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("songbook")
    return folder / "out", render(folder, "out")


@NEEDED
def test_files_last_as_long_as_they_say_and_add_up(rendered: tuple[Path, list[dict[str, Any]]]) -> None:
    out, entries = rendered
    assert len(entries) >= 2
    for entry in entries:
        mix, rate = soundfile.read(out / "songs" / entry["path"])
        stem, _ = soundfile.read(out / "songs" / entry["stem"])
        assert rate == 44100
        assert len(mix) == len(stem) == round(entry["duration_s"] * rate)
        if entry["accompaniment"]:
            stem = stem + soundfile.read(out / "songs" / entry["accompaniment"])[0]
        np.testing.assert_allclose(mix, stem, atol=2 / 32768)
        assert 0.05 < np.abs(mix).max() < 0.9


@NEEDED
def test_an_entry_knows_words_notes_and_pitch(rendered: tuple[Path, list[dict[str, Any]]]) -> None:
    from recipes.songbook.check.measure import pitch_errors, read_mono

    out, entries = rendered
    for entry in entries:
        words = entry["lyrics_words"]
        assert " ".join(word for _, _, word in words) == "sing to the morning of light, all our hearts in one"
        assert all(a[1] <= b[0] + 0.002 and a[0] < a[1] for a, b in itertools.pairwise(words))
        assert len(entry["syllables"]) == 12
        assert entry["voice_licence"]
        lrc = (out / "songs" / entry["path"]).with_suffix(".lrc").read_text().splitlines()
        assert [line[10:] for line in lrc[2:] if line[10:]] == [text for _, _, text in entry["lyrics_lines"]]
        stem, rate = read_mono(out / "songs" / entry["stem"])
        assert pitch_errors(stem, rate, entry).curve_cents.mean() < 8
    assert not list((out / ".work").glob("*"))


@NEEDED
def test_what_is_there_is_kept_and_what_is_lost_is_made_again(rendered: tuple[Path, list[dict[str, Any]]]) -> None:
    out, entries = rendered
    before = files(out)
    name = Path(entries[0]["path"]).stem
    (out / "records" / f"{name}.json").unlink()
    (out / "songs" / entries[0]["path"]).write_bytes(b"half")
    times = {p: p.stat().st_mtime_ns for p in (out / "songs").glob("*.flac")}
    render(out.parent, "out")
    assert files(out) == before
    changed = {p.stem for p, time in times.items() if p.stat().st_mtime_ns != time}
    assert changed == {name}


@NEEDED
@pytest.mark.slow
def test_prepare_reads_the_songs_with_their_words(rendered: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    out, entries = rendered
    dataset = tmp_path / "dataset"
    assert jukebox(["data", "prepare", str(out / "songs"), "-o", str(dataset), "--workers", "1"]) == 0
    songs = [json.loads(line) for line in (dataset / "songs.jsonl").read_text().splitlines()]
    assert sorted(song["artist"] for song in songs) == sorted(entry["artist"] for entry in entries)
    assert (dataset / "skipped.jsonl").read_text() == ""


@NEEDED
def test_another_seed_is_refused_in_the_same_folder(
    rendered: tuple[Path, list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = rendered
    assert main(["render", str(out.parent / "morning.abc"), "-o", str(out), "--seed", "5"]) == 2
    assert "give another folder" in capsys.readouterr().err


@NEEDED
@pytest.mark.slow
def test_vorbis_has_the_same_bytes_with_any_number_of_workers(tmp_path: Path) -> None:
    one = render(tmp_path, "one", "--format", "ogg")
    three = render(tmp_path, "three", "--format", "ogg", "--workers", "3")
    assert one == three
    assert files(tmp_path / "one") == files(tmp_path / "three")
    sound, rate = soundfile.read(tmp_path / "one" / "songs" / one[0]["path"])
    assert len(sound) == round(one[0]["duration_s"] * rate)


def test_missing_programs_are_named_with_their_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    (tmp_path / "a.abc").write_text(HEAD + SONG)
    assert main(["render", str(tmp_path / "a.abc"), "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "apt-get install --no-install-recommends festival htsengine flite fluidsynth" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--voice", "Nobody"], "There is no voice 'Nobody'"),
        (["--workers", "0"], "at least 1 is needed"),
    ],
)
def test_mistakes_are_said_in_a_sentence(
    words: list[str],
    part: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tools, "require", lambda *_, **__: None)
    (tmp_path / "a.abc").write_text(HEAD + SONG)
    assert main(["render", str(tmp_path / "a.abc"), "-o", str(tmp_path / "out"), *words]) == 2
    assert part in capsys.readouterr().err


def test_scores_of_which_none_can_be_sung(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tools, "require", lambda *_, **__: None)
    (tmp_path / "a.abc").write_text(HEAD + "G A B c |\n")
    assert main(["render", str(tmp_path / "a.abc"), "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "no words" in said
    assert "no score that can be sung" in said


def test_check_of_a_folder_without_songs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tools, "require", lambda *_, **__: None)
    assert main(["check", str(tmp_path)]) == 2
    assert "not the folder of a finished run" in capsys.readouterr().err
