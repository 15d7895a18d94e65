"""A whole model in one small folder: its parts side by side, their matrices in half precision.

Vectors (norms, biases) and codebooks stay as they are: they are few, and codes mean the same as before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from jukebox.checkpoints import store
from jukebox.checkpoints.files import replacing
from jukebox.checkpoints.load import part_folders
from jukebox.config import VqvaeConfig
from jukebox.errors import CheckpointError

_LEVELS = ("bottom", "middle", "top")


@dataclass(frozen=True, kw_only=True)
class Packed:
    """One part of a model as it was packed.

    Args:
        folder: where it is.
        numbers: how many parameters it has.
        size_bytes: of its folder.
        error: root mean square of what rounding changed, over that of the numbers, in the matrix where it is largest.
        worst: that matrix.
    """

    folder: Path
    numbers: int
    size_bytes: int
    error: float
    worst: str


def pack(origin: Path, output: Path) -> list[Packed]:
    """Write the parts of a model, or of the runs of its training, into a folder with matrices in half precision.

    A `song.yaml` (`models.find`) comes along. Parts are named vqvae, top, middle, bottom.

    Raises:
        CheckpointError: there is no whole model, or a matrix has numbers beyond half precision.
    """
    parts = part_folders(origin) if origin.is_dir() else {}
    place = parts.pop("vqvae", None)
    if place is None or not parts:
        raise CheckpointError(
            f"{origin} holds no whole model; name a folder with a VQ-VAE and its priors, or their runs."
        )
    vqvae = store.load(place).config
    assert isinstance(vqvae, VqvaeConfig)
    names = _LEVELS if vqvae.levels == len(_LEVELS) else [f"level_{level}" for level in range(vqvae.levels)]
    found = [_pack(place, output / "vqvae")]
    for part, folder in sorted(parts.items(), reverse=True):
        level = int(part.rpartition("_")[2])
        found.append(_pack(folder, output / names[level]))
    if (song := origin / store.SONG).is_file():
        with replacing(output / store.SONG) as temporary:
            temporary.write_bytes(song.read_bytes())
    return found


def _pack(origin: Path, output: Path) -> Packed:
    checkpoint = store.load(origin)
    tensors = {name: _rounded(name, tensor) for name, tensor in checkpoint.tensors.items()}
    errors = {name: _error(checkpoint.tensors[name], tensor) for name, tensor in tensors.items()}
    worst = max(errors, key=lambda name: errors[name])
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise CheckpointError(
                f"{origin}: {name!r} has numbers that half precision does not hold; keep it as it is."
            )
    store.save(output, tensors, checkpoint.config, source=checkpoint.source, words=_words(origin))
    size = sum(file.stat().st_size for file in output.iterdir())
    numbers = sum(tensor.numel() for name, tensor in tensors.items() if ".ema_" not in name)
    return Packed(folder=output, numbers=numbers, size_bytes=size, error=errors[worst], worst=worst)


def _rounded(name: str, tensor: Tensor) -> Tensor:
    # A codebook's running sums are for training; all they cost here is room.
    small = tensor.ndim >= 2 and not name.endswith(".vectors")
    return tensor.half() if small and tensor.is_floating_point() else tensor


def _error(before: Tensor, after: Tensor) -> float:
    before = before.double()
    return float((after.double() - before).norm() / before.norm().clamp_min(torch.finfo(torch.float32).tiny))


def _words(folder: Path) -> Mapping[str, str]:
    """The lists of names and characters that are in the folder, or beside it."""
    found = {}
    for name in (store.VOCABULARY, store.ALPHABET):
        for place in (folder / name, folder.parent / name):
            if name not in found and place.is_file():
                found[name] = place.read_text(encoding="utf-8")
    return found
