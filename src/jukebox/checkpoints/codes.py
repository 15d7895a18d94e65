"""A file of codes: a recording as a VQ-VAE sees it, in safetensors with its few facts as metadata.

Codes mean something only to the codebooks that made them, so the file names these by a fingerprint.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int64, UInt16
from safetensors import SafetensorError, safe_open
from torch import Tensor

from jukebox.audio.source import AUDIO_SUFFIXES
from jukebox.checkpoints import tensor_file
from jukebox.checkpoints.files import replacing
from jukebox.errors import DataError
from jukebox.vqvae.vqvae import VQVAE

FORMAT, CODES_SUFFIX = "jukebox-codes-1", ".codes"


@dataclass(frozen=True, kw_only=True)
class CodesHeader:
    """What the numbers of a codes file mean.

    fingerprint: of the codebooks (`codebook_fingerprint`); model: the name that was asked for; sample_rate in Hz;
    length_samples: of the recording, which the codes may exceed by part of a hop; hops: samples per code, by level.
    """

    fingerprint: str
    model: str
    sample_rate: int
    length_samples: int
    hops: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class CodesFile:
    """A header and the codes of one or more levels, two bytes each: no codebook has more than 65 536 entries."""

    header: CodesHeader
    codes: dict[int, UInt16[Tensor, " _"]]

    def blocks(self, level: int, device: torch.device) -> Iterator[Int64[Tensor, " _"]]:
        """The codes of one level in pieces, as models take them: an hour of them at once would fill 160 MB."""
        for piece in self.codes[level].split(1 << 18):
            yield piece.to(device, torch.int64)


def codebook_fingerprint(model: VQVAE) -> str:
    """A short name of the codebooks and their hops: equal for models whose codes are exchangeable."""
    digest = hashlib.sha256(json.dumps([model.config.sample_rate, *model.config.hops]).encode())
    for level in range(model.config.levels):
        digest.update(model.vectors(level).detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def save_codes(path: Path, file: CodesFile) -> None:
    """Write a codes file; it appears under its name only when it is complete.

    Raises:
        CheckpointError: the file cannot be written.
    """
    tensors = {f"level_{level}": codes for level, codes in file.codes.items()}
    header = json.dumps(dataclasses.asdict(file.header))
    with replacing(path) as temporary:
        tensor_file.write(temporary, tensors, metadata={"format": FORMAT, "header": header})


def load_codes(path: Path) -> CodesFile:
    """Read a codes file.

    Raises:
        DataError: there is no such file, or it is no codes file (but sound, perhaps), or a damaged one.
    """
    if not path.is_file():
        raise DataError(f"{path} is not a file; give a codes file, as `jukebox encode` writes it.")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise DataError(f"{path} is not a codes file ({FORMAT}); make one with `jukebox encode`.")
            values = json.loads(metadata["header"])
            codes = {int(name.removeprefix("level_")): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = CodesHeader(**(values | {"hops": tuple(values["hops"])}))
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        if path.suffix.lower() in AUDIO_SUFFIXES:
            raise DataError(f"{path} is a sound file; `jukebox encode` makes codes of it.") from error
        raise DataError(f"{path} is damaged or not a codes file ({error}); encode the recording again.") from error
    for level, level_codes in codes.items():
        if not 0 <= level < len(header.hops) or len(level_codes) * header.hops[level] < header.length_samples:
            raise DataError(
                f"{path} has {len(level_codes)} codes at level {level}, too few for its {header.length_samples} "
                "samples; encode the recording again."
            )
    return CodesFile(header=header, codes=codes)


def check_belongs(file: CodesFile, model: VQVAE, path: Path) -> None:
    """Raise DataError where the codes are not of the model's codebooks."""
    found, expected = file.header.fingerprint, codebook_fingerprint(model)
    if found != expected:
        raise DataError(
            f"{path} was encoded with the codebooks {found} (model {file.header.model!r}), this model has {expected}; "
            "name the model that made it with --model."
        )
