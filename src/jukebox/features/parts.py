"""The features of one recording on their way: rows that are appended window by window, and finished at the end.

How long a file is says how many windows are whole, so that a process may end at any moment.
"""

import hashlib
import io
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from jukebox.checkpoints.files import flush, replacing
from jukebox.errors import DataError
from jukebox.features.extractor import FeatureExtractor, Reading, mean_of
from jukebox.features.recordings import Recording
from jukebox.features.resample import resampled
from jukebox.features.store import FeatureFolder

_ROWS_AT_ONCE = 1024


class Rows:
    """A file of rows after a header, written window by window.

    Args:
        path: the file.
        header: its first bytes.
        row_bytes: of one row.
        ends: how many rows there are after each window.
    """

    def __init__(self, path: Path, header: bytes, row_bytes: int, ends: Sequence[int]) -> None:
        self.path, self._header = path, header
        self._sizes = [len(header) + row_bytes * end for end in ends]

    def windows(self) -> int:
        """How many are whole."""
        size = self.path.stat().st_size if self.path.is_file() else 0
        return sum(each <= size for each in self._sizes)

    def keep(self, windows: int) -> None:
        """Leave the rows of so many windows."""
        with self.path.open("r+b" if self.path.is_file() else "w+b") as file:
            file.truncate(self._sizes[windows - 1] if windows else 0)
            if not windows:
                file.write(self._header)

    def add(self, rows: np.ndarray) -> None:
        """Append those of the next window."""
        with self.path.open("ab") as file:
            file.write(np.ascontiguousarray(rows).data)


class Extraction:
    """The work on one recording in a folder; it goes on where an earlier process ended.

    Args:
        extractor: computes.
        folder: keeps.
        recording: whose features.
        reading: its codes and windows.
    """

    def __init__(
        self, extractor: FeatureExtractor, folder: FeatureFolder, recording: Recording, reading: Reading
    ) -> None:
        self._extractor, self._folder, self._recording, self._reading = extractor, folder, recording, reading
        config, width = extractor.config, extractor.width
        ends = [window.end for window in reading.windows]
        header, dtype = b"", np.dtype(np.float32)
        # Rows that need nothing done to them are the array; whether half precision holds them is known at the end.
        self._as_they_are = not config.mean and config.rate_hz is None and config.store == "float32"
        if config.mean:
            ends, dtype = list(range(1, len(ends) + 1)), np.dtype(np.float64)  # one row of sums
        elif self._as_they_are:
            header = npy_header((reading.frames, width), dtype)
        self._dtype = dtype
        place = folder.parts / _digest(recording, reading)
        self._rows = {
            layer: Rows(place / f"layer_{layer}", header, width * dtype.itemsize, ends) for layer in config.layers
        }
        try:
            place.mkdir(parents=True, exist_ok=True)
            self.windows_done = min(rows.windows() for rows in self._rows.values())
            for rows in self._rows.values():
                rows.keep(self.windows_done)
        except OSError as error:
            raise _unwritable(folder.folder, error) from error

    @property
    def name(self) -> str:
        """Of the recording, for people."""
        return self._reading.name

    @property
    def frames_done(self) -> int:
        """How many frames are kept."""
        return self._reading.windows[self.windows_done - 1].end if self.windows_done else 0

    def run(self) -> Iterator[int]:
        """Read the windows that are left; yields the frames of each when they are kept."""
        extractor, config = self._extractor, self._extractor.config
        for found in extractor.read(self._reading, self.windows_done):
            frames = 0
            kept = {}
            for layer, values in found.items():
                frames = len(values)
                if config.mean:
                    kept[layer] = values.sum(0, dtype=torch.float64)
                else:
                    kept[layer] = values
            try:
                for layer, values in kept.items():
                    self._rows[layer].add(values.numpy())
            except OSError as error:
                raise _unwritable(self._folder.folder, error) from error
            self.windows_done += 1
            yield frames

    def finish(self) -> tuple[int, ...]:
        """Make the arrays of what was kept, and say so; returns the layers that half precision could not hold."""
        extractor, target_of = self._extractor, self._folder.array
        wider = []
        for layer, rows in self._rows.items():
            target = target_of(layer, self._recording)
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                if self._as_they_are:
                    flush(rows.path)
                    rows.path.replace(target)
                elif not self._write(rows.path, target):
                    wider.append(layer)
            except OSError as error:
                raise _unwritable(self._folder.folder, error) from error
        self._folder.add(self._recording, extractor.count(self._reading.frames), tuple(wider))
        for rows in self._rows.values():
            rows.path.unlink(missing_ok=True)
        return tuple(wider)

    def _write(self, path: Path, target: Path) -> bool:
        """An array of kept rows, in float32 where half precision cannot hold it; False then."""
        wanted = np.dtype(self._extractor.config.store)
        with replacing(target) as temporary:
            holds = self._fill(temporary, path, wanted)
            if not holds:
                self._fill(temporary, path, np.dtype(np.float32))
        return holds

    def _fill(self, temporary: Path, path: Path, dtype: np.dtype) -> bool:
        """Write the array in that type; stops with False where it cannot hold a number."""
        extractor, frames = self._extractor, self._reading.frames
        width = extractor.width
        shape = (width,) if extractor.config.mean else (extractor.count(frames), width)
        header = npy_header(shape, dtype)
        with temporary.open("wb") as file:
            file.write(header)
            _take_room(file, len(header) + math.prod(shape) * dtype.itemsize)
        array = np.memmap(temporary, dtype, "r+", len(header), shape)
        for place, values in self._results(path):
            stored = (extractor.stored(values) if dtype == np.float16 else values.float()).numpy()
            if stored.dtype != dtype:
                return False
            array[place] = stored
        array.flush()
        return True

    def _results(self, path: Path) -> Iterator[tuple[Any, Float[Tensor, "*_ _"]]]:
        """Parts of what the kept rows become, each with its place."""
        extractor, frames = self._extractor, self._reading.frames
        rows = np.memmap(path, self._dtype, "r").reshape(-1, extractor.width)
        if extractor.config.mean:
            yield slice(None), mean_of(torch.from_numpy(np.array(rows)), frames)
        elif extractor.config.rate_hz is not None:
            for columns, values in resampled(rows, extractor.count(frames)):
                yield (slice(None), columns), torch.from_numpy(values)
        else:
            for first in range(0, frames, _ROWS_AT_ONCE):
                part = slice(first, first + _ROWS_AT_ONCE)
                yield part, torch.from_numpy(np.array(rows[part]))


def _take_room(file: BinaryIO, size: int) -> None:
    """Make a file so long, with its room on the disk: where that ends while memory is written back, a process dies."""
    if hasattr(os, "posix_fallocate"):
        file.flush()
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.truncate(size)


def npy_header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """The beginning of an `.npy` file, before its numbers in row order."""
    buffer = io.BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, described)
    return buffer.getvalue()


def _digest(recording: Recording, reading: Reading) -> str:
    """A name for a recording with these codes: what was kept of others is not gone on with."""
    digest = hashlib.sha256(recording.readable.encode())
    found = reading.recording
    digest.update(repr((found.offset_samples, found.total_samples, len(found.codes))).encode())
    for codes in (found.codes, found.above):
        if codes is not None:
            digest.update(codes.numpy().tobytes())
    return digest.hexdigest()[:16]


def _unwritable(folder: Path, error: OSError) -> DataError:
    return DataError(
        f"{folder} cannot be written ({error.strerror or error}): make room, and run the same command again."
    )
