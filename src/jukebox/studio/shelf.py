"""The songs of a studio's folder, read from the disk: every folder that `jukebox generate` writes is one of them.

Nothing is kept beside the sessions but what a person says of them (`studio.json` in each), so that songs of the command
line appear here and those of the studio can be gone on with there.
"""

import dataclasses
import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jukebox.audio.write import WRITABLE_SUFFIXES
from jukebox.checkpoints.codes import CODES_SUFFIX
from jukebox.checkpoints.files import replacing
from jukebox.errors import ConfigError, DataError, JukeboxError
from jukebox.sampling.request import Given, SongRequest
from jukebox.sampling.session import PREVIEWS, REQUEST, SESSION, STATUS, Session, is_session

NOTES, REMOVED, RECORDINGS = "studio.json", ".removed", ".recordings"

_NOT_IN_NAMES = re.compile(r"[^\w\- ]+")
_LONGEST_NAME = 60


@dataclass(frozen=True, kw_only=True)
class Take:
    """One version of a song.

    Args:
        name: as in `song_take_1`.
        song: which of the request's songs it is.
        take: its number.
        sounds: files to listen to by level, relative to the studio's folder, with their age; the finished sound is at
            the finest.
        files: everything of it that is finished: sound, codes, lyrics with times.
        finished: whether its sound and its codes are there.
        starred: whether a person likes it.
    """

    name: str
    song: int
    take: int
    sounds: dict[int, str]
    files: tuple[str, ...]
    finished: bool
    starred: bool


@dataclass(frozen=True, kw_only=True)
class ShelfSong:
    """A session as it is on the disk.

    Args:
        name: of its folder.
        title: that a person gave it; else the name.
        request: what was asked for; None where it cannot be read.
        problem: why it cannot be read.
        parent, parent_take: the song of the same shelf that it goes on from, and its take.
        joined: the songs of the same shelf that its joined parts are of; None for one that is not here.
        takes: what is written.
        status: how far it was when it was last saved.
        begun_s: when it was begun, in seconds since 1970.
    """

    name: str
    title: str
    request: SongRequest | None
    problem: str | None
    parent: str | None
    parent_take: str | None
    joined: tuple[str | None, ...]
    takes: tuple[Take, ...]
    status: dict[str, Any]
    begun_s: float

    @property
    def finished(self) -> bool:
        """Whether all takes are."""
        return bool(self.takes) and all(take.finished for take in self.takes)


