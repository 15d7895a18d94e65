"""What both decoders offer: a file described by its header, as float32 blocks from any sample on."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from jukebox.errors import AudioError

Samples = Float32[np.ndarray, "samples channels"]

AUDIO_SUFFIXES = (
    *(".wav", ".wave", ".w64", ".flac", ".aif", ".aiff", ".aifc", ".au", ".caf"),
    *(".ogg", ".oga", ".opus", ".mp3", ".m4a", ".mp4", ".aac", ".ac3", ".wma", ".webm", ".mka"),
    *(".ape", ".mpc", ".tta", ".wv", ".amr"),
)
"""Endings of the names of sound files, in small letters."""


@dataclass(frozen=True, kw_only=True)
class AudioInfo:
    """What a sound file is, from its header.

    `samples` (per channel, at `sample_rate` Hz) is what the header promises: a cut file holds less.
    `container` and `codec` are short lower-case names.
    """

    sample_rate: int
    channels: int
    samples: int
    container: str
    codec: str

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples / self.sample_rate


@runtime_checkable
class Source(Protocol):
    """A sound file whose header has been read; the file is open only while `blocks` runs.

    `promised_samples` is the length by which a cut file is known, None where the header has no reliable one.
    """

    path: Path
    info: AudioInfo
    promised_samples: int | None

    def blocks(self, start_samples: int) -> Iterator[Samples]:
        """Yield the sound from `start_samples` on; raise AudioError where the file breaks off."""
        ...


def broken(source: Source, good_samples: int) -> AudioError:
    """Return the error for a file of which only the first `good_samples` can be read."""
    rate, promised = source.info.sample_rate, source.promised_samples
    good_s = math.floor(100 * good_samples / rate) / 100  # rounded down: what the sentence names can be read
    of = f" of the {promised / rate:.2f} s in its header" if promised is not None else ""
    return AudioError(
        f"{source.path} is cut off or damaged, only {good_s:.2f} s{of} can be read:"
        f" fetch it again, or use no more than its first {good_s:.2f} s"
    )
