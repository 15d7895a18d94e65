"""A whole model in one small folder: its parts side by side, their matrices in half precision or fewer bits.

Vectors (norms, biases) and codebooks stay as they are: they are few, and codes mean the same as before.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from jukebox.checkpoints import store
from jukebox.checkpoints.load import build_prior, check_whole, part_folders
from jukebox.checkpoints.openai import Imported
from jukebox.config import PriorConfig, VqvaeConfig
from jukebox.errors import CheckpointError
from jukebox.nn.quantised import Reduced
from jukebox.prior.prior import Prior

_LEVELS = ("bottom", "middle", "top")


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a model as it is.

    Args:
        where: it was found, for people.
        checkpoint: what it is.
        words: content of its `vocabulary.json` and `alphabet.json`, where it has them.
    """

    where: str
    checkpoint: store.Checkpoint | Imported
    words: Mapping[str, str]


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


def parts_in(folder: Path) -> list[Part]:
    """The parts of a model in a folder, or of the runs of its training.

    Raises:
        CheckpointError: there is none, or one that is damaged.
    """
    folders = part_folders(folder) if folder.is_dir() else {}
    return [Part(where=str(each), checkpoint=store.load(each), words=_words(each)) for each in folders.values()]


def check_output(output: Path, origin: Path) -> None:
    """Refuse a folder in which packing would replace what it reads, or anything but an earlier packed model.

    Args:
        output: where the parts are to be written; it may not be there yet.
        origin: folder of the parts, or a file beside them.

    Raises:
        CheckpointError: the one is the other or lies in it, by whatever path, or the output holds something else.
    """
    real = output.resolve()
    for place in (origin, *(part_folders(origin).values() if origin.is_dir() else ())):
        other = place.resolve()
        if real.is_relative_to(other) or other.is_relative_to(real):
            raise CheckpointError(
                f"{output} is where the model that is to be packed lies ({place}), which would be lost; name a folder "
                "apart from it."
            )
    if not output.is_dir():
        return
    for each in sorted(output.iterdir()):
        is_file = each.name in (store.SONG, store.GLOSSARY) and each.is_file()
        # Whatever begins with a dot is nobody's model.
        if not (is_file or each.name.startswith(".") or _is_packed(each)):
            raise CheckpointError(
                f"{output} has in it {each.name}, which is no part of a packed model; name a new folder, or remove it."
            )


def _is_packed(folder: Path) -> bool:
    """Whether this is a part as `pack` writes it."""
    named = folder.name in ("vqvae", *_LEVELS) or re.fullmatch(r"level_\d+", folder.name)
    if not named or not store.is_checkpoint(folder):
        return False
    tensors = store.load(folder).tensors
    return all(_rounded(name, tensor).dtype == tensor.dtype for name, tensor in tensors.items())


def pack(parts: Sequence[Part], output: Path, reduce: Callable[[Prior], None] | None = None) -> list[Packed]:
    """Write the parts of a model into a folder with matrices in half precision, as vqvae, top, middle, bottom.

    Args:
        parts: a VQ-VAE and priors, whose tensors may lie in files.
        output: the folder; a part that is there already is replaced.
        reduce: brings the matrices of a prior's transformer into fewer bits, in place; None leaves them.

    Raises:
        CheckpointError: there is no whole model, a matrix has numbers beyond half precision, or few bits already.
    """
    vqvae = next((part for part in parts if isinstance(part.checkpoint.config, VqvaeConfig)), None)
    priors = [(config.level, part) for part in parts if isinstance(config := part.checkpoint.config, PriorConfig)]
    if vqvae is None or not priors:
        raise CheckpointError(
            "There is no whole model to be packed; name a folder with a VQ-VAE and its priors, or their runs."
        )
    for part in parts:
        check_whole(part.checkpoint.config, part.where, "packed")
    assert isinstance(vqvae.checkpoint.config, VqvaeConfig)
    levels = vqvae.checkpoint.config.levels
    names = _LEVELS if levels == len(_LEVELS) else [f"level_{level}" for level in range(levels)]
    found = [_pack(vqvae, output / "vqvae", None)]
    for level, part in sorted(priors, key=lambda each: -each[0]):
        found.append(_pack(part, output / names[level], reduce))
    return found


def _pack(part: Part, output: Path, reduce: Callable[[Prior], None] | None) -> Packed:
    config, before = part.checkpoint.config, part.checkpoint.tensors
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
                f"{part.where}: {name!r} has numbers that half precision does not hold; keep it as it is."
            )
    store.save(output, tensors, config, source=part.checkpoint.source, words=part.words)
    size = sum(file.stat().st_size for file in output.iterdir())
    numbers = sum(tensor.numel() for name, tensor in before.items() if ".ema_" not in name)
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
