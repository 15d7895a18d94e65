"""What a long evaluation has found so far, kept in files, so that the same one goes on after a kill."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from jukebox.checkpoints.files import replacing
from jukebox.data.collection import SONGS


class Parts:
    """Arrays by name: computed the first time, read ever after.

    Args:
        folder: where they are kept; None keeps nothing.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder

    @classmethod
    def of(cls, output: Path | None, facts: Mapping[str, Any], model: nn.Module, data: Path) -> "Parts":
        """Those of one evaluation: any other settings, weights or songs have another folder.

        Args:
            output: where the results will be written; None keeps nothing.
            facts: the settings.
            model: what is evaluated.
            data: the dataset of sound or codes.
        """
        if output is None:
            return cls()
        weights = [(name, float(t.double().sum()), float(t.double().norm())) for name, t in model.state_dict().items()]
        songs = hashlib.sha256((data / SONGS).read_bytes()).hexdigest()
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
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, found)
        return found

    def remove(self) -> None:
        """Forget them: the results have been written."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
