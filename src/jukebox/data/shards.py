"""A dataset of codes: a folder written by `jukebox data tokenize`, memory-mapped.

A shard is a safetensors file with one row of uint16 per level, `level_0` the finest, in which the codes of its songs
stand one after another; its metadata lists the songs. A shard is written once and never changed.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt16
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from jukebox.checkpoints.codes import codebook_fingerprint
from jukebox.checkpoints.files import replacing
from jukebox.data.collection import Collection, Song, read_description, read_names, read_songs
from jukebox.errors import DataError
from jukebox.labels.timing import TimeGrid
from jukebox.vqvae.vqvae import VQVAE

FORMAT, SHARD_FORMAT = "jukebox-tokens-1", "jukebox-shard-1"
DESCRIPTION, SHARDS = "tokens.json", "shards"

Codes = UInt16[np.ndarray, " codes"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A song in a shard: its key, the digest of its sound, and its length."""

    key: str
    digest: str
    length_samples: int


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One file of codes, as it says itself."""

    path: Path
    entries: tuple[Entry, ...]


def write_shard(path: Path, entries: Iterable[Entry], codes: Mapping[int, Codes]) -> None:
    """Write a shard, which appears under its name only when it is complete.

    Raises:
        CheckpointError: the file cannot be written.
    """
    songs = [[entry.key, entry.digest, entry.length_samples] for entry in entries]
    # One field only: the library writes several in an order of chance, and equal codes shall be equal files.
    described = json.dumps({"format": SHARD_FORMAT, "songs": songs}, ensure_ascii=False)
    with replacing(path) as temporary:
        tensors = {f"level_{level}": row for level, row in sorted(codes.items())}
        try:
            save_file(tensors, temporary, {"jukebox": described})
        except SafetensorError as error:  # its own kind for a full disk
            raise OSError(str(error)) from error


def read_shard(path: Path) -> Shard:
    """What is in a shard; raises DataError where it is damaged or something else."""
    try:
        with safe_open(path, "np") as file:
            described = json.loads((file.metadata() or {})["jukebox"])
        if described["format"] != SHARD_FORMAT:
            raise ValueError(f"its format is {described['format']!r}")
        rows = described["songs"]
        entries = tuple(Entry(key=key, digest=digest, length_samples=samples) for key, digest, samples in rows)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is damaged or no shard ({error}); remove it and run `jukebox data tokenize` again."
        ) from error
    return Shard(path=path, entries=entries)


def song_codes(length_samples: int, hops: tuple[int, ...], level: int) -> int:
    """How many codes of a level a song has: silence fills its last code of the coarsest level."""
    return -(-length_samples // hops[-1]) * (hops[-1] // hops[level])


@lru_cache(maxsize=64)
def _mapped(path: Path, level: int) -> Codes:
    """A row of a shard, memory-mapped: the format is eight bytes of header length, a JSON header, then the rows."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        row = json.loads(file.read(length))[f"level_{level}"]
    return np.memmap(path, np.dtype("<u2"), "r", 8 + length + row["data_offsets"][0], tuple(row["shape"]))


@dataclass(frozen=True, kw_only=True)
class Tokens(Collection):
    """Songs with their codes.

    Args:
        hops: samples per code of each level, finest first.
        codebook_sizes: of each level.
        fingerprint: of the codebooks (`checkpoints.codes.codebook_fingerprint`).
        model: the name of the VQ-VAE that was asked for.
        shards: where the codes are.
    """

    hops: tuple[int, ...]
    codebook_sizes: tuple[int, ...]
    fingerprint: str
    model: str
    shards: tuple[Shard, ...] = field(repr=False)

    @classmethod
    def open(cls, folder: str | Path) -> "Tokens":
        """The codes in a folder; they are read from the disk only when they are used.

        Raises:
            DataError: the folder is not finished, or something in it is missing or damaged.
        """
        folder = Path(folder)
        values = read_description(folder, DESCRIPTION, FORMAT, "tokenize")
        if not values["complete"]:
            raise DataError(f"{folder} is not finished; run the same `jukebox data tokenize` again, it goes on.")
        vocabulary, alphabet = read_names(folder)
        tokens = cls(
            folder=folder,
            songs=read_songs(folder),
            sample_rate=values["sample_rate"],
            vocabulary=vocabulary,
            alphabet=alphabet,
            hops=tuple(values["hops"]),
            codebook_sizes=tuple(values["codebook_sizes"]),
            fingerprint=values["fingerprint"],
            model=values["model"],
            shards=tuple(read_shard(path) for path in sorted((folder / SHARDS).glob("*.safetensors"))),
        )
        missing = [song.key for song in tokens.songs if (song.key, song.digest) not in tokens._places]
        if missing:
            raise DataError(
                f"{folder} lacks the codes of {len(missing)} of its {len(tokens.songs)} songs, such as {missing[0]}: "
                "run the same `jukebox data tokenize` again."
            )
        return tokens

    @property
    def grid(self) -> TimeGrid:
        """The conversions between samples and codes."""
        return TimeGrid(sample_rate=self.sample_rate, hops=self.hops)

    def codes(self, song: Song, level: int) -> Codes:
        """All codes of a song at a level, memory-mapped; the last may reach beyond the song's end."""
        shard, before_samples = self._places[song.key, song.digest]
        start = before_samples // self.hops[level]
        return _mapped(shard.path, level)[start : start + song_codes(song.length_samples, self.hops, level)]

    def check_made_by(self, vqvae: VQVAE, name: str, advice: str) -> None:
        """Raise DataError where the codes are not of a VQ-VAE's codebooks; `name` is its, `advice` what to do."""
        found = codebook_fingerprint(vqvae)
        if found != self.fingerprint:
            raise DataError(
                f"{self.folder} was tokenised by {self.model} with the codebooks {self.fingerprint}; {name} has "
                f"{found}: {advice}."
            )

    @cached_property
    def _places(self) -> dict[tuple[str, str], tuple[Shard, int]]:
        """For each song its shard, and how many samples (whole coarsest codes) stand before it there."""
        places = {}
        for shard in self.shards:
            before = 0
            for entry in shard.entries:
                places[entry.key, entry.digest] = shard, before
                before += song_codes(entry.length_samples, self.hops, len(self.hops) - 1) * self.hops[-1]
        return places
