"""Writing sound with its tags: WAV, FLAC, OGG and MP3, at once or block by block.

WAV and FLAC hold 24-bit integers: every player and studio program reads them, their noise (-144 dB) is far
below any model's, and unlike 32-bit float they cannot hide samples beyond full scale. OGG is Vorbis at
quality 8, MP3 is LAME's best variable rate (V0).
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

import torch
from jaxtyping import Float
from torch import Tensor

from jukebox.audio import ogg
from jukebox.audio.encoders import Encoder, FfmpegEncoder, VorbisEncoder
from jukebox.audio.tags import Tags, id3_tag, vorbis_fields, wav_fields
from jukebox.errors import AudioError

WRITABLE_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")

_INTEGER_SUFFIXES = (".wav", ".flac")
_OGG_MOST_HZ = 192_000  # libsndfile crashes somewhere above
_MP3_SAMPLE_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


def write(
    path: str | Path, audio: Float[Tensor, "channels samples"], sample_rate: int, tags: Tags | None = None
) -> None:
    """Write sound into a file whose suffix names the format, with the arguments and errors of `Writer`."""
    with Writer(path, channels=audio.shape[0], sample_rate=sample_rate, tags=tags) as writer:
        writer.write(audio)


class Writer:
    """A sound file written block by block, which appears under its name only when it is complete.

    Used as a context manager. Until its end the file grows in a hidden folder beside its place; an exception
    removes that, and a file that had the name before stays as it was.

    Args:
        path: where to write; its suffix (.wav, .flac, .ogg or .mp3) names the format.
        channels: 1 or 2.
        sample_rate: in Hz.
        tags: the text fields of the file.

    Attributes:
        samples: written so far, per channel.
        clipped: how many of the values written so far were beyond [-1, 1] and were clipped, in all channels.
            OGG and MP3 hold such values: nothing is clipped there.

    Raises:
        AudioError: another suffix, a missing folder, channels or a sample rate that the format does not have,
            blocks with NaN or infinite values or other channels, no blocks at all, or a disk that is full.
    """

    def __init__(self, path: str | Path, *, channels: int, sample_rate: int, tags: Tags | None = None) -> None:
        self.path = Path(path).absolute()
        self.samples = 0
        self.clipped = 0
        self._channels, self._sample_rate, self._tags = channels, sample_rate, tags or Tags()
        self._suffix = self.path.suffix.lower()
        if self._suffix not in WRITABLE_SUFFIXES:
            endings = ", ".join(WRITABLE_SUFFIXES)
            raise AudioError(f"{self.path} does not end in the name of a format: choose one of {endings}")
        if self.path.is_dir():
            raise AudioError(f"{self.path} is a folder: choose another name")
        if not self.path.parent.is_dir():
            raise AudioError(f"the folder {self.path.parent} does not exist: create it first")
        if channels not in (1, 2):
            raise AudioError(f"{self.path} cannot have {channels} channels: give one or two")
        if sample_rate < 1 or (self._suffix == ".ogg" and sample_rate > _OGG_MOST_HZ):
            raise AudioError(f"{self.path} cannot have a sample rate of {sample_rate} Hz: give 44100, for instance")
        if self._suffix == ".mp3" and sample_rate not in _MP3_SAMPLE_RATES:
            rates = ", ".join(map(str, _MP3_SAMPLE_RATES))
            raise AudioError(f"MP3 has no sample rate of {sample_rate} Hz: choose one of {rates}, or another format")

    def __enter__(self) -> "Writer":
        with self._library_errors():
            self._folder = TemporaryDirectory(dir=self.path.parent, prefix=f".{self.path.stem[:40]}.", suffix=".part")
        try:
            with self._library_errors():
                self._encoder = self._new_encoder()
        except AudioError:
            self._folder.cleanup()
            raise
        return self

    def write(self, block: Float[Tensor, "channels samples"]) -> None:
        """Append sound: [channels, samples] of any length, floating point, full scale is [-1, 1]."""
        if block.shape[0] != self._channels:
            raise AudioError(f"{self.path} has {self._channels} channels: it cannot take {block.shape[0]}")
        if not block.shape[1]:
            return
        values = block.detach().to("cpu", torch.float32)
        if not torch.isfinite(values).all():
            raise AudioError(f"{self.path} cannot hold NaN or infinite values: mend the sound before writing it")
        if self._suffix in _INTEGER_SUFFIXES:
            self.clipped += int((values.abs() > 1).sum())
        with self._library_errors():
            self._encoder.write(values.numpy())
        self.samples += block.shape[1]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is not None:
                with suppress(AudioError), self._library_errors():
                    self._encoder.close()
                return
            with self._library_errors():
                self._encoder.close()
                if not self.samples:
                    raise AudioError(f"no sound was written to {self.path}: give at least one sample")
                os.replace(self._tagged(), self.path)
        finally:
            self._folder.cleanup()

    @property
    def _sound(self) -> Path:
        return Path(self._folder.name) / f"sound{self._suffix}"

    def _new_encoder(self) -> Encoder:
        if self._suffix == ".ogg":
            return VorbisEncoder(self._sound, self._channels, self._sample_rate)
        fields = {".wav": wav_fields, ".flac": vorbis_fields}.get(self._suffix, lambda _: {})(self._tags)
        return FfmpegEncoder(self._sound, self._suffix, self._channels, self._sample_rate, fields)

    def _tagged(self) -> Path:
        """Return the finished file; OGG and MP3 get their tags by a copy behind new headers."""
        if self._suffix in _INTEGER_SUFFIXES or not self._tags.texts():
            return self._sound
        tagged = self._sound.with_stem("tagged")
        if self._suffix == ".ogg":
            ogg.replace_comments(self._sound, tagged, vorbis_fields(self._tags))
        else:
            with self._sound.open("rb") as source, tagged.open("wb") as target:
                target.write(id3_tag(self._tags))
                shutil.copyfileobj(source, target)
        return tagged

    @contextmanager
    def _library_errors(self) -> Iterator[None]:
        import soundfile
        from av.error import FFmpegError

        try:
            yield
        except (FFmpegError, soundfile.LibsndfileError, OSError) as error:
            raise AudioError(
                f"{self.path} cannot be written ({error}): check the folder's permissions, the free space"
                f" and whether {self._suffix[1:].upper()} has a sample rate of {self._sample_rate} Hz"
            ) from error
