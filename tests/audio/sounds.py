"""Sound files for the tests, made on the spot: a chord with noise, in any format that the libraries write."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
import torch
from torch import Tensor


def chord(channels: int = 2, samples: int = 44_100, sample_rate: int = 44_100, seed: int = 0) -> Tensor:
    """Float32 [channels, samples], different in each channel, peak below 0.6."""
    time_s = torch.arange(samples, dtype=torch.float64) / sample_rate
    tones = torch.stack([torch.sin(2 * torch.pi * (220 + 110 * k) * time_s) for k in range(channels)])
    noise = torch.randn(channels, samples, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (0.4 * tones + 0.03 * noise.clamp(-4, 4)).float()


def sine(frequency_hz: float, sample_rate: int, samples: int) -> Tensor:
    time_s = torch.arange(samples, dtype=torch.float64) / sample_rate
    return 0.5 * torch.sin(2 * torch.pi * frequency_hz * time_s).float()[None]


def save(path: Path, audio: Tensor, sample_rate: int = 44_100, subtype: str | None = None) -> Path:
    """Write with libsndfile; the container follows from the suffix."""
    container = {".opus": "OGG", ".ogg": "OGG"}.get(path.suffix)
    subtype = subtype or {".opus": "OPUS", ".ogg": "VORBIS", ".flac": "PCM_24"}.get(path.suffix)
    soundfile.write(path, audio.numpy().T, sample_rate, subtype=subtype, format=container)
    return path


def save_with_ffmpeg(
    path: Path, audio: Tensor, codec: str, container: str, sample_rate: int = 44_100, options: Mapping = {}
) -> Path:
    """Write with FFmpeg, for what libsndfile does not write."""
    # Without noise substitution: its noise is drawn anew at each decoding of a range.
    codec_options = {"aac_pns": "0"} if codec == "aac" else {}
    layout = "mono" if audio.shape[0] == 1 else "stereo"
    with av.open(str(path), "w", format=container, options=dict(options)) as file:
        stream = file.add_stream(codec, rate=sample_rate, layout=layout, options=codec_options)
        stream.codec_context.format = "fltp"
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio.numpy()), format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = sample_rate, 0, Fraction(1, sample_rate)
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def save_m4a(path: Path, audio: Tensor, sample_rate: int = 44_100, index_first: bool = False) -> Path:
    options = {"movflags": "faststart"} if index_first else {}
    return save_with_ffmpeg(path, audio, "aac", "ipod", sample_rate, options)


def save_mp3(path: Path, audio: Tensor, sample_rate: int = 44_100, counted: bool = True) -> Path:
    return save_with_ffmpeg(
        path, audio, "libmp3lame", "mp3", sample_rate, {"write_xing": str(int(counted)), "id3v2_version": "0"}
    )


def cut(path: Path, share: float = 0.5) -> Path:
    """Keep the first part of a file's bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    return path


def damage(path: Path, share: float = 0.5, count: int = 300) -> Path:
    """Overwrite some bytes in the middle of a file."""
    data = bytearray(path.read_bytes())
    place = int(share * len(data))
    data[place : place + count] = np.random.default_rng(0).bytes(count)
    path.write_bytes(data)
    return path
