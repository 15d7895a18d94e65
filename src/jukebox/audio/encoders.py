"""The two encoders behind `Writer`: FFmpeg (PyAV) for WAV, FLAC and MP3, libsndfile for OGG/Vorbis."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

FULL_SCALE_24_BIT = 2**23

# libsndfile crashes when a long Vorbis file is written in one call.
_VORBIS_BLOCK_SAMPLES = 65_536

Block = Float32[np.ndarray, "channels samples"]


@runtime_checkable
class Encoder(Protocol):
    """A file that grows; it is complete after `close`."""

    def write(self, block: Block) -> None:
        """Append sound."""
        ...

    def close(self) -> None:
        """Write what is still held, and the final header."""
        ...


@dataclass(frozen=True, kw_only=True)
class FfmpegFormat:
    """How FFmpeg writes one kind of file."""

    container: str
    codec: str
    sample_format: str
    container_options: Mapping[str, str]
    codec_options: Mapping[str, str]


FFMPEG_FORMATS = {
    ".wav": FfmpegFormat(
        container="wav",
        codec="pcm_s24le",
        sample_format="s32",
        container_options={"rf64": "auto"},  # beyond 4 GiB
        codec_options={},
    ),
    ".flac": FfmpegFormat(container="flac", codec="flac", sample_format="s32", container_options={}, codec_options={}),
    ".mp3": FfmpegFormat(
        container="mp3",
        codec="libmp3lame",
        sample_format="fltp",
        container_options={"id3v2_version": "0"},  # FFmpeg has no lyrics frame: `tags` writes the ID3 tag
        codec_options={"flags": "+qscale", "global_quality": "0"},
    ),
}


class FfmpegEncoder:
    """WAV and FLAC with 24 bits, MP3 with LAME's best variable rate."""

    def __init__(self, path: Path, suffix: str, channels: int, sample_rate: int, fields: Mapping[str, str]) -> None:
        import av

        kind = FFMPEG_FORMATS[suffix]
        self._sample_format = kind.sample_format
        self._layout = "mono" if channels == 1 else "stereo"
        self._sample_rate = sample_rate
        self._written_samples = 0
        self._container = av.open(str(path), "w", format=kind.container, options=dict(kind.container_options))
        stream = self._container.add_stream(
            kind.codec, rate=sample_rate, layout=self._layout, options=dict(kind.codec_options)
        )
        assert isinstance(stream, av.AudioStream)
        stream.codec_context.format = kind.sample_format
        self._stream = stream
        self._container.metadata.update(fields)

    def write(self, block: Block) -> None:
        """Append sound; integer formats hold the nearest of 2**24 values, clipped to full scale."""
        import av

        values = np.ascontiguousarray(block)
        if self._sample_format == "s32":
            integers = np.rint(block.T * FULL_SCALE_24_BIT).clip(-FULL_SCALE_24_BIT, FULL_SCALE_24_BIT - 1)
            values = integers.astype(np.int32).reshape(1, -1) * 256  # 24 bits at the upper end of 32
        frame = av.AudioFrame.from_ndarray(values, format=self._sample_format, layout=self._layout)
        frame.sample_rate, frame.time_base = self._sample_rate, Fraction(1, self._sample_rate)
        frame.pts = self._written_samples
        self._written_samples += block.shape[1]
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write the last packets and the lengths in the header."""
        try:
            self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()


class VorbisEncoder:
    """OGG/Vorbis of quality 8 by libsndfile: PyAV's wheels have no good Vorbis encoder."""

    def __init__(self, path: Path, channels: int, sample_rate: int) -> None:
        import soundfile

        self._file = soundfile.SoundFile(
            path, "w", sample_rate, channels, format="OGG", subtype="VORBIS", compression_level=0.2
        )
        self._held = np.zeros((channels, 0), np.float32)

    def write(self, block: Block) -> None:
        """Append sound; the encoder is given blocks of one length, as what it makes depends on theirs."""
        joined = np.concatenate((self._held, block), axis=1)
        whole = joined.shape[1] // _VORBIS_BLOCK_SAMPLES * _VORBIS_BLOCK_SAMPLES
        for start in range(0, whole, _VORBIS_BLOCK_SAMPLES):
            self._file.write(joined[:, start : start + _VORBIS_BLOCK_SAMPLES].T)
        self._held = joined[:, whole:].copy()

    def close(self) -> None:
        """Write what is held and the last page."""
        try:
            self._file.write(self._held.T)
        finally:
            self._file.close()
