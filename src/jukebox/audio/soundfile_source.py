"""Files that libsndfile reads: WAV, FLAC, AIFF and relatives, with seeking to the exact sample.

Ogg is read from its beginning: libsndfile 1.2.2 lands beside the sample there, in the last page always.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from jukebox.audio import headers
from jukebox.audio.source import AudioInfo, Samples, broken

if TYPE_CHECKING:
    from soundfile import SoundFile

# Small enough that a damaged file is used to within 0.4 s of the damage: libsndfile drops that whole block.
_BLOCK_SAMPLES = 16_384


class SoundFileSource:
    """A file that libsndfile reads; building one raises soundfile.LibsndfileError where it cannot."""

    def __init__(self, path: Path) -> None:
        import soundfile

        with soundfile.SoundFile(path) as file:
            container = "wav" if file.format in ("WAVEX", "RF64") else file.format.lower()
            promised = headers.wav_promised_samples(path) if container == "wav" else None
            self.info = AudioInfo(
                sample_rate=file.samplerate,
                channels=file.channels,
                samples=promised or file.frames,
                container=container,
                codec=file.subtype.lower(),
            )
        self.path = path
        cut = container == "ogg" and not headers.ogg_is_complete(path)
        self.promised_samples = None if cut else self.info.samples

    def blocks(self, start_samples: int) -> Iterator[Samples]:
        """Yield blocks of at most 16 384 samples from `start_samples` on."""
        import soundfile

        with soundfile.SoundFile(self.path) as file:
            try:
                place = 0 if self.info.container == "ogg" else start_samples
                position = file.seek(min(place, file.frames))
            except soundfile.LibsndfileError:
                position = None
            else:
                yield from self._blocks(file, position, start_samples)
        if position is None:  # FLAC, damaged before that place: reading from the beginning tells where
            with soundfile.SoundFile(self.path) as file:
                yield from self._blocks(file, 0, start_samples)

    def _blocks(self, file: "SoundFile", position: int, start_samples: int) -> Iterator[Samples]:
        import soundfile

        try:
            while len(block := file.read(_BLOCK_SAMPLES, dtype="float32", always_2d=True)):
                wanted = block[max(0, start_samples - position) :]
                position += len(block)
                if len(wanted):
                    yield wanted
        except soundfile.LibsndfileError as error:
            raise broken(self, position) from error
        if self.promised_samples is None or position < self.promised_samples:
            raise broken(self, position)
