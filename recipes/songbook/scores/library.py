"""Finds score files, reads each in its format, and adds what a metadata file beside them says."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from jukebox.errors import DataError
from recipes.songbook.scores.abc import read_abc
from recipes.songbook.scores.assemble import assemble
from recipes.songbook.scores.midi import read_midi
from recipes.songbook.scores.model import Score, ScoreError
from recipes.songbook.scores.musicxml import read_musicxml
from recipes.songbook.scores.raw import RawScore

SUFFIXES = (".abc", ".mxl", ".musicxml", ".xml", ".mid", ".midi", ".kar")


@dataclass(frozen=True)
class Reading:
    """One tune of one file: the score, or the sentence that says why it cannot be sung."""

    path: Path
    score: Score | None
    reason: str | None


def find(paths: list[Path]) -> list[Path]:
    """The score files among `paths` and below them, sorted.

    Raises:
        DataError: a path is missing, or there is no score.
    """
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise DataError(f"{path} does not exist: give score files or folders of them.")
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        files += inside
    if not files:
        raise DataError(f"There is no score in {', '.join(map(str, paths))}: expected {', '.join(SUFFIXES)}.")
    return files


def read(path: Path) -> list[Reading]:
    """Read every tune of a file."""
    try:
        tunes = _tunes(path)
    except ScoreError as error:
        return [Reading(path, None, str(error))]
    except OSError as error:
        return [Reading(path, None, f"It cannot be read: {error.strerror}.")]
    readings = []
    stem = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-") or "score"
    for number, tune in enumerate(tunes, 1):
        try:
            if isinstance(tune, ScoreError):
                raise tune
            score = assemble(tune, stem if len(tunes) == 1 else f"{stem}-{number}")
            readings.append(Reading(path, _with_metadata(score, path), None))
        except ScoreError as error:
            readings.append(Reading(path, None, str(error)))
    return readings


def read_all(paths: list[Path]) -> Iterator[Reading]:
    """Read every score among `paths`; two that would have one key get different ones."""
    taken: set[str] = set()
    for path in find(paths):
        for reading in read(path):
            score = reading.score
            if score is not None:
                key, count = score.key, 1
                while key in taken:
                    count += 1
                    key = f"{score.key}-{count}"
                taken.add(key)
                reading = replace(reading, score=replace(score, key=key))
            yield reading


def _tunes(path: Path) -> list[RawScore | ScoreError]:
    suffix = path.suffix.lower()
    if suffix == ".abc":
        data = path.read_bytes()
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:  # older collections are Latin-1
            text = data.decode("latin-1")
        tunes = read_abc(text)
        if not tunes:
            raise ScoreError("It has no tune: an ABC tune begins with X: and K: fields.")
        return tunes
    if suffix in (".mid", ".midi", ".kar"):
        return [read_midi(path)]
    if suffix in (".mxl", ".musicxml", ".xml"):
        return [read_musicxml(path)]
    raise ScoreError(f"{suffix or 'No ending'} is not a score's: expected {', '.join(SUFFIXES)}.")


def _with_metadata(score: Score, path: Path) -> Score:
    """Title, licence and credits of `metadata.jsonl` in the file's folder or the one above, where it names the file."""
    for folder in (path.parent, path.parent.parent):
        listing = folder / "metadata.jsonl"
        if listing.exists():
            entry = _entries(listing).get(path.name)
            if entry is not None:
                credits = tuple(c for c in entry.get("credits") or () if isinstance(c, str))
                return replace(
                    score,
                    title=entry.get("title") or score.title,
                    licence=entry.get("licence") or score.licence,
                    credits=credits or score.credits,
                )
    return score


_LISTINGS: dict[tuple[Path, int], dict[str, dict]] = {}


def _entries(listing: Path) -> dict[str, dict]:
    mark = (listing, listing.stat().st_mtime_ns)
    if mark not in _LISTINGS:
        entries = {}
        for number, line in enumerate(listing.read_text(encoding="utf-8").splitlines(), 1):
            try:
                entry = json.loads(line)
                entries[Path(entry["path"]).name] = entry
            except (json.JSONDecodeError, KeyError, TypeError):
                raise DataError(f"Line {number} of {listing} is not a JSON object with a 'path': correct it.") from None
        _LISTINGS[mark] = entries
    return _LISTINGS[mark]
