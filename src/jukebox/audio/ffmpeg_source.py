"""Files that FFmpeg reads through PyAV: MP3, M4A, Vorbis, Opus, and all that libsndfile does not know.

libsndfile 1.2.2 reads MP3, Vorbis and Opus too, but prints warnings about MP3 on the terminal, seeks to wrong samples
in Vorbis, and the last block of an Opus file can be noise.
"""

from collections.abc import Iterator
from contextlib import suppress
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
# uses up to ten frames before it. One second costs 3 ms and gave identical samples for all four formats.
_PREROLL_S = 1.0
# A lost Ogg page leaves a hole; time stamps of other formats have holes for other reasons.
_HOLE_TOLERANCE_S = 0.05
# Lengths in MP4 headers include the encoder's delay or not, depending on the program that wrote them.
_LENGTH_TOLERANCE_S = 0.25

# FFmpeg's names of what it may open. Play lists are not among them: it would wait for the network for ever.
_FORMATS = "aac,ac3,aiff,amr,ape,asf,au,avi,caf,eac3,flac,flv,matroska,mov,mp3,mpc,mpegts,ogg,tta,w64,wav,wv"


class FfmpegSource:
    """A file that FFmpeg reads; these four formats seek, anything else is decoded from its beginning.

    A range equals the same range of the whole file exactly, except where AAC fills bands with noise: the decoder
    draws that by chance, from where it begins.
    """

    def __init__(self, path: Path, announced: str | None) -> None:
        """Read the header of `path`; `announced` is the container that its first bytes name, if they do."""
        from av.error import FFmpegError

        self.path = path
        try:
            with _open(path) as container:
                if not container.streams.audio:
                    raise AudioError(f"{path} has no sound in it: give a {headers.READABLE} file")
                first, first_end_tick = next(_frames(container), (None, None))
                if first is None:
                    raise _undecodable(path, announced)
                stream, name = container.streams.audio[0], container.format.name
                codec, duration_ticks = stream.codec_context.codec.canonical_name, stream.duration
                self._samples_per_tick = (stream.time_base or Fraction(1, first.sample_rate)) * first.sample_rate
        except FFmpegError as error:
            raise _undecodable(path, announced) from error
        name = "m4a" if "m4a" in name else name.split(",")[0]
        # The place of the first decoded sample on the file's own clock.
        self._origin_samples = round((first_end_tick or 0) * self._samples_per_tick) - first.samples
        self._cut = name == "ogg" and not headers.ogg_is_complete(path)
        counted = name == "mp3" and headers.mp3_counts_its_frames(path)
        reliable = name == "m4a" or counted or (codec == "vorbis" and not self._cut)
        if duration_ticks is not None and reliable:
            samples = round(duration_ticks * self._samples_per_tick)
        else:
            samples = round(_last_tick(path) * self._samples_per_tick) - self._origin_samples
            reliable = False
        self.promised_samples = samples if reliable else None
        self.info = AudioInfo(
            sample_rate=first.sample_rate,
            channels=first.layout.nb_channels,
            samples=samples,
            container=name,
            codec=codec,
        )
        # Time stamps name the exact sample only where they are at least as fine as the sample rate.
        precise = first_end_tick is not None and self._samples_per_tick.numerator == 1
        self._seeks = precise and (name in ("mp3", "m4a") or codec in ("vorbis", "opus"))

    def blocks(self, start_samples: int) -> Iterator[Samples]:
        """Yield blocks, one per packet, from `start_samples` on."""
        seek_samples = start_samples - round(_PREROLL_S * self.info.sample_rate)
        found = False
        if self._seeks and seek_samples > 0:
            for block in self._blocks(start_samples, seek_samples):
                found = True
                yield block
        if not found:  # after a seek beyond a cut too: reading up to the cut tells where it is
            yield from self._blocks(start_samples, 0)

    def _blocks(self, start_samples: int, seek_samples: int) -> Iterator[Samples]:
        from av.error import FFmpegError

        rate, promised = self.info.sample_rate, self.promised_samples
        position = None if seek_samples else 0
        try:
            with _open(self.path) as container:
                if seek_samples:
                    tick = (self._origin_samples + seek_samples) / self._samples_per_tick
                    container.seek(int(tick), stream=container.streams.audio[0])
                for frame, end_tick in _frames(container):
                    end = round((end_tick or 0) * self._samples_per_tick) - self._origin_samples
                    position = end - frame.samples if position is None else position
                    block = _float_samples(frame)
                    hole = self.info.container == "ogg" and end - len(block) - position > _HOLE_TOLERANCE_S * rate
                    if hole or (frame.sample_rate, block.shape[1]) != (rate, self.info.channels):
                        raise broken(self, position)
                    if promised is not None:  # AAC fills its last frame: players leave that out
                        block = block[: max(0, promised - position)]
                    wanted = block[max(0, start_samples - position) :]
                    position += len(block)
                    if len(wanted):
                        yield wanted
        except FFmpegError as error:
            if position is not None:
                raise broken(self, position) from error
        shortest = 0 if promised is None else promised - _LENGTH_TOLERANCE_S * rate
        if position is not None and (self._cut or position < shortest):
            raise broken(self, position)


def open_with_ffmpeg(path: Path, *, text_encoding: str = "utf-8", text_errors: str = "strict") -> "InputContainer":
    """Open a local file that holds sound itself; text in another encoding raises UnicodeDecodeError if strict."""
    import av

    return av.open(
        str(path),
        metadata_encoding=text_encoding,
        metadata_errors=text_errors,
        options={"format_whitelist": _FORMATS, "protocol_whitelist": "file"},
    )


def _open(path: Path) -> "InputContainer":
    return open_with_ffmpeg(path, text_errors="ignore")


def _frames(container: "InputContainer") -> Iterator[tuple["AudioFrame", int | None]]:
    """Decode the first audio stream; junk before its first and after its last good packet is passed over.

    With each frame comes the time at which its packet ends. The time at which a Vorbis packet begins is wrong by
    some hundred samples at the beginning of a page, its end never.
    """
    from av.error import FFmpegError

    damage: FFmpegError | None = None
    begun = False
    for packet in container.demux(container.streams.audio[0]):
        try:
            frames = packet.decode()
        except FFmpegError as error:
            damage = error if begun else None
            continue
        if frames and damage is not None:
            raise damage
        begun = begun or bool(frames)
        end_tick = packet.pts + packet.duration if packet.pts is not None and packet.duration else None
        for frame in frames:
            yield frame, end_tick


def _float_samples(frame: "AudioFrame") -> Samples:
    values = frame.to_ndarray()
    values = values.T if frame.format.is_planar else values.reshape(frame.samples, -1)
    if values.dtype.kind == "u":
        return (values.astype(np.float32) - 128) / 128
    if values.dtype.kind == "i":
        return (values / 2.0 ** (8 * values.itemsize - 1)).astype(np.float32)
    return values.astype(np.float32)


def _last_tick(path: Path) -> int:
    """Find the end packet by packet, undecoded: headers without a length lead FFmpeg to guess."""
    from av.error import FFmpegError

    last = 0
    with _open(path) as container, suppress(FFmpegError):  # decoding will say where the file is damaged
        for packet in container.demux(container.streams.audio[0]):
            last = max(last, (packet.pts or 0) + (packet.duration or 0))
    return last


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
