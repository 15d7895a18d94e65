"""safetensors files, written one tensor at a time and read by memory-mapping.

The library's own writer copies the whole model into memory first; here the peak is one tensor, and the file's
sha256 is made on the way.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from jukebox.checkpoints.files import Progress, silent
from jukebox.errors import CheckpointError

_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.uint16: "U16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}

# Tensors of so many bytes are memory-mapped apart from the others, in so many groups.
_LARGE, _GROUPS = 1 << 17, 64


def write(
    path: Path,
    tensors: Mapping[str, Tensor],
    progress: Progress = silent,
    metadata: Mapping[str, str] = MappingProxyType({"format": "pt"}),
) -> str:
    """Write `tensors` as a safetensors file: the same bytes for the same content.

    Args:
        path: a new file: writing over one that is memory-mapped would crash its readers. The caller makes sure
            that half a file is never mistaken for a whole one.
        tensors: on any device, contiguous or not.
        progress: called with (bytes done, bytes in all) after each tensor.
        metadata: text beside them.

    Returns:
        The file's sha256, in hexadecimal.
    """
    # Wide types first, so that every tensor starts at a multiple of its own size.
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    offset = 0
    for name in order:
        tensor = tensors[name]
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    done_bytes = 0
    with path.open("xb") as file:
        for piece in (len(text).to_bytes(8, "little"), text):
            file.write(piece)
            digest.update(piece)
        for name in order:
            flat = tensors[name].detach().cpu().contiguous().reshape(-1)
            data = flat.view(torch.uint8).numpy().data
            file.write(data)
            digest.update(data)
            done_bytes += data.nbytes
            progress(done_bytes, offset)
    return digest.hexdigest()


def read(path: Path) -> dict[str, Tensor]:
    """Every tensor of a safetensors file, memory-mapped: nothing is read until it is used.

    Raises:
        CheckpointError: the file is missing, truncated or not a safetensors file, or was replaced meanwhile.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist; expected a safetensors file: check the path.")
    try:
        before = _state(path)
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        # What is memory-mapped stays so as long as any tensor of it is there: a model that replaces its matrices one
        # by one shall not keep them all until the last.
        for names in _groups(tensors):
            with safe_open(path, framework="pt") as file:
                tensors |= {name: file.get_tensor(name) for name in names}
        if _state(path) != before:  # as a run does that saves
            raise CheckpointError(f"{path} was replaced while it was read; do it again.")
        return tensors
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is truncated or damaged ({error}); get it again or import the original file again."
        ) from error


def _state(path: Path) -> tuple[int, ...]:
    """What tells a file from another of the same name."""
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _groups(tensors: Mapping[str, Tensor]) -> list[list[str]]:
    """The large ones, in the order of their names, in groups of a part of all bytes or a little more."""
    least = sum(tensor.nbytes for tensor in tensors.values()) // _GROUPS
    groups, size = [[]], 0
    for name in sorted(tensors):
        if tensors[name].nbytes >= _LARGE:
            if size >= least:
                groups, size = [*groups, []], 0
            groups[-1].append(name)
            size += tensors[name].nbytes
    return groups
