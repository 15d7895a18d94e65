"""A dataset of sound: a folder written by `jukebox data prepare`, read from any sample on.

Every song is one FLAC file of 16 bits in `audio/`: docs/decisions/0005 says why.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from jukebox.data.collection import Collection, Song, read_description, read_names, read_songs
from jukebox.errors import DataError

FORMAT = "jukebox-dataset-1"
DESCRIPTION, AUDIO = "dataset.json", "audio"


@dataclass(frozen=True, kw_only=True)
class Dataset(Collection):
    """Songs with their sound."""

    @classmethod
    def open(cls, folder: str | Path) -> "Dataset":
        """The dataset in a folder; sound is read only when it is asked for.

        Raises:
            DataError: the folder is not a finished dataset, or something in it is damaged.
        """
        folder = Path(folder)
        values = read_description(folder, DESCRIPTION, FORMAT, "prepare")
        vocabulary, alphabet = read_names(folder)
        return cls(
            folder=folder,
            songs=read_songs(folder),
            sample_rate=values["sample_rate"],
            vocabulary=vocabulary,
            alphabet=alphabet,
        )

    def check_rate(self, sample_rate: int, name: str = "the model") -> None:
        """Raise DataError where the sound has another sample rate than a model; `name` is the model's."""
        if self.sample_rate != sample_rate:
            raise DataError(
                f"{self.folder} has a sample rate of {self.sample_rate} Hz, {name} one of {sample_rate} Hz: prepare "
                f"the data with --sample-rate {sample_rate}."
            )

    def path(self, song: Song) -> Path:
        """The sound file of a song."""
        return self.folder / AUDIO / f"{song.name}.flac"

    def audio(
        self, song: Song, start_samples: int = 0, length_samples: int | None = None
    ) -> Float[Tensor, "channels samples"]:
        """A range of a song's sound; the seeking is exact.

        Args:
            song: one of `songs`.
            start_samples: where to begin, 0 or more.
            length_samples: how much to read; None reads to the end.

        Raises:
            DataError: the range is not inside the song, or the file is missing or damaged.
        """
        import soundfile

        length = song.length_samples - start_samples if length_samples is None else length_samples
        if not 0 <= start_samples <= start_samples + length <= song.length_samples:
            raise DataError(
                f"{song.key} has {song.length_samples} samples: {length} from {start_samples} on are not inside it."
            )
        try:
            with soundfile.SoundFile(self.path(song)) as file:
                file.seek(start_samples)
                rows = file.read(length, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, OSError) as error:
            raise DataError(f"{self.path(song)} cannot be read ({error}); run `jukebox data prepare` again.") from error
        if len(rows) != length:
            raise DataError(f"{self.path(song)} is cut off; remove it and run `jukebox data prepare` again.")
        return torch.from_numpy(rows.T.copy())
