"""What is known about the files of a folder: from JSON lines, CSV, LRC files beside them, and their own tags.

A file of metadata has one entry per song. Only `path` is needed, relative to the folder; what an entry lacks, the LRC
file and the tags may have. Whatever cannot be used is listed with its place and left out; the rest is used.

    path           the sound file
    title, artist  text
    genre          text, or a list of text, which is joined: "pop, rock"
    lyrics         text, lines separated by new lines
    lyrics_lines   list of [start in seconds, end in seconds, line]; in CSV as JSON
    lyrics_words   the same for words
    split          "train" or "validation", in place of the choice by chance
    group          text: songs of one group stay on one side of the split

Other fields are kept as they are.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from jukebox.audio.source import AUDIO_SUFFIXES
from jukebox.data.collection import Split, timed_texts
from jukebox.errors import DataError, LabelError
from jukebox.labels.lrc import parse_lrc
from jukebox.labels.lyric_times import TimedText, places

NAMES = ("metadata.jsonl", "metadata.csv")
_TEXTS = ("title", "artist", "lyrics", "group")
_TIMES = ("lyrics_lines", "lyrics_words")


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """What is left out: the place of its entry or its path, and why."""

    where: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A sound file and what is said about it.

    Args:
        key: its path relative to the folder, with "/" between names; absolute for a file elsewhere.
        path: the file.
        where: the place of its entry, for messages: "metadata.jsonl line 3", or the key.
        fields: title, artist, genre, lyrics, split, group as text and `lyric_times`, as far as they are there.
        more: all other fields.
    """

    key: str
    path: Path
    where: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)


def read_entries(folder: Path, metadata: Path | None, leave_out: Path) -> tuple[list[Entry], list[Skipped]]:
    """Every sound file of a folder with what is said about it, ordered by key, and what is left out.

    Args:
        folder: searched with all folders in it, but not hidden ones.
        metadata: a .jsonl or .csv file; None takes metadata.jsonl or metadata.csv of the folder if there is one, and
            else every sound file by itself.
        leave_out: a folder that is not searched: the dataset itself.

    Raises:
        DataError: the folder or the metadata cannot be read, or there is no sound file at all.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; name the folder that holds the music.")
    found = sorted(_key(folder, path) for path in sound_files(folder, leave_out))
    if metadata is None:
        metadata = next((folder / name for name in NAMES if (folder / name).is_file()), None)
    if metadata is None and not found:
        raise DataError(f"{folder} holds no sound files, such as .wav, .flac, .ogg, .mp3 or .m4a; name another.")
    rows = [(_readable(key), {"path": key}) for key in found] if metadata is None else list(_rows(metadata))
    entries, skipped = {}, []
    for where, values in rows:
        try:
            entry = _with_lrc(_entry(folder, where, values))
            if entry.key in entries:
                raise DataError(f"names {entry.key} again, after {entries[entry.key].where}: remove one of them")
            entries[entry.key] = entry
        except DataError as error:
            skipped.append(Skipped(where=where, reason=str(error)))
    named = {_key(folder, folder / str(values.get("path"))) for _, values in rows if isinstance(values, dict)}
    for key in found:
        if metadata is not None and key not in named:
            skipped.append(Skipped(where=_readable(key), reason=f"has no entry in {metadata.name}: add one"))
    return [entries[key] for key in sorted(entries)], skipped


def sound_files(
    folder: Path,
    leave_out: Path | None = None,
    inside: frozenset[Path] = frozenset(),
    suffixes: tuple[str, ...] = AUDIO_SUFFIXES,
) -> Iterator[Path]:
    """The sound files of a folder and of all folders in it, hidden ones and `leave_out` excepted, in their order.

    `inside` are the folders around this one, which a link in it may lead back to; `suffixes` are those of its files.
    Raises DataError where a folder cannot be read: what is in it would be missing without a word.
    """
    inside |= {folder.resolve()}
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder} cannot be read ({error.strerror}); allow it, or move it elsewhere.") from error
    for path in paths:
        if path.name.startswith(".") or (leave_out and path.resolve() == leave_out.resolve()):
            continue
        if path.is_dir():
            if path.resolve() not in inside:
                yield from sound_files(path, leave_out, inside, suffixes)
        elif path.suffix.lower() in suffixes:
            yield path


def _key(folder: Path, path: Path) -> str:
    path = path.absolute()
    inside = path.is_relative_to(folder.absolute())
    return (path.relative_to(folder.absolute()) if inside else path).as_posix()


def _readable(key: str) -> str:
    """A key as it can be printed: bytes of a file's name that are not UTF-8 are written as numbers."""
    return key.encode(errors="backslashreplace").decode()


def _rows(metadata: Path) -> Iterator[tuple[str, Any]]:
    """(place, values) of every entry; what is not an entry comes as the error that says so."""
    try:
        text = metadata.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{metadata} cannot be read ({error}); give a UTF-8 text file.") from error
    if metadata.suffix.lower() == ".csv":
        yield from _csv_rows(metadata, text)
        return
    for place, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                values = _parsed(line)
            except ValueError as error:
                values = DataError(f"is not JSON ({error})")
            yield f"{metadata.name} line {place}", values


