"""Everything behind the page: the shelf, the models, the worker, and what a person asks of them."""

import contextlib
import dataclasses
import itertools
import secrets
import shutil
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from jukebox.audio.io import probe
from jukebox.errors import AudioError, ConfigError
from jukebox.sampling.request import SongRequest
from jukebox.sampling.session import Session, is_session
from jukebox.stereo import STEREO, write_stereo
from jukebox.studio.catalogue import Catalogue
from jukebox.studio.shelf import Shelf
from jukebox.studio.song import plain
from jukebox.studio.worker import Worker

MOST_TAKES = 64
"""Of one request; the page's field ends there too."""


class Studio:
    """A folder of songs, and models that write more.

    Args:
        shelf: the songs.
        catalogue: the models.
    """

    def __init__(self, shelf: Shelf, catalogue: Catalogue) -> None:
        self.shelf, self.catalogue = shelf, catalogue
        # Later than any that a page may have of a studio before this one.
        self._counter = itertools.count(time.time_ns() // 1_000_000)
        self.version, self.closing = next(self._counter), False
        self._making = threading.Lock()
        self._seen = shelf.signature()
        self.worker = Worker(shelf, catalogue, self.changed)

    def changed(self) -> None:
        """Whoever looks on has to look again."""
        self.version = next(self._counter)

    def state(self) -> dict[str, Any]:
        """Everything that a page shows, as JSON values."""
        return {
            "version": self.version,
            "folder": str(self.shelf.folder),
            "songs": [plain(song) for song in self.shelf.songs()],
            "removed": self.shelf.removed(),
            "models": list(self.catalogue.names),
            "work": self.worker.state(),
        }

    def request(self, values: Any) -> SongRequest:
        """A request from JSON values: `source` of `given` and of each of `joined` is a song of the shelf,
        `prime.recording` one of its recordings.

        Raises:
            ConfigError: a field is unknown, missing or outside its range, or names what is not here.
        """
        request = SongRequest.from_dict(_with_paths(values, self.shelf))
        self.catalogue.offered(request.model)
        if len(request.songs) * request.takes > MOST_TAKES:
            raise ConfigError(
                f"{len(request.songs) * request.takes} takes are asked for; {MOST_TAKES} at once is the most."
            )
        return dataclasses.replace(request, songs=tuple(song.timed() for song in request.songs))

    def begin(self, values: Any, name: str) -> str:
        """Begin a song, and write it when its turn comes; the name of its folder.

        Raises:
            JukeboxError: something in the request cannot be done; nothing is written then.
        """
        request = self.request(values)
        jukebox = self.catalogue.offered(request.model)
        with self._making:
            folder = self.shelf.new_path(name)
            try:
                with Session(folder) as session:
                    jukebox.begin(request, session)
            finally:
                if not is_session(folder):
                    shutil.rmtree(folder, ignore_errors=True)
        self.worker.add(folder.name)
        return folder.name

    def go_on(self, name: str) -> None:
        """Write what is missing of a song."""
        self.shelf.path(name)
        self.worker.add(name)

    def estimate(self, values: Any) -> str:
        """What a request would take, in lines; a few steps are made."""
        if self.worker.busy():
            raise ConfigError("A song is being written: an estimate measures some steps, so ask when it is done.")
        request = self.request(values)
        return self.catalogue.offered(request.model).estimate(request)

    def remove(self, name: str) -> None:
        """Take a song off the shelf."""
        if self.worker.busy(name):
            raise ConfigError(f"{name} is being written or waits for it; stop it first.")
        self.shelf.remove(name)
        self.changed()

    def restore(self, name: str) -> None:
        """Put a removed song back."""
        self.shelf.restore(name)
        self.changed()

    def stereo(self, name: str) -> None:
        """Write two or three takes of a song side by side: those that are liked, else all that are finished."""
        folder, takes = self.shelf.path(name), self.shelf.song(name).takes
        finished = [take for take in takes if take.finished]
        liked = [take.name for take in finished if take.starred]
        chosen = liked if len(liked) in (2, 3) else [take.name for take in finished]
        write_stereo(folder, chosen, folder / STEREO)
        self.changed()

    def note(self, name: str, title: str | None, starred: dict[str, bool] | None) -> None:
        """Keep a song's title and its liked takes."""
        self.shelf.note(name, title=title, starred=starred)
        self.changed()

    def recordings(self) -> list[dict[str, Any]]:
        """The recordings that songs can begin with: name and length; files that cannot be read are left out."""
        found = []
        for path in sorted(self.shelf.recordings.glob("[!.]*")):
            with contextlib.suppress(AudioError):
                found.append(_recording(path))
        return found

    async def add_recording(self, name: str, pieces: AsyncIterator[bytes]) -> dict[str, Any]:
        """Keep a sound file that comes in pieces; raises AudioError where it is none."""
        arriving = self.shelf.recordings / f".{secrets.token_hex(8)}.part"
        arriving.parent.mkdir(exist_ok=True)
        try:
            with arriving.open("wb") as file:
                async for piece in pieces:
                    file.write(piece)
            try:
                _recording(arriving)
            except AudioError as error:
                raise AudioError(str(error).replace(str(arriving), name)) from error
            with self._making:
                path = self.shelf.new_recording(name)
                arriving.rename(path)
        finally:
            arriving.unlink(missing_ok=True)
        return _recording(path)

    def look(self) -> None:
        """Notice what others have put into the folder, or taken out of it."""
        found = self.shelf.signature()
        if found != self._seen:
            self._seen = found
            self.changed()

    def close(self) -> None:
        """Stop the work, saved."""
        self.closing = True
        self.worker.close()


def _recording(path: Path) -> dict[str, Any]:
    found = probe(path)
    return {"name": path.name, "duration_s": found.samples / found.sample_rate}


def _with_paths(values: Any, shelf: Shelf) -> Any:
    """The same with paths in place of names, so that a request over the network reaches nothing but the shelf."""
    if not isinstance(values, dict):
        return values
    values = dict(values)
    given, joined, prime = values.get("given"), values.get("joined"), values.get("prime")
    if isinstance(given, dict):
        values["given"] = _of_shelf(given, shelf)
    if isinstance(joined, list):
        values["joined"] = [_of_shelf(part, shelf) if isinstance(part, dict) else part for part in joined]
    if isinstance(prime, dict):
        name = str(prime.get("recording", ""))
        path = shelf.recordings / name
        if path.parent != shelf.recordings or name.startswith(".") or not path.is_file():
            raise ConfigError(f"There is no recording {name!r} here; add it first.")
        values["prime"] = prime | {"recording": str(path)}
    return values


def _of_shelf(part: dict[str, Any], shelf: Shelf) -> dict[str, Any]:
    return part | {"source": str(shelf.path(str(part.get("source", ""))))}
