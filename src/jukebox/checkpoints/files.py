"""Files that appear complete or not at all: written under a temporary name, flushed to disk, renamed."""

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from jukebox.errors import CheckpointError

_GLANCES, _GLANCE_BYTES = 64, 1 << 14

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all)."""


def silent(done_bytes: int, total_bytes: int) -> None:
    """A progress callback that tells nobody."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` to write; it takes the name `path` only when the block ends without an error."""
    with _temporary_beside(path) as temporary:
        yield temporary
        flush(temporary)
        temporary.replace(path)
        flush(path.parent)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` to fill; it takes the place of `path` when the block ends without an error.

    A folder that was there is moved aside first and removed afterwards, so after a crash in between it is still
    beside `path` under a name ending in `.old`.
    """
    with _temporary_beside(path) as temporary:
        temporary.mkdir()
        yield temporary
        for file in temporary.iterdir():
            flush(file)
        flush(temporary)
        aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.old")
        if path.exists():
            path.rename(aside)
        try:
            temporary.rename(path)
        except OSError:
            if aside.exists():
                aside.rename(path)
            raise
        flush(path.parent)
        shutil.rmtree(aside, ignore_errors=True)


@contextlib.contextmanager
def _temporary_beside(path: Path) -> Iterator[Path]:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be written ({error.strerror or error}); choose another place or make room."
        ) from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        elif temporary.exists():
            temporary.unlink()


def remove_unfinished(folder: Path) -> None:
    """Remove the temporary files and folders that a killed process left in a folder, which nobody may be writing."""
    for path in folder.glob(".*.part"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    if os.name == "nt" and path.is_dir():  # Windows cannot open a folder
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path, progress: Progress = silent) -> str:
    """The sha256 of a file, in hexadecimal."""
    total_bytes, done_bytes = path.stat().st_size, 0
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            done_bytes += len(block)
            progress(done_bytes, total_bytes)
    return digest.hexdigest()


def glimpse(path: Path) -> str:
    """A digest of a file's size and of what is here and there in it: at once, also for many gigabytes."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for part in range(_GLANCES):
            file.seek(part * max(0, size - _GLANCE_BYTES) // (_GLANCES - 1))
            digest.update(file.read(_GLANCE_BYTES))
    return digest.hexdigest()
