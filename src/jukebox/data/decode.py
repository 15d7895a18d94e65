"""One sound file decoded into a dataset: everything that is said about its sound is measured on the way.

The file is read once, block by block, whatever its length.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jukebox.audio.io import Tags, checked, mix_down, probe, read_tags, stream
from jukebox.data.measure import FULL_SCALE, Loudness, Silences
from jukebox.errors import DataError


@dataclass(frozen=True, kw_only=True)
class DecodeTask:
    """A file to decode: where it is, where its sound goes, at which rate, and how short it may be."""

    key: str
    source: Path
    folder: Path
    sample_rate: int
    minimum_samples: int


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A file as it was decoded; fields as of `collection.Song`, and the count of samples beyond full scale."""

    name: str
    digest: str
    length_samples: int
    channels: int
    peak: float
    loudness_lufs: float | None
    silences: tuple[tuple[int, int], ...]
    clipped: int
    tags: Tags


def decode(task: DecodeTask) -> Decoded:
    """Decode one file into `folder` as FLAC of 16 bits; one or two channels, more are mixed down to one.

    Raises:
        AudioError: the file cannot be used: it is damaged, too short or silent.
        DataError: the folder cannot be written to, as on a full disk.
    """
    import soundfile

    tags, rate = read_tags(task.source), task.sample_rate
    blocks = stream(task.source, sample_rate=rate)
    channels = 2 if probe(task.source).channels == 2 else 1
    part = task.folder / f".{hashlib.sha256(task.key.encode()).hexdigest()[:16]}.part"
    digest, loudness, silence = hashlib.sha256(), Loudness(channels, rate), Silences()
    samples, clipped, peak = 0, 0, 0.0
    try:
        with _writing(part):
            file = soundfile.SoundFile(part, "w", rate, channels, "PCM_16", format="FLAC")
        with file:
            for block in checked(blocks, rate, name=str(task.source), minimum_samples=task.minimum_samples):
                sound = block if block.shape[0] == channels else mix_down(block)
                rows = np.rint(sound.numpy().T * FULL_SCALE)
                integers = rows.clip(-FULL_SCALE, FULL_SCALE - 1).astype("<i2")
                clipped += int((rows != integers).sum())
                levels = np.abs(integers.astype(np.int32)).max(axis=1)
                samples, peak = samples + len(integers), max(peak, float(levels.max()))
                digest.update(integers.tobytes())
                loudness.add(sound)
                silence.add(levels)
                with _writing(part):
                    file.write(integers)
            with _writing(part):
                file.flush()
        name = _name(task.key, digest.hexdigest())
        with _writing(part):
            part.replace(task.folder / f"{name}.flac")
    finally:
        part.unlink(missing_ok=True)
    return Decoded(
        name=name,
        digest=digest.hexdigest()[:16],
        length_samples=samples,
        channels=channels,
        peak=peak / FULL_SCALE,
        loudness_lufs=loudness.integrated_lufs(),
        silences=silence.stretches(),
        clipped=clipped,
        tags=tags,
    )


def _name(key: str, digest: str) -> str:
    """A file name that people recognise, and that no other song has."""
    stem = re.sub("[^a-z0-9]+", "-", Path(key).stem.lower()).strip("-")[:40] or "song"
    return f"{stem}.{hashlib.sha256(f'{key} {digest}'.encode()).hexdigest()[:10]}"


@contextmanager
def _writing(part: Path) -> Iterator[None]:
    import soundfile

    try:
        yield
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        raise DataError(
            f"{part.parent} cannot be written ({error}): make room or name another folder; what is done stays."
        ) from error
