"""`prepare`: every file decoded once, everything that is left out listed, nothing lost to a kill or a full disk."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from jukebox.audio.io import Tags, write
from jukebox.cli.main import main
from jukebox.data.dataset import Dataset
from jukebox.data.labelling import split_of
from jukebox.data.metadata import Skipped
from jukebox.data.prepare import PrepareConfig, Prepared, prepare
from jukebox.errors import DataError
from tests.audio.sounds import chord, cut, save
from tests.data.collections import CONFIG, RATE, music


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def prepared(tmp: Path, **options: object) -> Prepared:
    return prepare(tmp / "music", tmp / "dataset", CONFIG, **options)  # pyright: ignore


def reasons(skipped: tuple[Skipped, ...]) -> dict[str, str]:
    return {item.where: item.reason for item in skipped}


def lines(folder: Path, *rows: object) -> Path:
    path = folder / "metadata.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    music(tmp_path / "music", songs=3)
    return tmp_path / "music"


def test_a_second_run_decodes_nothing_and_changes_nothing(folder: Path, tmp_path: Path) -> None:
    assert prepared(tmp_path).decoded == 3
    before = contents(tmp_path / "dataset")
    assert prepared(tmp_path).decoded == 0
    assert contents(tmp_path / "dataset") == before


def test_what_changed_is_decoded_again_and_what_went_is_removed(folder: Path, tmp_path: Path) -> None:
    prepared(tmp_path)
    save(folder / "song 0.flac", chord(2, 3 * RATE, RATE, seed=9), RATE)
    (folder / "song 2.flac").unlink()
    found = prepared(tmp_path)
    assert found.decoded == 1
    assert [song.key for song in found.dataset.songs] == ["song 0.flac", "song 1.flac"]
    assert found.dataset.songs[0].length_samples == 3 * RATE
    assert "names song 2.flac, which does not exist" in reasons(found.skipped)["metadata.jsonl line 3"]
    assert len(list((tmp_path / "dataset" / "audio").iterdir())) == 2


def test_new_words_need_no_decoding(folder: Path, tmp_path: Path) -> None:
    prepared(tmp_path)
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    lines(folder, *[row | {"lyrics": "new words", "year": 1999} for row in rows])
    found = prepared(tmp_path)
    assert found.decoded == 0
    assert {song.lyrics for song in found.dataset.songs} == {"new words"}
    assert found.dataset.songs[0].more == {"year": 1999}


def test_what_cannot_be_used_is_listed_with_its_place(folder: Path, tmp_path: Path) -> None:
    good = {"path": "song 0.flac", "artist": "A", "genre": "G"}
    save(folder / "silent.wav", torch.zeros(1, RATE), RATE)
    save(folder / "short.wav", chord(1, 100, RATE), RATE)
    cut(save(folder / "cut.flac", chord(1, 3 * RATE, RATE), RATE))
    (folder / "text.mp3").write_text("no sound")
    others = [good | {"path": name} for name in ("silent.wav", "short.wav", "cut.flac", "text.mp3", "gone.wav")]
    lines(
        folder,
        good,
        *others,
        good,
        "{broken",
        5,
        good | {"path": 7},
        good | {"path": "song 1.flac", "artist": 5},
        {"path": "song 2.flac", "artist": "B"},
        {"file": "song 2.flac", "artist": "B", "genre": "G"},
        good | {"path": 300 * "long"},
        good | {"path": "song 1.flac", "title": "half a character \ud800"},
    )
    found = prepared(tmp_path)
    assert [song.key for song in found.dataset.songs] == ["song 0.flac"]
    expected = {
        2: "is silent", 3: "is too short: 0.013 s", 4: "is cut off or damaged", 5: "is not a sound file of a known",
        6: "names gone.wav, which does not exist", 7: "names song 0.flac again, after metadata.jsonl line 1",
        8: "is not JSON", 9: "is 5; expected an object", 10: "has the path 7; expected the name",
        11: "has the artist 5; expected text", 12: "has no genre",
        13: "has no path; expected", 14: "which does not exist", 15: "is not JSON ('utf-8'",
    }  # fmt: skip
    said = reasons(found.skipped)
    for line, text in expected.items():
        assert text in said[f"metadata.jsonl line {line}"]
    assert len(said) == len(expected)
    listed = [json.loads(line) for line in (tmp_path / "dataset" / "skipped.jsonl").read_text().splitlines()]
    assert {item["where"]: item["reason"] for item in listed} == said
    assert prepared(tmp_path).decoded == 0  # nor are bad files tried again


def test_folders_that_nobody_may_read_are_one_sentence(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = prepared(tmp_path).dataset
    (folder / "locked").mkdir()
    refusal, listed, looked, read = PermissionError(13, "Permission denied"), Path.iterdir, Path.is_file, Path.read_text

    def unless(usual: Any, name: str) -> Any:
        def asked(path: Path, *arguments: Any, **settings: Any) -> Any:
            if path.name == name:
                raise refusal
            return usual(path, *arguments, **settings)

        return asked

    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", unless(listed, "locked"))
        with pytest.raises(DataError, match=r"locked cannot be read \(Permission denied\); allow it, or move it"):
            prepared(tmp_path)
    for name, usual in (("is_file", looked), ("read_text", read)):
        with monkeypatch.context() as patch:
            patch.setattr(Path, name, unless(usual, "dataset.json"))
            with pytest.raises(DataError, match=r"cannot be read \(Permission denied\); allow it, or name another"):
                Dataset.open(dataset.folder)


def test_half_a_list_of_songs_is_damaged_and_not_shorter(folder: Path, tmp_path: Path) -> None:
    dataset = prepared(tmp_path).dataset
    path = dataset.folder / "songs.jsonl"
    whole = path.read_text()
    path.write_text(whole.removesuffix("\n"))
    assert Dataset.open(dataset.folder).songs == dataset.songs
    path.write_text(whole[:-9])
    with pytest.raises(DataError, match=r"Line 3 of .* is damaged"):
        Dataset.open(dataset.folder)


def test_files_that_the_metadata_forget_are_listed(folder: Path, tmp_path: Path) -> None:
    lines(folder, {"path": "song 0.flac", "artist": "A", "genre": "G"})
    said = reasons(prepared(tmp_path).skipped)
    assert said == {f"song {k}.flac": "has no entry in metadata.jsonl: add one" for k in (1, 2)}


def test_tags_and_lrc_files(tmp_path: Path) -> None:
    inner = tmp_path / "music" / "inner"
    inner.mkdir(parents=True)
    tags = Tags(title="T", artist="A", genre="G", lyrics="from the tags")
    for name in ("a.mp3", "b.flac"):
        write(inner / name, chord(2, 2 * 44_100), 44_100, tags)
    write(inner / "c.ogg", chord(1, 2 * 44_100), 44_100, Tags(title="only a title"))
    (inner / "b.lrc").write_text("[00:00.10]sung\n[00:00.50]words\n")
    (tmp_path / "dataset" / "audio").mkdir(parents=True)  # what a run leaves that is killed at once
    (tmp_path / "music" / "._a.mp3").write_text("of another system")
    (inner / "back").symlink_to(tmp_path / "music")  # an endless way round
    write(inner / "d.ogg", chord(1, 2 * 44_100), 44_100, tags)
    (inner / "d.lrc").write_text("no times")
    old = os.fsdecode(b"caf\xe9.wav")  # a name in Latin-1
    save(inner / "e.wav", chord(1, RATE), RATE).rename(inner / old)
    found = prepared(tmp_path)
    a, b = found.dataset.songs
    assert (a.key, a.title, a.artist, a.genre, a.lyrics) == ("inner/a.mp3", "T", "A", "G", "from the tags")
    assert (b.lyrics, [t.start_s for t in b.lyric_times]) == ("sung\nwords", [0.1, 0.5])
    said = reasons(found.skipped)
    assert "has no artist: add it to its metadata or tags" in said["inner/c.ogg"]
    assert "has beside it d.lrc, which cannot be used" in said["inner/d.ogg"]
    assert "is not UTF-8: rename the file" in said["inner/caf\\udce9.wav"]
    assert len(said) == 3
    (inner / "back").unlink()
    config = PrepareConfig(sample_rate=RATE, minimum_s=0.5, required=())
    everything = prepare(tmp_path / "music", tmp_path / "all", config)
    assert [song.artist for song in everything.dataset.songs] == ["A", "A", "unknown"]


def test_csv(folder: Path, tmp_path: Path) -> None:
    (folder / "metadata.jsonl").unlink()
    table = "path;artist;genre;lyrics;lyrics_lines;mood\n"
    table += 'song 0.flac;A;"G";"one\ntwo";"[[0.1, 0.4, ""one""], [0.5, 1, ""two""]]";calm\n'
    table += "song 1.flac;A\nsong 2.flac;B;H;;;\n"
    (folder / "metadata.csv").write_text(table, encoding="utf-8-sig")
    found = prepared(tmp_path)
    first, second = found.dataset.songs
    assert (first.lyrics, first.lyric_times[1].text, first.more) == ("one\ntwo", "two", {"mood": "calm"})
    assert (second.artist, second.lyrics) == ("B", "")
    assert "has not the 6 cells" in reasons(found.skipped)["metadata.csv line 4"]
    (folder / "metadata.csv").write_text("file,artist\nx,y\n")
    with pytest.raises(DataError, match="has no column 'path'"):
        prepared(tmp_path)


def test_times_that_are_not_those_of_the_lyrics_replace_them(folder: Path, tmp_path: Path) -> None:
    good = {"path": "song 0.flac", "artist": "A", "genre": "G"}
    timed = [[1, 2, "la la"], [0.5, 1, "oh"]]
    lines(folder, good | {"lyrics": "something else", "lyrics_lines": timed})
    song = prepared(tmp_path).dataset.songs[0]
    assert (song.lyrics, [t.text for t in song.lyric_times]) == ("oh\nla la", ["oh", "la la"])
    lines(
        folder,
        good,
        good | {"path": "song 1.flac", "lyrics_lines": [[2, 1, "back"]]},
        good | {"path": "song 2.flac", "lyrics_words": [["x", 1, "word"]]},
    )
    said = reasons(prepared(tmp_path).skipped)
    assert "sung from 2.0 to 1.0 seconds" in said["metadata.jsonl line 2"]
    assert "expected a list of [start in s, end in s, text]" in said["metadata.jsonl line 3"]


def test_lyrics_that_the_alphabet_cannot_spell(folder: Path, tmp_path: Path) -> None:
    """The characters of a model are those of another dataset here: only small letters."""
    lines(folder, *[{"path": f"song {k}.flac", "artist": "A", "genre": "G", "lyrics": "abc"} for k in range(3)])
    prepared(tmp_path)
    lines(
        folder,
        *[
            {"path": f"song {k}.flac", "artist": "C", "genre": "G", "lyrics": text}
            for k, text in enumerate(("a ♪ b", "♪♫", "cab"))
        ],
    )
    config = PrepareConfig(sample_rate=RATE, minimum_s=0.5, labels_of=str(tmp_path / "dataset"))
    found = prepare(folder, tmp_path / "other", config)
    assert "characters that the alphabet does not have ('♪♫'" in reasons(found.skipped)["metadata.jsonl line 2"]
    assert found.dropped_characters == {"♪": 1}
    assert found.unknown_names == {"artist C": 2}
    assert found.dataset.vocabulary == Dataset.open(tmp_path / "dataset").vocabulary


def test_the_split_is_a_function_of_the_song_alone() -> None:
    groups = [f"artist\nsong {k}" for k in range(4000)]
    held_out = [split_of(group, 0.1) == "validation" for group in groups]
    assert sum(held_out) == pytest.approx(400, abs=60)
    assert [split_of(f"{group} (Live)", 0.1) == "validation" for group in groups] == held_out
    assert all(split_of(g, 0.2) == "validation" for g, held in zip(groups, held_out, strict=True) if held)


def test_mistakes_are_one_sentence_and_write_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for words, said in (
        ((empty, "-o", tmp_path / "x"), "holds no sound files"),
        ((tmp_path / "none", "-o", tmp_path / "x"), "is not a folder"),
        ((folder, "-o", folder), "is the folder of the music"),
        ((empty, "-o", folder), "exists and is no dataset"),
        (
            (folder, "-o", tmp_path / "x", "--require", "artist,mood"),
            "--require is 'mood'; expected one of 'artist', 'genre', ",
        ),
        ((folder, "-o", tmp_path / "x", "--validation", "2"), "--validation is 2.0; expected a share from 0 to 1"),
        ((folder, "-o", tmp_path / "x", "--sample-rate", "0"), "--sample-rate is 0; expected a number of samples"),
        ((folder, "-o", tmp_path / "x", "--minimum", "-1"), "--minimum is -1.0; expected a number of seconds, 0 or"),
        ((folder, "-o", tmp_path / "x", "--minimum", "inf"), "--minimum is inf; expected a finite"),
        ((folder, "-o", tmp_path / "x", "--metadata", tmp_path / "no.csv"), "cannot be read"),
        ((folder, "-o", tmp_path / "x", "--labels-of", "nobody"), "has no vocabulary.json"),
        ((folder, "-o", tmp_path / "x", "--workers", "0"), "--workers is 0"),
    ):
        assert main(["data", "prepare", *map(str, words)]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_a_table_of_hours(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data", "prepare", str(folder), "-o", str(tmp_path / "d"), "--sample-rate", str(RATE), "--minimum", "0.5"]
    assert main([*words, "--workers", "1"]) == 0
    said = capsys.readouterr().out
    assert "3 songs, 3 decoded now, 0 left out" in said
    assert main(["data", "show", str(tmp_path / "d")]) == 0
    shown = capsys.readouterr().out
    assert shown in said
    everything = next(line for line in shown.splitlines() if line.startswith("all"))
    assert everything.split()[1:3] == ["3", "0.00"]


def test_kills_anywhere_lose_nothing(folder: Path, tmp_path: Path) -> None:
    """A run that is killed after each file, one of them in the middle of a line of the journal."""
    prepared(tmp_path)
    expected = contents(tmp_path / "dataset")
    output = tmp_path / "killed"
    words = ["data", "prepare", folder, "-o", output, "--sample-rate", RATE, "--minimum", 0.5, "--validation", 0.3]
    command = [sys.executable, "-m", "jukebox.cli.main", *map(str, words), "--workers", "1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not list(output.glob("audio/*.flac")) and process.poll() is None:
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)
    with (output / "journal.jsonl").open("a") as file:
        file.write('{"source": {"key": "cut off')
    prepare(folder, output, CONFIG)
    found = contents(output)
    assert {n: c for n, c in found.items() if n != "journal.jsonl"} == {
        n: c for n, c in expected.items() if n != "journal.jsonl"
    }


def test_a_full_disk_is_one_sentence_and_what_is_done_stays(folder: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk."""
    words = ["data", "prepare", folder, "-o", tmp_path / "full", "--sample-rate", RATE, "--minimum", 0.5]
    command = [sys.executable, "-m", "jukebox.cli.main", *map(str, words), "--workers", "1"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "full" / "dataset.json").exists()
    assert len(prepare(folder, tmp_path / "full", CONFIG).dataset.songs) == 3
