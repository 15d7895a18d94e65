"""A file of JSON lines that is only ever appended to: what has been done, whenever the process is killed."""

import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from jukebox.data.collection import write_text
from jukebox.errors import DataError


class Journal:
    """Appends entries; used as a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> list[dict[str, Any]]:
        """All entries so far; a last line that was cut off by a kill is not one of them."""
        if not self.path.is_file():
            return []
        found = []
        for line in self.path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]:
            try:
                found.append(json.loads(line))
            except ValueError:  # what a kill cut off, before the line that the next run began
                continue
        return found

    def replace(self, entries: Iterable[dict[str, Any]]) -> None:
        """Leave only these entries."""
        write_text(self.path, "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries))

    def __enter__(self) -> "Journal":
        try:
            self._file = self.path.open("a", encoding="utf-8")
            self._file.write("\n" if self.path.stat().st_size else "")  # ends what a kill may have cut off
        except OSError as error:
            raise _unwritable(self.path, error) from error
        return self

    def add(self, entry: dict[str, Any]) -> None:
        """Append an entry, which stays whatever happens to this process."""
        try:
            self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            self._file.flush()
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except OSError as failure:
            if kind is None:
                raise _unwritable(self.path, failure) from failure


def _unwritable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path} cannot be written ({error.strerror}): make room or name another folder.")
