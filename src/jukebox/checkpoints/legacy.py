"""PyTorch's serialisation of 2020, in which the released files are: its tensors memory-mapped, nothing of it executed.

Such a file is a row of pickles (a magic number, a protocol, the machine's kind, the content, the keys of its storages),
then each storage: how many numbers, and these. PyTorch itself reads it into memory as a whole.
"""

import io
import pickle
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from torch import Tensor

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_TYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}

# Smaller storages are copied: they need not lie where their type would have them, and there are many.
_LARGE = 1 << 17


class _Storage(NamedTuple):
    """A storage before its place in the file is known."""

    dtype: torch.dtype
    key: str
    numbers: int


class _View(NamedTuple):
    """A tensor before its storage is there."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def _view(storage: _Storage, offset: int, size: Any, stride: Any, *_: Any) -> _View:
    return _View(storage, offset, tuple(size), tuple(stride))


class _Unpickler(pickle.Unpickler):
    """Plain values, and views of storages; any other name ends it before anything is called."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module_name, global_name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _view
        if module_name == "torch" and global_name in _TYPES:
            return _TYPES[global_name]
        raise pickle.UnpicklingError(f"{module_name}.{global_name} is not for tensors and plain values")

    def persistent_load(self, pid: Any, /) -> _Storage:
        kind, dtype, key, _, count, part = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype) or part is not None:
            raise pickle.UnpicklingError(f"unknown reference {pid!r}")
        self.storages[key] = _Storage(dtype, key, count)
        return self.storages[key]


def read(path: Path) -> Any:
    """The content of a file, its large tensors memory-mapped; None for a file that is not of this kind.

    What is damaged, or holds anything but tensors and plain values, is not of this kind either: PyTorch's own loader
    says what is wrong with it.
    """
    try:
        with path.open("rb") as file:
            head = [_Unpickler(file).load() for _ in range(3)]
            if head[:2] != [_MAGIC, _PROTOCOL] or not head[2]["little_endian"]:
                return None
            unpickler = _Unpickler(file)
            content, keys = unpickler.load(), _Unpickler(file).load()
            storages = _storages(path, file, [unpickler.storages[key] for key in keys])
        return _filled(content, storages)
    except Exception:  # pickles that are damaged, or no pickles, fail in any way
        return None


def _storages(path: Path, file: BinaryIO, storages: Iterable[_Storage]) -> dict[str, Tensor]:
    """One tensor for each storage, of all its numbers."""
    found, end = {}, path.stat().st_size
    for storage in storages:
        count = int.from_bytes(file.read(8), "little")
        start = file.tell()
        size = count * storage.dtype.itemsize
        if count != storage.numbers or start + size > end:
            raise EOFError(f"storage {storage.key} is not whole")
        if size < _LARGE:
            content = torch.frombuffer(bytearray(file.read(size)), dtype=torch.uint8) if size else torch.empty(0).byte()
        else:
            # Copy on write: nobody writes, but a tensor of what cannot be written to would be warned of.
            content = torch.from_numpy(np.memmap(path, np.uint8, "c", start, (size,)))
            file.seek(size, io.SEEK_CUR)
        found[storage.key] = content.view(storage.dtype)
    return found


def _filled(value: Any, storages: dict[str, Tensor]) -> Any:
    """The content with tensors in their places."""
    if isinstance(value, _View):
        return storages[value.storage.key].as_strided(value.size, value.stride, value.offset)
    if isinstance(value, dict):
        return type(value)((key, _filled(each, storages)) for key, each in value.items())
    if type(value) in (list, tuple):
        return type(value)(_filled(each, storages) for each in value)
    return value
