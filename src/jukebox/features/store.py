"""A folder of features: `features.json`, `recordings.jsonl`, and an array for each layer and recording.

What is not finished is hidden in `.parts` and goes on where it ended; a finished array appears at once. One process at
a time writes a folder, which a lock says.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from jukebox.checkpoints.files import replacing
from jukebox.checkpoints.lock import FolderLock
from jukebox.data.journal import Journal
from jukebox.errors import DataError
from jukebox.features.recordings import Recording
from jukebox.version import __version__

FORMAT = "jukebox-features-1"
# How the model was named, and by which version of the program: weights are known by what is in them.
_FOR_PEOPLE = ("model", "version")
DESCRIPTION, RECORDINGS, LOCK, PARTS = "features.json", "recordings.jsonl", ".lock", ".parts"


class FeatureFolder:
    """Features of many recordings with the same settings; used as a context manager, which locks it.

    Args:
        folder: is made where there is none.
        description: of the settings and the model (`FeatureExtractor.description`), as JSON values.
    """

    def __init__(self, folder: Path, description: Mapping[str, Any]) -> None:
        self.folder = folder
        self._description = {"format": FORMAT, "version": __version__, **json.loads(json.dumps(description))}
        self._lock = FolderLock(folder, LOCK)
        self._journal = Journal(folder / RECORDINGS)
        self._done: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> "FeatureFolder":
        self._lock.acquire()
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._journal.__exit__(kind, error, trace)
            if kind is None:
                # The same bytes whatever was in between.
                self._journal.replace(self._done[name] for name in sorted(self._done))
                shutil.rmtree(self.parts, ignore_errors=True)
        finally:
            self._lock.release()

    @property
    def parts(self) -> Path:
        """Where unfinished arrays are."""
        return self.folder / PARTS

    def array(self, layer: int, recording: Recording) -> Path:
        """Where the features of a recording are."""
        return self.folder / f"layer_{layer}" / f"{recording.name}.npy"

    def has(self, recording: Recording) -> bool:
        """Whether a recording is finished, as it is now."""
        entry = self._done.get(recording.readable)
        if entry is None or {key: entry[key] for key in ("bytes", "modified_ns")} != recording.state():
            return False
        return all(self.array(layer, recording).is_file() for layer in self._description["settings"]["layers"])

    def add(self, recording: Recording, frames: int, float32_layers: tuple[int, ...] = ()) -> None:
        """Say that a recording is finished, and in which layers half precision could not hold it."""
        entry = {"name": recording.readable, "frames": frames, **recording.state()}
        if float32_layers:
            entry["float32_layers"] = list(float32_layers)
        self._done[recording.readable] = entry
        self._journal.add(entry)

    def frames(self, recording: Recording) -> int:
        """How many frames a finished recording has."""
        return self._done[recording.readable]["frames"]

    def _open(self) -> None:
        """Begin a folder, or go on with one of the same settings."""
        path = self.folder / DESCRIPTION
        there = self._read(path)
        self._done = {entry["name"]: entry for entry in self._journal.entries()}
        if there is None and any(not each.name.startswith(".") for each in self.folder.iterdir()):
            raise DataError(f"{self.folder} is not empty and holds no features; choose a new folder.")
        same = there is not None and _flat(there) == _flat(self._description)
        if there is not None and not same and (self._done or self.parts.exists()):
            raise DataError(
                f"{self.folder} holds other features ({_difference(there, self._description)}); choose another folder, "
                "or remove this one."
            )
        if not same:
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(self._description, indent=2) + "\n", encoding="utf-8")
        self._journal.__enter__()

    def _read(self, path: Path) -> dict[str, Any] | None:
        """What the folder holds; None where it holds no features."""
        if not path.is_file():
            return None
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{path} cannot be read ({error}); choose another folder.") from error


def _difference(there: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """Which values differ, with both of them."""
    before, now = _flat(there), _flat(asked)
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return "; ".join(f"{name} {before.get(name)!r}, not {now.get(name)!r}" for name in names[:3])


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the numbers, all in one mapping."""
    apart = ("settings", *_FOR_PEOPLE)
    return {**{name: value for name, value in values.items() if name not in apart}, **values.get("settings", {})}
