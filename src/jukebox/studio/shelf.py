"""The songs of a studio's folder, read from the disk: every folder that `jukebox generate` writes is one of them.

Nothing is kept beside the sessions but what a person says of them (`notes.py`), so that songs of the command line
appear here and those of the studio can be gone on with there.
"""

import itertools
import os
import re
from collections.abc import Iterable
from pathlib import Path

from jukebox.errors import ConfigError, DataError
from jukebox.sampling.session import REQUEST, SESSION, is_session
from jukebox.studio.disk import age, entries
from jukebox.studio.notes import read_notes, write_notes
from jukebox.studio.song import Asked, ShelfSong, read_request, read_song

REMOVED, RECORDINGS = ".removed", ".recordings"

_NOT_IN_NAMES = re.compile(r"[^\w\- ]+")
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
        source.rename(place / _new_name(name, "", [path.name for path in entries(place)]))

    def restore(self, name: str) -> None:
        """Put a removed song back, under another name where its own is taken; ConfigError where there is none."""
        if name not in self.removed():
            raise ConfigError(f"No song {name!r} was removed.")
        (self.folder / REMOVED / name).rename(
            self.folder / _new_name(name, "", [path.name for path in entries(self.folder)])
        )

    def note(self, name: str, *, title: str | None = None, starred: dict[str, bool] | None = None) -> None:
        """Keep what a person says of a song: its title, and which takes are liked; None leaves them as they are."""
        folder = self.path(name)
        write_notes(folder, read_notes(folder).changed(title, starred))

    def _folders(self, place: Path) -> list[Path]:
        """The sessions in a folder, whole or damaged."""
        found = (path for path in entries(place) if not path.name.startswith(".") and path.is_dir())
        return [path for path in found if is_session(path) or (path / REQUEST).is_file()]

    def _asked(self, folder: Path) -> Asked:
        """What was asked for, read again only where the file is another."""
        ages = (age(folder / SESSION), age(folder / REQUEST))
        if folder.name not in self._known or self._known[folder.name][0] != ages:
            self._known[folder.name] = (ages, read_request(folder))
        return self._known[folder.name][1]


def _new_name(name: str, suffix: str, taken: Iterable[str]) -> str:
    plain = " ".join(_NOT_IN_NAMES.sub(" ", name).split())[:_LONGEST_NAME].strip() or "sound"
    names = itertools.chain([plain], (f"{plain}_{number}" for number in itertools.count(2)))
    known = {each.casefold() for each in taken}
    return next(f"{each}{suffix}" for each in names if f"{each}{suffix}".casefold() not in known)
