"""What a sound file says about itself in its first and last bytes, where the libraries keep it to themselves.

The decoders stop silently where a cut file stops; these few facts tell a cut file from a whole one.
"""

import struct
from pathlib import Path

from jukebox.errors import AudioError

READABLE = "WAV, FLAC, OGG, Opus, MP3 or M4A"

# First bytes -> name. Everything else (MP3 may begin with anything) is left to FFmpeg, which looks deeper.
_MAGIC = ((b"fLaC", "flac"), (b"OggS", "ogg"), (b"RF64", "wav"), (b".snd", "au"), (b"caff", "caf"))
_PCM_TAGS = {0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE}
_UNKNOWN_SIZES = 0x7FFFF000  # programs that write into a pipe cannot know the size: from here to 2**32
_OGG_PAGE_MAX_BYTES = 65_307
_OGG_END_OF_STREAM = 4


def announced_container(path: Path) -> str | None:
    """Return the container that the first bytes of the file announce, or None where they do not tell.

    Raises:
        AudioError: the file is missing, a folder, not an ordinary file, empty or not to be opened.
    """
    if not path.exists():
        raise AudioError(f"there is no file {path}: check the name")
    if path.is_dir():
        raise AudioError(f"{path} is a folder, not a sound file: name one file in it")
    if not path.is_file():
        raise AudioError(f"{path} is not an ordinary file: copy the sound into a {READABLE} file first")
    if path.stat().st_size == 0:
        raise AudioError(f"{path} is empty (0 bytes): fetch or export it again")
    try:
        with path.open("rb") as file:
            head = file.read(36)
    except OSError as error:
        raise AudioError(f"{path} cannot be opened ({error.strerror}): check its permissions") from error
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    if head[4:8] == b"ftyp":
        return "m4a"
    if head[:4] == b"OggS" and head[28:] == b"OpusHead":
        return "opus"
    if head[:4] == b"OggS" and head[28:35] == b"\x01vorbis":
        return "vorbis"
    return next((name for magic, name in _MAGIC if head.startswith(magic)), None)


def wav_promised_samples(path: Path) -> int | None:
    """Return the samples per channel that a WAV header promises; None where it does not say."""
    with path.open("rb") as file:
        if file.read(12)[:4] != b"RIFF":
            return None
        bytes_per_frame = 0
        while len(chunk := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", chunk)
            if name == b"data":
                known = bytes_per_frame > 0 and 0 < size < _UNKNOWN_SIZES
                return size // bytes_per_frame if known else None
            if name == b"fmt ":
                tag, bytes_per_frame = struct.unpack("<H10xH", file.read(14))
                bytes_per_frame = bytes_per_frame if tag in _PCM_TAGS else 0
                size -= 14
            file.seek(size + size % 2, 1)
    return None


def ogg_is_complete(path: Path) -> bool:
    """Return whether the last page of an Ogg file is whole and marked as the last one."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _OGG_PAGE_MAX_BYTES))
        tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return False
    length = 27 + page[26] + sum(page[27 : 27 + page[26]])
    return len(page) >= length and bool(page[5] & _OGG_END_OF_STREAM)


def mp3_counts_its_frames(path: Path) -> bool:
    """Return whether an MP3 file begins with a Xing or Info frame that holds its number of frames."""
    with path.open("rb") as file:
        head = file.read(10)
        if head[:3] == b"ID3":
            seven_bits = head[6:10]
            file.seek(10 + sum(byte << (7 * place) for place, byte in enumerate(reversed(seven_bits))))
        else:
            file.seek(0)
        frame = file.read(256)
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    return at >= 0 and len(frame) >= at + 8 and bool(frame[at + 7] & 1)
