"""Files that FFmpeg reads through PyAV: MP3, M4A, and all that libsndfile does not know.

libsndfile reads MP3 too, but its decoder prints warnings on the terminal.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jukebox.audio import headers
from jukebox.audio.source import AudioInfo, Samples, broken
from jukebox.errors import AudioError

if TYPE_CHECKING:
    from av import AudioFrame
    from av.container import InputContainer

# A lossy decoder that starts in the middle needs some packets until its output is the usual one: an MP3 frame
# uses up to ten frames before it. One second costs 3 ms and gave identical samples for MP3 and AAC.
_PREROLL_S = 1.0
# Lengths in MP4 headers include the encoder's delay or not, depending on the program that wrote them.
_LENGTH_TOLERANCE_S = 0.25


class FfmpegSource:
    """A file that FFmpeg reads; MP3 and M4A seek, anything else is decoded from its beginning.

    A range equals the same range of the whole file exactly, except where AAC fills bands with noise: the decoder
    draws that by chance, from where it begins.
    """

    def __init__(self, path: Path, announced: str | None) -> None:
        """Read the header of `path`; `announced` is the container that its first bytes name, if they do."""
        import av

        self.path = path
        try:
            with _open(path) as container:
                if not container.streams.audio:
                    raise AudioError(f"{path} has no sound in it: give a {headers.READABLE} file")
                first = next(_frames(container), None)
                if first is None:
                    raise _undecodable(path, announced)
                stream, name = container.streams.audio[0], container.format.name
                codec, duration_ticks = stream.codec_context.codec.canonical_name, stream.duration
                tick_s = stream.time_base or Fraction(1, first.sample_rate)
            name = "m4a" if "m4a" in name else name.split(",")[0]
            reliable = name == "m4a" or (name == "mp3" and headers.mp3_counts_its_frames(path))
            if duration_ticks is None or not reliable:
                duration_ticks, reliable = _counted_ticks(path), False
        except av.FFmpegError as error:
            raise _undecodable(path, announced) from error
        self._samples_per_tick = tick_s * first.sample_rate
        self.info = AudioInfo(
            sample_rate=first.sample_rate,
            channels=first.layout.nb_channels,
            samples=round(duration_ticks * self._samples_per_tick),
            container=name,
            codec=codec,
        )
        self.promised_samples = self.info.samples if reliable else None
        # Time stamps name the exact sample only where they are at least as fine as the sample rate.
        seeks = name in ("mp3", "m4a") and self._samples_per_tick.numerator == 1
        self._first_tick = first.pts if seeks else None

    def blocks(self, start_samples: int) -> Iterator[Samples]:
        """Yield blocks, one per packet, from `start_samples` on."""
        seek_samples = start_samples - round(_PREROLL_S * self.info.sample_rate)
        found = False
        if self._first_tick is not None and seek_samples > 0:
            for block in self._blocks(start_samples, seek_samples):
                found = True
                yield block
        if not found:  # after a seek beyond a cut too: reading up to the cut tells where it is
            yield from self._blocks(start_samples, 0)

    def _blocks(self, start_samples: int, seek_samples: int) -> Iterator[Samples]:
        import av

        rate, promised = self.info.sample_rate, self.promised_samples
        position = None if seek_samples else 0
        try:
            with _open(self.path) as container:
                if seek_samples:
                    self._seek(container, seek_samples)
                for frame in _frames(container):
                    if position is None:
                        position = self._position(frame)
                    block = _float_samples(frame)
                    if (frame.sample_rate, block.shape[1]) != (rate, self.info.channels):
                        raise broken(self, position)
                    if promised is not None:  # AAC fills its last frame: players leave that out
                        block = block[: max(0, promised - position)]
                    wanted = block[max(0, start_samples - position) :]
                    position += len(block)
                    if len(wanted):
                        yield wanted
        except av.FFmpegError as error:
            if position is not None:
                raise broken(self, position) from error
        if position is not None and promised is not None and position < promised - _LENGTH_TOLERANCE_S * rate:
            raise broken(self, position)

    def _seek(self, container: "InputContainer", samples: int) -> None:
        tick = (self._first_tick or 0) + int(samples / self._samples_per_tick)
        container.seek(tick, stream=container.streams.audio[0])

    def _position(self, frame: "AudioFrame") -> int:
        return round(((frame.pts or 0) - (self._first_tick or 0)) * self._samples_per_tick)


def _open(path: Path) -> "InputContainer":
    import av

    # Text in odd encodings must not keep the sound from being read; play lists must not reach the network.
    return av.open(str(path), metadata_errors="ignore", options={"protocol_whitelist": "file"})


def _frames(container: "InputContainer") -> Iterator["AudioFrame"]:
    """Decode the first audio stream; junk before its first and after its last good packet is passed over."""
    import av

    damage: av.FFmpegError | None = None
    begun = False
    for packet in container.demux(container.streams.audio[0]):
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            damage = error if begun else None
            continue
        if frames and damage is not None:
            raise damage
        begun = begun or bool(frames)
        yield from frames


def _float_samples(frame: "AudioFrame") -> Samples:
    values = frame.to_ndarray()
    values = values.T if frame.format.is_planar else values.reshape(frame.samples, -1)
    if values.dtype.kind == "u":
        return (values.astype(np.float32) - 128) / 128
    if values.dtype.kind == "i":
        return (values / 2.0 ** (8 * values.itemsize - 1)).astype(np.float32)
    return values.astype(np.float32)


def _counted_ticks(path: Path) -> int:
    """Count the length packet by packet, undecoded: headers without a length lead FFmpeg to guess."""
    with _open(path) as container:
        return sum(packet.duration or 0 for packet in container.demux(container.streams.audio[0]))


def _undecodable(path: Path, announced: str | None) -> AudioError:
    if announced == "m4a":
        return AudioError(
            f"{path} is an M4A file without a usable index, which is written last, so it was probably"
            " cut off: fetch it again, nothing of it can be read"
        )
    if announced is not None or path.suffix.lower() in (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a"):
        kind = announced or path.suffix[1:].lower()
        return AudioError(
            f"{path} looks like {kind.upper()} but holds no sound that can be decoded:"
            " it is damaged or not what its name says, fetch or export it again"
        )
    return AudioError(f"{path} is not a sound file of a known format: give a {headers.READABLE} file")