def _csv_rows(metadata: Path, text: str) -> Iterator[tuple[str, Any]]:
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.DictReader(text.splitlines(keepends=True), delimiter=delimiter)
    if "path" not in (reader.fieldnames or ()):
        raise DataError(
            f"{metadata} has no column 'path'; its first line is {header.strip()!r}: name the columns there."
        )
    for row in reader:
        where = f"{metadata.name} line {reader.line_num}"
        if None in row or None in row.values():
            yield where, DataError(f"has not the {len(reader.fieldnames or ())} cells of the first line")
            continue
        values: dict[str, Any] = {name: cell for name, cell in row.items() if cell != ""}
        try:
            yield where, values | {name: _parsed(values[name]) for name in _TIMES if name in values}
        except ValueError as error:
            yield where, DataError(f"has times that are not JSON ({error})")


def _parsed(text: str) -> Any:
    """JSON values that can be written again; ValueError for anything else, as for half a character."""
    values = json.loads(text)
    json.dumps(values, ensure_ascii=False).encode()
    return values


def _entry(folder: Path, where: str, values: Any) -> Entry:
    """An entry from its values; raises DataError, without the place, for what cannot be used."""
    if isinstance(values, DataError):
        raise values
    if not isinstance(values, dict):
        raise DataError(f"is {_short(values)}; expected an object with named fields")
    path = values.get("path")
    if path is None:
        raise DataError("has no path; expected the name of a sound file in a field of that name")
    if not (isinstance(path, str) and path):
        raise DataError(f"has the path {_short(path)}; expected the name of a sound file")
    if _readable(path) != path:
        raise DataError("has a name that is not UTF-8: rename the file")
    if not _is_file(folder / path):
        raise DataError(f"names {path}, which does not exist")
    fields: dict[str, Any] = {name: _text(values, name) for name in _TEXTS if values.get(name) is not None}
    genre = values.get("genre", values.get("genres"))
    if isinstance(genre, list) and all(isinstance(part, str) for part in genre):
        fields["genre"] = ", ".join(genre)
    elif genre is not None:
        fields["genre"] = _text({"genre": genre}, "genre")
    if (split := values.get("split")) is not None:
        if split not in get_args(Split):
            raise DataError(f"has the split {_short(split)}; expected train or validation")
        fields["split"] = split
    times = {name: _times(values, name) for name in _TIMES if values.get(name)}
    if times:
        fields["lyrics"], fields["lyric_times"] = _timed_lyrics(fields.get("lyrics"), **times)
    known = {"path", "genre", "genres", "split", *_TEXTS, *_TIMES}
    more = {name: value for name, value in values.items() if name not in known and value is not None}
    return Entry(key=_key(folder, folder / path), path=folder / path, where=where, fields=fields, more=more)


def _is_file(path: Path) -> bool:
    """Whether a path that somebody wrote is that of a file; one that cannot be a path is not."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _text(values: Mapping[str, Any], name: str) -> str:
    if not isinstance(values[name], str):
        raise DataError(f"has the {name} {_short(values[name])}; expected text")
    return values[name]


def _times(values: Mapping[str, Any], name: str) -> tuple[TimedText, ...]:
    rows = values[name]
    numbers = (int, float)
    good = isinstance(rows, list) and all(
        isinstance(row, list)
        and len(row) == 3
        and all(isinstance(time, numbers) and not isinstance(time, bool) for time in row[:2])
        and isinstance(row[2], str)
        for row in rows
    )
    if not good:
        raise DataError(f"has the {name} {_short(rows)}; expected a list of [start in s, end in s, text]")
    try:
        times = timed_texts(rows)
    except LabelError as error:
        raise DataError(f"has {name} that cannot be used: {error}") from error
    return tuple(sorted((item for item in times if item.text.strip()), key=lambda item: item.start_s))


def _timed_lyrics(
    lyrics: str | None, lyrics_lines: tuple[TimedText, ...] = (), lyrics_words: tuple[TimedText, ...] = ()
) -> tuple[str, tuple[TimedText, ...]]:
    """The lyrics and the finest times that belong to them; where none do, the timed texts are the lyrics."""
    joined = "\n".join(line.text.strip() for line in lyrics_lines)
    for text in (lyrics, joined):
        for times in (lyrics_words, lyrics_lines):
            if text and times and places(text, times) is not None:
                return text, times
    return " ".join(word.text.strip() for word in lyrics_words), lyrics_words


def _with_lrc(entry: Entry) -> Entry:
    """The entry with the lyrics of the LRC file beside its sound, where it says nothing better itself."""
    path = next((p for suffix in (".lrc", ".LRC") if (p := entry.path.with_suffix(suffix)).is_file()), None)
    if path is None or "lyric_times" in entry.fields:
        return entry
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")  # old programs; every byte is some character
    try:
        sung, times = parse_lrc(text)
    except (DataError, LabelError) as error:
        raise DataError(f"has beside it {path.name}, which cannot be used: {error}") from error
    lyrics = entry.fields.get("lyrics")
    matches = lyrics is not None and places(lyrics, times) is not None
    fields = dict(entry.fields) | {"lyrics": lyrics if matches else sung, "lyric_times": times}
    return Entry(key=entry.key, path=entry.path, where=entry.where, fields=fields, more=entry.more)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
