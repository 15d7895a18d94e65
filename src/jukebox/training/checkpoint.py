"""Saved states of a run: each is a folder that appears complete or not at all, and the last whole one is never lost.

Tensors are in PyTorch's distributed format, which any number of workers writes and reads; everything else is in
`state.json`. A saved state is the run's own: its index is read by PyTorch with pickle, so go on only from states that
you trust. What is handed to others is the exported model (`checkpoints.store`).
"""

import contextlib
import json
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

from jukebox.checkpoints.files import flush, remove_unfinished
from jukebox.errors import CheckpointError
from jukebox.training.workers import Workers

STATE, PREFIX, PART = "state.json", "step-", ".part"


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A whole saved state: where it is, after how many steps, and its facts as JSON values."""

    path: Path
    step: int
    facts: Mapping[str, Any]


def save(
    folder: Path, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], *, keep: int, workers: Workers
) -> None:
    """Write the state after `step` steps; older ones beyond `keep` are removed when it is complete.

    Every worker calls with its own part of the tensors.

    Raises:
        CheckpointError: it cannot be written; what was saved before is untouched.
    """
    path = folder / f"{PREFIX}{step:08d}"
    part = folder / f".{path.name}{PART}"
    # The same step of the same run is the same state: what is whole is never touched.
    if workers.told(_read(path) is not None):
        return
    failure = None
    try:
        if workers.first:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
        workers.wait()
        with workers.listening(), _alone_is_fine():
            dcp.save(dict(tensors), checkpoint_id=part, no_dist=workers.count == 1)
        if workers.first:
            _complete(part, path, step, facts)
    except (OSError, dcp.CheckpointException) as error:
        failure = _reason(error)
    # All workers learn whether it went well, or those that did not fail would go on alone.
    failed = next((found for found in workers.every(failure) if found is not None), None)
    if failed is not None:
        if workers.first:
            shutil.rmtree(part, ignore_errors=True)
        raise CheckpointError(
            f"The state after step {step} cannot be written to {folder} ({failed}); the states before are whole: make "
            "room and start the run again."
        )
    if workers.first:
        for old in states(folder)[:-keep]:
            shutil.rmtree(old, ignore_errors=True)


def _complete(part: Path, path: Path, step: int, facts: Mapping[str, Any]) -> None:
    """Give a written folder its name: from now on it counts."""
    sizes = {file.name: file.stat().st_size for file in part.iterdir()}
    text = json.dumps({"step": step, "files": sizes, **facts}, indent=1)
    (part / STATE).write_text(text + "\n", encoding="utf-8")
    for file in part.iterdir():
        flush(file)
    flush(part)
    if path.exists():  # not whole, or it would have been kept
        shutil.rmtree(path)
    part.rename(path)
    flush(path.parent)


@contextlib.contextmanager
def _alone_is_fine() -> Iterator[None]:
    """PyTorch warns whoever saves without a process group, although that is what `no_dist` says."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield


def _reason(error: BaseException) -> str:
    """The first cause that says anything, in a few words."""
    if isinstance(error, dcp.CheckpointException):
        error = next(iter(error.failures.values()))[0]
    return str(getattr(error, "strerror", None) or error).splitlines()[0][:200]


def states(folder: Path) -> list[Path]:
    """The saved states of a run, oldest first.

    Raises:
        CheckpointError: nobody may look, or a later state could not be written: a run would notice when it saves.
    """
    if not folder.is_dir():
        return []
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise CheckpointError(f"{folder} cannot be read and written (Permission denied); allow it to this user.")
    return sorted(folder.glob(f"{PREFIX}*"))


def latest(folder: Path) -> Saved | None:
    """The newest state that is whole, or None; unfinished ones are removed.

    Raises:
        CheckpointError: there are states, but none of them is whole; or they cannot be read and written.
    """
    remove_unfinished(folder)
    found = states(folder)
    for path in reversed(found):
        saved = _read(path)
        if saved is not None:
            return saved
    if found:
        raise CheckpointError(f"No state in {folder} is whole, not even {found[-1].name}; restore it, or begin anew.")
    return None


def _read(path: Path) -> Saved | None:
    try:
        facts = json.loads((path / STATE).read_text(encoding="utf-8"))
        whole = all((path / name).stat().st_size == size for name, size in facts["files"].items())
        return Saved(path=path, step=facts["step"], facts=facts) if whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def load(saved: Saved, tensors: dict[str, Tensor], workers: Workers) -> None:
    """Read into `tensors`, in place, whatever number of workers wrote them.

    Raises:
        CheckpointError: something is missing, damaged or of another shape.
    """
    try:
        with workers.listening(), _alone_is_fine():
            dcp.load(tensors, checkpoint_id=saved.path, no_dist=workers.count == 1)
    except (OSError, dcp.CheckpointException, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{saved.path} cannot be read ({_reason(error)}); it is of another model.") from error


def shapes(saved: Saved) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a state."""
    metadata = dcp.FileSystemReader(saved.path).read_metadata().state_dict_metadata
    return {name: tuple(found.size) for name, found in metadata.items() if isinstance(found, TensorStorageMetadata)}
