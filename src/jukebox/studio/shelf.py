"""The songs of a studio's folder, read from the disk: every folder that `jukebox generate` writes is one of them.

Nothing is kept beside the sessions but what a person says of them (`notes.py`), so that songs of the command line
appear here and those of the studio can be gone on with there.
"""

import itertools
import os
import re
import threading
from collections.abc import Iterable
from pathlib import Path

from jukebox.errors import ConfigError, DataError
from jukebox.sampling.session import REQUEST, SESSION, is_session
from jukebox.studio.disk import age, entries
from jukebox.studio.notes import read_notes, write_notes
from jukebox.studio.song import Asked, ShelfSong, read_request, read_song

REMOVED, RECORDINGS = ".removed", ".recordings"

_NOT_IN_NAMES = re.compile(r"[^\w\- ]+")
_NOT_IN_SUFFIXES = re.compile(r"[^\w.]+")
_LONGEST_NAME = 60


class Shelf:
    """The songs in a folder.

    Args:
        folder: of the studio; it is created.

    Raises:
        DataError: it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._noting = threading.Lock()
        self._known: dict[str, tuple[tuple[float, float], Asked]] = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{folder} cannot be made ({error.strerror or error}); choose another folder.") from error
        if not os.access(self.folder, os.W_OK):
            raise DataError(f"{folder} cannot be written; choose another folder.")

    @property
    def recordings(self) -> Path:
        """Where recordings that songs begin with are kept."""
        return self.folder / RECORDINGS

    def songs(self) -> list[ShelfSong]:
        """All songs, the newest first."""
        found = [read_song(folder, self._asked(folder)) for folder in self._folders(self.folder)]
        return sorted(found, key=lambda song: (-song.begun_s, song.name))

    def song(self, name: str) -> ShelfSong:
        """One of them; raises ConfigError where there is none."""
        folder = self.path(name)
        return read_song(folder, self._asked(folder))

    def removed(self) -> list[str]:
        """Names of the songs that were removed and can be put back."""
        return sorted(folder.name for folder in self._folders(self.folder / REMOVED))

    def path(self, name: str) -> Path:
        """The folder of a song; raises ConfigError where there is none."""
        folder = self.folder / name
        if folder not in self._folders(self.folder):
            raise ConfigError(f"There is no song {name!r} here; it may have been removed or renamed.")
        return folder

    def new_path(self, name: str) -> Path:
        """A folder that is not there yet, for a song of this name: "hymn", "hymn_2", ..."""
        taken = [path.name for place in (self.folder, self.folder / REMOVED) for path in entries(place)]
        return self.folder / _new_name(name or "song", "", taken)

    def new_recording(self, name: str) -> Path:
        """A file that is not there yet, for a recording of this name."""
        taken = [path.name for path in entries(self.recordings)]
        return self.recordings / _new_name(Path(name).stem, Path(name).suffix.lower(), taken)

    def remove(self, name: str) -> None:
        """Take a song off the shelf; `restore` puts it back. Nothing is deleted."""
        source, place = self.path(name), self.folder / REMOVED
        place.mkdir(exist_ok=True)
        source.rename(place / _untaken(name, "", [path.name for path in entries(place)]))

    def restore(self, name: str) -> None:
        """Put a removed song back, under another name where its own is taken; ConfigError where there is none."""
        if name not in self.removed():
            raise ConfigError(f"No song {name!r} was removed.")
        taken = [path.name for path in entries(self.folder)]
        (self.folder / REMOVED / name).rename(self.folder / _untaken(name, "", taken))

    def note(self, name: str, *, title: str | None = None, starred: dict[str, bool] | None = None) -> None:
        """Keep what a person says of a song: its title, and which takes are liked; None leaves them as they are."""
        with self._noting:
            folder = self.path(name)
            write_notes(folder, read_notes(folder).changed(title, starred))

    def _folders(self, place: Path) -> list[Path]:
        """The sessions in a folder, whole or damaged."""
        named = (path for path in entries(place) if not path.name.startswith(".") and _is_text(path.name))
        return [path for path in named if path.is_dir() and is_session(path)]

    def signature(self) -> tuple[tuple[str, float], ...]:
        """What is another when something in the folder is: names, and when something was last put into each."""
        places = (self.folder, self.folder / REMOVED, *entries(self.folder))
        return tuple((path.name, age(path)) for path in places)

    def _asked(self, folder: Path) -> Asked:
        """What was asked for, read again only where the file is another."""
        ages = (age(folder / SESSION), age(folder / REQUEST))
        if folder.name not in self._known or self._known[folder.name][0] != ages:
            self._known[folder.name] = (ages, read_request(folder))
        return self._known[folder.name][1]


def _new_name(name: str, suffix: str, taken: Iterable[str]) -> str:
    plain = " ".join(_NOT_IN_NAMES.sub(" ", name).split())[:_LONGEST_NAME].strip() or "sound"
    return _untaken(plain, _NOT_IN_SUFFIXES.sub("", suffix), taken)


def _untaken(name: str, suffix: str, taken: Iterable[str]) -> str:
    """The name as it is, or with the first number that is free; where case does not count, too."""
    names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
    known = {each.casefold() for each in taken}
    return next(f"{each}{suffix}" for each in names if f"{each}{suffix}".casefold() not in known)


def _is_text(name: str) -> bool:
    """Whether a name can be told: on some systems a name may be any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