class Shelf:
    """The songs in a folder.

    Args:
        folder: of the studio; it is created.

    Raises:
        DataError: it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._requests: dict[str, tuple[tuple[int, ...], SongRequest | None, str | None]] = {}
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
        found = [self._read(folder) for folder in self._folders(self.folder)]
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
        taken = [path.name for place in (self.folder, self.folder / REMOVED) for path in _entries(place)]
        return self.folder / _new_name(name or "song", "", taken)

    def new_recording(self, name: str) -> Path:
        """A file that is not there yet, for a recording of this name."""
        taken = [path.name for path in _entries(self.recordings)]
        return self.recordings / _new_name(Path(name).stem, Path(name).suffix.lower(), taken)

    def remove(self, name: str) -> None:
        """Take a song off the shelf; `restore` puts it back. Nothing is deleted."""
        source, place = self.path(name), self.folder / REMOVED
        place.mkdir(exist_ok=True)
        source.rename(place / name)

    def restore(self, name: str) -> None:
        """Put a removed song back; raises ConfigError where there is none."""
        if name not in self.removed():
            raise ConfigError(f"No song {name!r} was removed.")
        (self.folder / REMOVED / name).rename(self.folder / name)

    def note(self, name: str, *, title: str | None = None, starred: dict[str, bool] | None = None) -> None:
        """Keep what a person says of a song: its title, and which takes are liked; None leaves them as they are."""
        path = self.path(name) / NOTES
        notes = _notes(path)
        if title is not None:
            notes["title"] = " ".join(title.split())[:200]
        liked = set(notes["starred"])
        for take, likes in (starred or {}).items():
            (liked.add if likes else liked.discard)(take)
        notes["starred"] = sorted(liked)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(notes, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    def _folders(self, place: Path) -> list[Path]:
        """The sessions in a folder, whole or damaged."""
        entries = (path for path in _entries(place) if not path.name.startswith(".") and path.is_dir())
        return [path for path in entries if is_session(path) or (path / REQUEST).is_file()]

    def _read(self, folder: Path) -> ShelfSong:
        request, problem = self._request(folder)
        notes = _notes(folder / NOTES)
        parts = request.parts if request is not None else ()
        here = [self._name(part) for part in parts]
        return ShelfSong(
            name=folder.name,
            title=notes["title"] or folder.name,
            request=request,
            problem=problem,
            parent=here[0] if parts else None,
            parent_take=parts[0].item if parts and here[0] else None,
            joined=tuple(here[1:]),
            takes=tuple(self._takes(folder, request, set(notes["starred"]))) if request is not None else (),
            status=_status(folder / STATUS),
            begun_s=_age(folder / REQUEST) or _age(folder / SESSION) or 0.0,
        )

    def _request(self, folder: Path) -> tuple[SongRequest | None, str | None]:
        """What was asked for, read again only where the file is another."""
        ages = tuple(int(1e9 * (_age(folder / name) or 0)) for name in (SESSION, REQUEST))
        known = self._requests.get(folder.name)
        if known is None or known[0] != ages:
            try:
                known = (ages, Session(folder).request(), None)
            except JukeboxError as error:
                known = (ages, None, str(error))
            self._requests[folder.name] = known
        return known[1], known[2]

    def _name(self, part: Given) -> str | None:
        """The song of this shelf that a part is of."""
        source = Path(part.source)
        # The shelf may have been moved since: the name decides.
        here = source.suffix != CODES_SUFFIX and (self.folder / source.name).is_dir()
        return source.name if here else None

    def _takes(self, folder: Path, request: SongRequest, starred: set[str]) -> Iterator[Take]:
        names, previews = {path.name for path in _entries(folder)}, {path.name for path in _entries(folder / PREVIEWS)}
        for song, take, name in request.item_names():
            sounds, files = dict[int, str](), []
            for preview in sorted(previews):
                if found := re.fullmatch(rf"{re.escape(name)}\.level_(\d+)\.\w+", preview):
                    sounds[int(found[1])] = self._url(folder / PREVIEWS / preview)
            sound = next((f"{name}{suffix}" for suffix in WRITABLE_SUFFIXES if f"{name}{suffix}" in names), None)
            finished = sound is not None and f"{name}{CODES_SUFFIX}" in names
            if finished and sound is not None:
                sounds[request.lowest_level] = self._url(folder / sound)
                lyrics = f"lyrics{name.removeprefix('song')}"
                kept = (sound, f"{name}{CODES_SUFFIX}", f"{lyrics}.lrc", f"{lyrics}.json")
                files = [self._url(folder / each) for each in kept if each in names]
            yield Take(
                name=name,
                song=song,
                take=take,
                sounds=sounds,
                files=tuple(files),
                finished=finished,
                starred=name in starred,
            )

    def _url(self, path: Path) -> str:
        """Where a file is in the folder, and its age: a browser keeps what has not changed."""
        return f"{path.relative_to(self.folder).as_posix()}?{int(1e3 * (_age(path) or 0))}"


def _new_name(name: str, suffix: str, taken: Iterable[str]) -> str:
    plain = " ".join(_NOT_IN_NAMES.sub(" ", name).split())[:_LONGEST_NAME].strip() or "sound"
    names = itertools.chain([plain], (f"{plain}_{number}" for number in itertools.count(2)))
    known = {each.casefold() for each in taken}
    return next(f"{each}{suffix}" for each in names if f"{each}{suffix}".casefold() not in known)


def plain(song: ShelfSong) -> dict[str, Any]:
    """A song as JSON values."""
    return dataclasses.asdict(song) | {"finished": song.finished}


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _age(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _notes(path: Path) -> dict[str, Any]:
    """What a person has said; nothing where the file is missing or damaged."""
    found = _json(path)
    title, starred = found.get("title"), found.get("starred")
    return {
        "title": title if isinstance(title, str) else "",
        "starred": [name for name in starred if isinstance(name, str)] if isinstance(starred, list) else [],
    }


def _status(path: Path) -> dict[str, Any]:
    return _json(path).get("values") or {}


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
