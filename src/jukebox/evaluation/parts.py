"""What a long evaluation has found so far, kept in files, so that the same one goes on after a kill."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from jukebox.checkpoints.files import replacing
from jukebox.data.collection import SONGS
from jukebox.data.metadata import sound_files


class Parts:
    """Arrays by name: computed the first time, read ever after.

    Args:
        folder: where they are kept; None keeps nothing.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder

    @classmethod
    def of(
        cls, output: Path | None, facts: Mapping[str, Any], model: nn.Module | None, data: Sequence[Path]
    ) -> "Parts":
        """Those of one evaluation: any other settings, weights or songs have another folder.

        Args:
            output: where the results will be written; None keeps nothing.
            facts: the settings.
            model: what is evaluated, if it is one.
            data: datasets of sound or codes, and folders of sound files.
        """
        if output is None:
            return cls()
        tensors = {} if model is None else model.state_dict()
        weights = [(name, float(t.double().sum()), float(t.double().norm())) for name, t in tensors.items()]
        songs = [_songs(folder) for folder in data]
        text = json.dumps([sorted(facts.items()), weights, songs], default=str)
        return cls(output / f".parts-{hashlib.sha256(text.encode()).hexdigest()[:16]}")

    def get(self, name: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """The array of a name; it is computed if it has never been."""
        if self.folder is None:
            return compute()
        path = self.folder / f"{name.replace(' ', '_')}.npy"
        if path.is_file():
            return np.load(path, allow_pickle=False)
        found = compute()
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, found)
        return found

    def within(self, name: str) -> "Parts":
        """Those of a part of the evaluation, under names of its own; removed with the others."""
        return Parts(None if self.folder is None else self.folder / name)

    def remove(self) -> None:
        """Forget them: the results have been written."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


NOTHING_KEPT = Parts()


def _songs(folder: Path) -> str | list[tuple[str, int, int]]:
    """What changes when the songs of a dataset change, or the files of a folder."""
    if (folder / SONGS).is_file():
        return hashlib.sha256((folder / SONGS).read_bytes()).hexdigest()
    files = sorted(sound_files(folder)) if folder.is_dir() else []
    return [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
