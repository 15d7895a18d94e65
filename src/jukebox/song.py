"""One take of a song, as a value: its codes, its sound, and the files that it is written into."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from jukebox.audio.io import Tags
from jukebox.audio.write import WRITABLE_SUFFIXES
from jukebox.checkpoints.codes import CODES_SUFFIX, CodesFile, CodesHeader, codebook_fingerprint, save_codes
from jukebox.errors import DataError
from jukebox.labels.labels import Labels
from jukebox.sampling.listening import write_sound
from jukebox.sampling.model import SongModel
from jukebox.vqvae.streaming import decode_stream


@dataclass(frozen=True)
class Song:
    """One take of a song: its codes by level, and what can be made of them.

    Args:
        name: of the take.
        labels: that it was written from.
        codes: of every level that was written or given.
        seed: of its noise.
        model: that wrote it.
    """

    name: str
    labels: Labels
    codes: dict[int, Tensor]
    seed: int
    model: SongModel

    @property
    def level(self) -> int:
        """The finest level, which it is heard from."""
        return min(self.codes)

    @property
    def duration_s(self) -> float:
        """Its length."""
        return self.model.grid.token_seconds(self.level, len(self.codes[self.level]))

    def audio(self, level: int | None = None) -> Tensor:
        """Its sound, [channels, samples] in float32 on the CPU, from the finest level or another."""
        level = self.level if level is None else level
        vqvae = self.model.vqvae
        codes = self.codes[level].to(vqvae.vectors(level).device)
        return torch.cat([sound.cpu() for sound in decode_stream(vqvae, [codes], level)], 1)

    def write(self, path: str | Path) -> None:
        """Write it into a file whose suffix names the format; codes for .codes, which `upsample` reads.

        Raises:
            AudioError: another suffix, or a file that cannot be written.
        """
        path = Path(path)
        if path.suffix == CODES_SUFFIX:
            save_codes(path, codes_file(self))
            return
        labels = self.labels
        tags = Tags(
            title=self.name,
            artist=labels.artist,
            genre=labels.genre,
            lyrics=labels.lyrics,
            model=self.model.name,
            seed=self.seed,
        )
        write_sound(path, self.model, self.codes[self.level], self.level, tags)


def codes_file(song: Song) -> CodesFile:
    """The codes of a song as a file's content."""
    grid = song.model.grid
    header = CodesHeader(
        fingerprint=codebook_fingerprint(song.model.vqvae),
        model=song.model.name,
        sample_rate=grid.sample_rate,
        length_samples=min(len(codes) * grid.hops[level] for level, codes in song.codes.items()),
        hops=grid.hops,
    )
    return CodesFile(header=header, codes={level: codes.to(torch.uint16) for level, codes in song.codes.items()})


def sound_of(session: Path, name: str) -> Path:
    """The finished sound of a song of a session."""
    files = (session / f"{name}{suffix}" for suffix in WRITABLE_SUFFIXES)
    path = next((file for file in files if file.is_file()), None)
    if path is None:
        raise DataError(f"{session} has no sound of {name}: finish it with `jukebox continue {session}`.")
    return path
