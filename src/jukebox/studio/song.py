"""A session's folder as a song of a studio: what was asked for, what there is to hear of each take."""

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jukebox.audio.write import WRITABLE_SUFFIXES
from jukebox.checkpoints.codes import CODES_SUFFIX
from jukebox.errors import JukeboxError
from jukebox.sampling.request import Given, SongRequest
from jukebox.sampling.session import PREVIEWS, REQUEST, SESSION, STATUS, Session
from jukebox.stereo import STEREO
from jukebox.studio.disk import age, entries, read_json
from jukebox.studio.notes import read_notes

Asked = tuple[SongRequest | None, str | None]
"""What was asked for, or why that cannot be read."""


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
        stereo: the file of two or three takes side by side, where it was made.
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
    stereo: str | None
    status: dict[str, Any]
    begun_s: float

    @property
    def finished(self) -> bool:
        """Whether all takes are."""
        return bool(self.takes) and all(take.finished for take in self.takes)


def plain(song: ShelfSong) -> dict[str, Any]:
    """A song as JSON values."""
    return dataclasses.asdict(song) | {"finished": song.finished}


def read_request(folder: Path) -> Asked:
    """What was asked for in a session."""
    try:
        return Session(folder).request(), None
    except JukeboxError as error:
        return None, str(error)


def read_song(folder: Path, asked: Asked) -> ShelfSong:
    """The song in a session's folder, as it is now."""
    (request, problem), notes = asked, read_notes(folder)
    parts = request.parts if request is not None else ()
    here = [_source(part, folder.parent) for part in parts]
    takes = _takes(folder, request, notes.starred) if request is not None else ()
    return ShelfSong(
        name=folder.name,
        title=notes.title or folder.name,
        request=request,
        problem=problem,
        parent=here[0] if parts else None,
        parent_take=parts[0].item if parts and here[0] else None,
        joined=tuple(here[1:]),
        takes=tuple(takes),
        stereo=_url(folder / STEREO, folder.parent) if (folder / STEREO).is_file() else None,
        status=read_json(folder / STATUS).get("values") or {},
        begun_s=age(folder / REQUEST) or age(folder / SESSION),
    )


def _source(part: Given, shelf: Path) -> str | None:
    """The song of a shelf that a part is of; the shelf may have been moved since: the name decides."""
    source = Path(part.source)
    return source.name if source.suffix != CODES_SUFFIX and (shelf / source.name).is_dir() else None


def _takes(folder: Path, request: SongRequest, starred: tuple[str, ...]) -> Iterator[Take]:
    names, previews = {path.name for path in entries(folder)}, entries(folder / PREVIEWS)
    for song, take, name in request.item_names():
        matches = ((re.fullmatch(rf"{re.escape(name)}\.level_(\d+)\.\w+", path.name), path) for path in previews)
        sounds = {int(match[1]): _url(path, folder.parent) for match, path in matches if match}
        sound = next((f"{name}{suffix}" for suffix in WRITABLE_SUFFIXES if f"{name}{suffix}" in names), None)
        files = ()
        if sound is not None and f"{name}{CODES_SUFFIX}" in names:
            lyrics = f"lyrics{name.removeprefix('song')}"
            kept = (sound, f"{name}{CODES_SUFFIX}", f"{lyrics}.lrc", f"{lyrics}.json")
            files = tuple(_url(folder / each, folder.parent) for each in kept if each in names)
            sounds[request.lowest_level] = files[0]
        yield Take(
            name=name, song=song, take=take, sounds=sounds, files=files, finished=bool(files), starred=name in starred
        )


def _url(path: Path, shelf: Path) -> str:
    """Where a file is on the shelf, and its age: a browser keeps what has not changed."""
    return f"{path.relative_to(shelf).as_posix()}?{int(1e3 * age(path))}"
