"""Files of a session: complete or not at all, with a checksum inside, and the generation before kept beside them."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from jukebox.checkpoints import tensor_file
from jukebox.checkpoints.files import flush, replacing

Content = TypeVar("Content")
Note = Callable[[str], None]
"""Takes a sentence about what was found."""


def previous(path: Path) -> Path:
    """Where the generation before is kept."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def save_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> None:
    """Write tensors; what was there becomes the generation before."""
    text = json.dumps(dict(facts), sort_keys=True)
    with replacing(path) as temporary:
        tensor_file.write(temporary, tensors, metadata={"facts": text, "sha256": _digest(tensors, text)})
        flush(temporary)
        _keep(path)


def load_tensors(path: Path, note: Note) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """The newest sound generation, its tensors and facts; None where there is none. What is damaged is said."""
    return _newest(path, _read_tensors, note)


def save_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write JSON values; what was there becomes the generation before."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False)
    with replacing(path) as temporary:
        checked = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "values": values}
        temporary.write_text(json.dumps(checked, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        _keep(path)


def load_json(path: Path, note: Note) -> dict[str, Any] | None:
    """The newest sound generation of JSON values; None where there is none. What is damaged is said."""
    return _newest(path, _read_json, note)


def _keep(path: Path) -> None:
    if path.exists():
        path.replace(previous(path))


def _newest(path: Path, read: Callable[[Path], Content], note: Note) -> Content | None:
    for candidate in (path, previous(path)):
        if not candidate.exists():
            continue
        try:
            return read(candidate)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            reason = " ".join(str(error).split())
            note(f"{candidate} is damaged ({reason}); an older state is used, what is missing is written again.")
    return None


def _read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
        # Copies: the file may be replaced while its tensors are in use.
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    text = metadata["facts"]
    if metadata["sha256"] != _digest(tensors, text):
        raise ValueError("its checksum is another")
    return tensors, json.loads(text)


def _read_json(path: Path) -> dict[str, Any]:
    checked = json.loads(path.read_text(encoding="utf-8"))
    text = json.dumps(checked["values"], sort_keys=True, ensure_ascii=False)
    if checked["sha256"] != hashlib.sha256(text.encode()).hexdigest():
        raise ValueError("its checksum is another")
    return checked["values"]


def _digest(tensors: Mapping[str, Tensor], facts: str) -> str:
    digest = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()
