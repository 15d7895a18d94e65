"""Nothing that was written is lost: kills, full disks, other processes and damaged files change no byte of a song."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from jukebox.audio.io import Writer
from jukebox.checkpoints import files
from jukebox.cli.main import main
from jukebox.errors import CheckpointError
from jukebox.labels.labels import Labels
from jukebox.pipeline import Jukebox
from jukebox.sampling.checked import previous
from jukebox.sampling.events import Finished, Message, Progress, Saved
from jukebox.sampling.generate import Options
from jukebox.sampling.request import LevelSettings, SongRequest
from jukebox.sampling.session import Session
from jukebox.sampling.writing import Pace

REQUEST = SongRequest(
    model="tiny-random",
    songs=(Labels(artist="nobody", genre="waltz", lyrics="la la la"),),
    seconds=0.05,
    seed=5,
    levels=(LevelSettings(level=2, hop_fraction=0.25),),
    lowest_level=1,
    parallel_windows=2,
)
OFTEN = Options(pace=Pace(most_steps=12), previews=None)


pytestmark = pytest.mark.usefixtures("short_windows")


def results(folder: Path) -> dict[str, bytes]:
    """Everything that is for people: songs, codes, previews."""
    found = [*folder.glob("*.codes"), *folder.glob("*.flac"), *(folder / "previews").glob("*")]
    assert found
    return {path.name: path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def expected(jukebox: Jukebox, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole") / "song"
    list(jukebox.write_session(folder, REQUEST, options=OFTEN))
    return results(folder)


def finish(jukebox: Jukebox, folder: Path) -> tuple[dict[str, bytes], list[str], int]:
    """The results of going on, what was said, and how many codes were new."""
    said, new = [], 0
    for event in jukebox.write_session(folder, REQUEST, options=OFTEN):
        if isinstance(event, Message):
            said.append(event.text)
        if isinstance(event, Progress):
            new += 1
    return results(folder), said, new


def stop_after(jukebox: Jukebox, folder: Path, runs: int, options: Options = OFTEN) -> None:
    """Begin and close after some runs of the engine, every one of which is saved."""
    events = jukebox.write_session(folder, REQUEST, options=options, save_every_s=0.0)
    for event in events:
        runs -= isinstance(event, Progress)
        if runs < 0:
            break
    events.close()


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("runs", [0, 3, 6, 9])
def test_a_closed_iterator_leaves_a_session_that_ends_the_same(
    jukebox: Jukebox, tmp_path: Path, expected: dict[str, bytes], runs: int, together: bool
) -> None:
    """Also one whose levels were written side by side, and are gone on with one after another."""
    stop_after(jukebox, tmp_path / "song", runs, replace(OFTEN, together=together))
    found, said, _ = finish(jukebox, tmp_path / "song")
    assert found == expected
    assert any("goes on where that ended" in text for text in said)


def test_a_finished_session_is_not_written_again(jukebox: Jukebox, tmp_path: Path, expected: dict[str, bytes]) -> None:
    assert finish(jukebox, tmp_path / "song")[0] == expected
    found, said, new = finish(jukebox, tmp_path / "song")
    assert found == expected
    assert new == 0
    assert any("holds this song already, finished" in text for text in said)


def test_the_request_is_enough_to_go_on(jukebox: Jukebox, tmp_path: Path, expected: dict[str, bytes]) -> None:
    folder = tmp_path / "song"
    stop_after(jukebox, folder, 7)
    for path in folder.glob("session*"):
        path.unlink()
    found, said, _ = finish(jukebox, folder)
    assert found == expected
    assert any("the song is taken from request.yaml" in text for text in said)


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "bit":
        place = len(content) - 3
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
    else:
        path.write_bytes(b"")


@pytest.mark.parametrize(
    ("name", "how", "both"),
    [
        ("codes/level_2.safetensors", "cut", False),
        ("codes/level_2.safetensors", "bit", True),
        ("session.json", "bit", False),
        ("session.json", "empty", True),
        ("given.safetensors", "cut", True),
    ],
)
def test_damaged_files_are_found_and_said(
    jukebox: Jukebox, tmp_path: Path, expected: dict[str, bytes], name: str, how: str, both: bool
) -> None:
    """The generation before is used, or all is written again: the same bytes."""
    folder = tmp_path / "song"
    stop_after(jukebox, folder, 7)
    path = folder / name
    damage(path, how)
    if both:
        damage(previous(path), how)
    found, said, _ = finish(jukebox, folder)
    assert found == expected
    assert any(str(path) in text and "is damaged" in text for text in said)


def test_a_full_disk_is_one_sentence_and_loses_nothing(
    jukebox: Jukebox, tmp_path: Path, expected: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, flush = tmp_path / "song", files.flush
    left = 15  # what begins a session, and its first save

    def full(path: Path) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(28, "No space left on device")
        flush(path)

    with monkeypatch.context() as patch:
        patch.setattr(files, "flush", full)
        with pytest.raises(CheckpointError, match="No space left on device"):
            list(jukebox.write_session(folder, REQUEST, options=OFTEN, save_every_s=0.0))
    kept = sorted((folder / "codes").glob("*"))
    assert kept
    assert not [path for path in folder.rglob("*.part")]
    found, _, new = finish(jukebox, folder)
    assert found == expected
    assert new > 0


def test_what_a_kill_left_unfinished_is_removed(jukebox: Jukebox, tmp_path: Path, expected: dict[str, bytes]) -> None:
    folder = tmp_path / "song"
    stop_after(jukebox, folder, 5)
    previews = folder / "previews"
    previews.mkdir(exist_ok=True)
    with Writer(previews / "song.level_2.flac", channels=1, sample_rate=44100) as writer:
        writer.write(torch.zeros(1, 100))
        (unfinished,) = previews.glob(".*")
    unfinished.mkdir()  # as if the process had been killed in the block
    (unfinished / "sound.flac").write_bytes(b"half")
    (folder / "codes" / ".level_2.safetensors.0123.part").write_bytes(b"half")
    assert len([*folder.rglob("*.part")]) == 2
    (previews / "song.level_2.flac").unlink()
    assert finish(jukebox, folder)[0] == expected
    assert not [*folder.rglob("*.part")]


def test_a_second_process_is_refused(jukebox: Jukebox, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "song"
    stop_after(jukebox, folder, 2)
    with Session(folder):
        code = f"from jukebox.cli.main import main; raise SystemExit(main(['continue', {str(folder)!r}]))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "is in use by another process" in done.stderr
    assert main(["continue", str(folder), "--no-previews"]) == 0


def test_other_requests_and_folders_are_refused(
    jukebox: Jukebox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "song"
    stop_after(jukebox, folder, 2)
    words = ["generate", "--model", "tiny-random", "--seconds", "0.3", "-o", str(folder)]
    assert main(words) == 2
    assert "holds another song (different " in capsys.readouterr().err
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("dear")
    assert main([*words[:-1], str(other)]) == 2
    assert "is not empty and holds no session" in capsys.readouterr().err
    assert main(["continue", str(other)]) == 2
    assert "holds no session" in capsys.readouterr().err
    assert main(["continue", str(tmp_path / "nowhere")]) == 2
    assert "is not a folder" in capsys.readouterr().err


def test_saves_are_told_and_rare(jukebox: Jukebox, tmp_path: Path) -> None:
    events = list(jukebox.write_session(tmp_path / "song", REQUEST, options=OFTEN, save_every_s=1000.0))
    assert not [event for event in events if isinstance(event, Saved) and event.path == tmp_path / "song"]
    assert isinstance(next(event for event in events if isinstance(event, Finished)), Finished)


def killed(kills: int, seed: int, words: list[str]) -> None:
    command = [sys.executable, "-m", "tests.sampling.killed", str(kills), str(seed), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == f"{kills} 0", done.stderr[-2000:]


WORDS = ["generate", "--model", "tiny-random", "--artist", "nobody", "--save-every", "0.02", "-o"]


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_song_that_was_killed_twenty_times_has_the_same_bytes(tmp_path: Path, threads: str) -> None:
    """With two threads and one part, levels are written side by side where there is a C compiler."""
    whole, song = tmp_path / "whole", tmp_path / "song"
    words = ["--seconds", "0.4", "--lowest-level", "1", "--temperature", "0.9", "--parallel-windows", "1"]
    killed(0, 0, [*WORDS, str(whole), *words, "--threads", "1"])
    killed(20, 1, [*WORDS, str(song), *words, "--threads", threads])
    assert results(song) == results(whole)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_a_long_song_that_was_killed_often_has_the_same_bytes(tmp_path: Path, seed: int) -> None:
    whole, song = tmp_path / "whole", tmp_path / "song"
    words = ["--seconds", "3", "--takes", "2", "--parallel-windows", "8"]
    killed(0, 0, [*WORDS, str(whole), *words])
    killed(40, seed, [*WORDS, str(song), *words])
    assert results(song) == results(whole)
