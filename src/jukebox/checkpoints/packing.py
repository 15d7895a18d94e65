"""A whole model in one small folder: its parts side by side, their matrices in half precision or fewer bits.

Vectors (norms, biases) and codebooks stay as they are: they are few, and codes mean the same as before.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from jukebox.checkpoints import store
from jukebox.checkpoints.files import replacing
from jukebox.checkpoints.load import build_prior, check_whole, part_folders
from jukebox.config import PriorConfig, VqvaeConfig
from jukebox.errors import CheckpointError
from jukebox.nn.quantised import Reduced
from jukebox.prior.prior import Prior

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


def pack(origin: Path, output: Path, reduce: Callable[[Prior], None] | None = None) -> list[Packed]:
    """Write the parts of a model, or of the runs of its training, into a folder with matrices in half precision.

    A `song.yaml` (`models.find`) comes along. Parts are named vqvae, top, middle, bottom.

    Args:
        origin: the model.
        output: the folder; a part that is there already is replaced.
        reduce: brings the matrices of a prior's transformer into fewer bits, in place; None leaves them.

    Raises:
        CheckpointError: there is no whole model, a matrix has numbers beyond half precision, or few bits already.
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
    found = [_pack(place, output / "vqvae", None)]
    for part, folder in sorted(parts.items(), reverse=True):
        level = int(part.rpartition("_")[2])
        found.append(_pack(folder, output / names[level], reduce))
    if (song := origin / store.SONG).is_file():
        with replacing(output / store.SONG) as temporary:
            temporary.write_bytes(song.read_bytes())
    return found


def _pack(origin: Path, output: Path, reduce: Callable[[Prior], None] | None) -> Packed:
    checkpoint = store.load(origin)
    config, before = checkpoint.config, checkpoint.tensors
    if isinstance(config, PriorConfig):
        check_whole(config, origin, "packed")
    numbers = sum(tensor.numel() for name, tensor in before.items() if ".ema_" not in name)
    after, matrices = before, {}
    if reduce is not None:
        assert isinstance(config, PriorConfig)
        prior = build_prior(config, before, None)
        reduce(prior)
        config, after = prior.config, prior.state_dict()
        reduced = {f"{name}.weight": inner for name, inner in prior.named_modules() if isinstance(inner, Reduced)}
        matrices = {name: _error(before[name], inner.matrix()) for name, inner in reduced.items()}
    tensors = {name: _rounded(name, tensor) for name, tensor in after.items()}
    rest = tensors.keys() & before.keys() - matrices.keys()
    errors = matrices | {name: _error(before[name], tensors[name]) for name in sorted(rest)}
    worst = max(errors, key=lambda name: errors[name])
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise CheckpointError(
                f"{origin}: {name!r} has numbers that half precision does not hold; keep it as it is."
            )
    store.save(output, tensors, config, source=checkpoint.source, words=_words(origin))
    size = sum(file.stat().st_size for file in output.iterdir())
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
