"""Reading sound: what a file is, a range of it at once, or block by block in bounded memory."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from jukebox.audio import headers
from jukebox.audio.ffmpeg_source import FfmpegSource
from jukebox.audio.soundfile_source import SoundFileSource
from jukebox.audio.source import AudioInfo, Samples, Source
from jukebox.errors import AudioError

SAMPLE_RATE = 44_100

# A FLAC file that was written into a pipe does not know its length: libsndfile then says 2**63 - 1.
_ENDLESS_SAMPLES = 2**62
# FFmpeg mistakes the length of Vorbis sound that fits into one Ogg page: 64 KiB at most, and the headers.
_TINY_OGG_BYTES = 80_000
# A resampled range begins this much earlier, at the lower of the two rates: more than the resampler's filter.
_FILTER_SAMPLES = 1024


def probe(path: str | Path) -> AudioInfo:
    """Return sample rate, channels and length of a sound file from its header.

    Raises:
        AudioError: the file is missing, a folder, empty, of an unknown format or damaged at its beginning.
    """
    return _open_source(path).info


def read(
    path: str | Path, *, start_s: float = 0.0, duration_s: float | None = None, sample_rate: int = SAMPLE_RATE
) -> Float[Tensor, "channels samples"]:
    """Read a range of a sound file: the blocks of `stream`, in one piece, with the same arguments and errors.

    Returns:
        float32 [channels, samples]; full scale is [-1, 1], and louder files are not clipped.
    """
    blocks = list(stream(path, start_s=start_s, duration_s=duration_s, sample_rate=sample_rate))
    return torch.cat(blocks, dim=1)


def stream(
    path: str | Path,
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
    sample_rate: int = SAMPLE_RATE,
    block_samples: int = 4 * 65_536,
) -> Iterator[Float[Tensor, "channels samples"]]:
    """Read a range of a sound file block by block, in memory that does not depend on the file's length.

    A range equals the same range of the whole file: exactly at the file's own rate, to 1e-5 when resampled.

    Args:
        path: the file: WAV, FLAC, OGG, Opus, MP3, M4A or another that FFmpeg knows.
        start_s: where to begin, in seconds.
        duration_s: how much to read, in seconds; None, or more than there is, reads to the end.
        sample_rate: rate of the result in Hz; a file of another rate is resampled (soxr, very high quality),
            and n samples become round(n * sample_rate / rate of the file).
        block_samples: length of every block but the last.

    Returns:
        An iterator of float32 [channels, samples]; full scale is [-1, 1], and louder files are not clipped.

    Raises:
        AudioError: at the call, for a file that `probe` refuses, an impossible range or a range that begins
            after the end; while iterating, where the file is cut off or damaged, or holds NaN or infinite
            values. All that is good before that place has been yielded then, and a range that ends before it
            is read without error.
    """
    if not (math.isfinite(start_s) and start_s >= 0):
        raise AudioError(f"start_s is {start_s}: give a number of seconds that is not negative")
    if duration_s is not None and not (math.isfinite(duration_s) and round(duration_s * sample_rate) > 0):
        raise AudioError(f"duration_s is {duration_s}: give a number of seconds above zero")
    if sample_rate < 1 or block_samples < 1:
        raise AudioError(f"sample_rate is {sample_rate} and block_samples {block_samples}: give numbers above zero")
    source = _open_source(path)
    info = source.info
    first = round(start_s * sample_rate)
    if first >= round(info.samples * sample_rate / info.sample_rate):
        raise _starts_after_end(source)
    wanted = None if duration_s is None else round(duration_s * sample_rate)
    return _in_blocks(_range(source, first, wanted, sample_rate), block_samples)


def _open_source(path: str | Path) -> Source:
    path = Path(path).absolute()
    container = headers.announced_container(path)
    tiny = path.stat().st_size < _TINY_OGG_BYTES
    if container in (None, "m4a", "opus") or (container == "vorbis" and not tiny):
        return FfmpegSource(path, container)
    import soundfile

    try:
        source = SoundFileSource(path)
    except soundfile.LibsndfileError:
        return FfmpegSource(path, container)  # for instance Ogg with Speex in it: FFmpeg may know more
    return source if 0 < source.info.samples < _ENDLESS_SAMPLES else FfmpegSource(path, container)


def _starts_after_end(source: Source) -> AudioError:
    return AudioError(f"{source.path} is {source.info.duration_s:.2f} s long: begin before its end")


def _range(source: Source, first: int, wanted: int | None, sample_rate: int) -> Iterator[Samples]:
    """Yield the samples first .. first + wanted of the file at `sample_rate`."""
    pieces, skip = _pieces(source, first, sample_rate)
    yielded = 0
    for piece in pieces:
        kept = piece[skip:] if wanted is None else piece[skip : skip + wanted - yielded]
        skip = max(0, skip - len(piece))
        yielded += len(kept)
        if len(kept):
            yield kept
        if yielded == wanted:
            return
    if not yielded:
        raise _starts_after_end(source)


def _pieces(source: Source, first: int, sample_rate: int) -> tuple[Iterator[Samples], int]:
    """Return the file at `sample_rate` from a place at or before `first`, and the samples between the two."""
    file_rate = source.info.sample_rate
    if file_rate == sample_rate:
        return _finite_blocks(source, first), 0
    # Begin where an input and an output sample coincide: its phase is that of the whole file then.
    common = math.gcd(file_rate, sample_rate)
    step, file_step = sample_rate // common, file_rate // common
    filter_samples = math.ceil(_FILTER_SAMPLES * max(1.0, sample_rate / file_rate))
    steps = max(0, first - filter_samples) // step
    return _resampled(source, steps * file_step, sample_rate), first - steps * step


def _resampled(source: Source, start_samples: int, sample_rate: int) -> Iterator[Samples]:
    import soxr

    info, failure = source.info, None
    resampler = soxr.ResampleStream(info.sample_rate, sample_rate, info.channels, dtype="float32", quality="VHQ")
    try:
        for block in _finite_blocks(source, start_samples):
            yield resampler.resample_chunk(block)
    except AudioError as error:  # what the resampler still holds is good, and may be all that was asked for
        failure = error
    yield resampler.resample_chunk(np.zeros((0, info.channels), np.float32), last=True)
    if failure is not None:
        raise failure


def _finite_blocks(source: Source, start_samples: int) -> Iterator[Samples]:
    """Stop before the first value that is not a number: a resampler would spread it over its neighbours."""
    position = start_samples
    for block in source.blocks(start_samples):
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            good = int(finite.argmin())
            yield block[:good]
            at_s = (position + good) / source.info.sample_rate
            raise AudioError(f"{source.path} has NaN or infinite values from {at_s:.3f} s on: export it again")
        position += len(block)
        yield block


def _in_blocks(pieces: Iterator[Samples], block_samples: int) -> Iterator[Float[Tensor, "channels samples"]]:
    held: list[Samples] = []
    held_samples, failure = 0, None
    try:
        for piece in pieces:
            held.append(piece)
            held_samples += len(piece)
            while held_samples >= block_samples:
                joined = np.concatenate(held)
                yield _tensor(joined[:block_samples])
                held, held_samples = [joined[block_samples:]], held_samples - block_samples
    except AudioError as error:
        failure = error
    if held_samples:
        yield _tensor(np.concatenate(held))
    if failure is not None:
        raise failure


def _tensor(samples: Samples) -> Float[Tensor, "channels samples"]:
    return torch.from_numpy(np.ascontiguousarray(samples.T))
