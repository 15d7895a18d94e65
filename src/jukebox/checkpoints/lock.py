"""A folder that one process at a time writes."""

from pathlib import Path

from jukebox.errors import DataError


class FolderLock:
    """The lock of a folder: a file in it, held from `acquire` to `release` or the end of the process."""

    def __init__(self, folder: Path, name: str) -> None:
        from filelock import FileLock

        self._folder, self._lock = folder, FileLock(folder / name, timeout=0, thread_local=False)

    def acquire(self) -> None:
        """Make the folder where there is none, and lock it.

        Raises:
            DataError: another process has it, or it cannot be written.
        """
        from filelock import Timeout

        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout as error:
            raise DataError(
                f"{self._folder} is in use by another process; wait for its end, or choose another folder."
            ) from error
        except OSError as error:
            raise DataError(
                f"{self._folder} cannot be written ({error.strerror or error}); choose another place."
            ) from error

    def release(self) -> None:
        """Let others have it."""
        self._lock.release()
