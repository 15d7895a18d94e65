"""Many songs by several workers: finished ones are kept, killed ones are made again, failed ones are named."""

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from jukebox.checkpoints.files import replacing
from jukebox.cli.progress import progress
from jukebox.errors import DataError, JukeboxError
from recipes.songbook.scores.model import Score
from recipes.songbook.songs.families import families, is_held_out
from recipes.songbook.songs.plan import Song, fingerprint, plan
from recipes.songbook.songs.render import FOLDERS, RECORDS, render_song

IDENTITY, METADATA, WORK, LOCK = "songbook.json", "metadata.jsonl", ".work", ".lock"
FORMAT = 1
PARENT_CHECK_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to render.

    Attributes:
        out: the folder; a run that was stopped in it goes on.
        hours: of sound.
        seed: of all that is drawn.
        voices: names to choose from.
        sound_format: "flac" or "ogg".
        workers: processes.
    """

    out: Path
    hours: float
    seed: int
    voices: tuple[str, ...]
    sound_format: str
    workers: int


@dataclass(frozen=True)
class Outcome:
    """What a run did: songs in all, those made now, sound in seconds, and (song, sentence) of each failure."""

    songs: int
    made: int
    duration_s: float
    failures: list[tuple[str, str]]


def render(scores: list[Score], settings: Settings) -> Outcome:
    """Render songs.

    Args:
        scores: at least one.
        settings: what to make of them.

    Returns:
        The outcome. The folder has `songs/` with `metadata.jsonl`, `stems/`, `accompaniments/`, `records/`.

    Raises:
        DataError: the folder is in use, or holds another run.
    """
    if not scores:
        raise DataError("There is no score that can be sung: run `inspect` on them to see why.")
    with _locked(settings.out):
        _identify(scores, settings)
        songs = plan(scores, settings.hours, settings.seed, settings.voices)
        family = families(scores)
        done = {path.stem for path in (settings.out / RECORDS).glob("*.json")}
        todo = [song for song in songs if song.name not in done]
        failures = _make(todo, settings, family)
        failed = {name for name, _ in failures}
        _collect([song for song in songs if song.name not in failed], settings.out)
    made = [song for song in todo if song.name not in failed]
    return Outcome(len(songs), len(made), sum(s.duration_s for s in songs if s.name not in failed), failures)


@contextlib.contextmanager
def _locked(out: Path) -> Iterator[None]:
    """The folder for one run alone, with what a killed run left half-made removed."""
    for folder in (*FOLDERS.values(), RECORDS):
        (out / folder).mkdir(parents=True, exist_ok=True)
    with (out / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DataError(f"Another run works in {out}: wait for it, or give another folder.") from None
        shutil.rmtree(out / WORK, ignore_errors=True)
        for part in (p for folder in (*FOLDERS.values(), RECORDS) for p in (out / folder).glob(".*.part")):
            part.unlink()
        (out / WORK).mkdir()
        yield
        shutil.rmtree(out / WORK, ignore_errors=True)


def _identify(scores: list[Score], settings: Settings) -> None:
    mark = fingerprint(scores, settings.seed, settings.voices, settings.sound_format)
    identity = {"format": FORMAT, "seed": settings.seed, "voices": list(settings.voices), "fingerprint": mark}
    path = settings.out / IDENTITY
    if path.exists():
        try:
            found = json.loads(path.read_text())
        except json.JSONDecodeError:
            raise DataError(f"{path} is damaged: give another folder, or remove this one.") from None
        if found != identity:
            raise DataError(
                f"{settings.out} has songs of other scores, voices or another seed (seed {found.get('seed')}, "
                f"now {settings.seed}): give another folder."
            )
        return
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(identity, indent=1) + "\n")


def _make(songs: list[Song], settings: Settings, family: dict[str, str]) -> list[tuple[str, str]]:
    failures: list[tuple[str, str]] = []
    jobs = [
        (s, settings.out, settings.sound_format, family[s.score.key], is_held_out(family[s.score.key])) for s in songs
    ]
    with progress("rendering", sum(song.duration_s for song in songs), "s") as advance:
        if settings.workers == 1:
            with _temporary_folder(settings.out / WORK):
                for job in jobs:
                    failures += _result(job[0], _one(*job))
                    advance(job[0].duration_s)
            return failures
        context = get_context("spawn")
        with ProcessPoolExecutor(
            settings.workers, mp_context=context, initializer=_begin_worker, initargs=(settings.out / WORK, os.getpid())
        ) as pool:
            running = {pool.submit(_one, *job): job[0] for job in jobs}
            for finished in as_completed(running):
                song = running[finished]
                failures += _result(song, finished.result())
                advance(song.duration_s)
    return sorted(failures)


def _result(song: Song, sentence: str | None) -> list[tuple[str, str]]:
    return [] if sentence is None else [(song.name, sentence)]


def _one(song: Song, out: Path, sound_format: str, family: str, held_out: bool) -> str | None:
    """Render a song; None, or the sentence that says why it failed, since the others are to go on."""
    try:
        render_song(song, out, sound_format, family, held_out)
    except JukeboxError as error:
        return str(error)
    except OSError as error:
        return f"Its files cannot be written ({error.strerror or error}): see to space and permissions."
    return None


def _begin_worker(work: Path, parent: int) -> None:
    tempfile.tempdir = str(work)
    os.environ["OMP_NUM_THREADS"] = "1"

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK_S)
        os._exit(1)  # the run was killed; a worker that went on would write into a folder that is not locked

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _temporary_folder(folder: Path) -> Iterator[None]:
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def _collect(songs: list[Song], out: Path) -> None:
    """`metadata.jsonl` beside the mixes: the records in the order of their names."""
    with replacing(out / FOLDERS["mix"] / METADATA) as temporary, temporary.open("w", encoding="utf-8") as file:
        for song in sorted(songs, key=lambda s: s.name):
            file.write((out / RECORDS / f"{song.name}.json").read_text(encoding="utf-8"))


def read_metadata(out: Path) -> list[dict[str, Any]]:
    """The entries of a finished run.

    Raises:
        DataError: there are none.
    """
    path = out / FOLDERS["mix"] / METADATA
    if not path.exists():
        raise DataError(f"{out} is not the folder of a finished run: `render` writes {path}.")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
