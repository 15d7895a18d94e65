"""The text inside a sound file: who plays what, with which words, made by which model.

Title, artist and genre go into each format's standard fields. Lyrics, model and seed go where players look
for them: FLAC and OGG fields of these names; an ID3 lyrics frame and user text frames for MP3; the comment
for WAV, which has no fields of free choice.
"""

import re
import struct
from dataclasses import dataclass, fields
from pathlib import Path

from jukebox.audio.ffmpeg_source import open_with_ffmpeg
from jukebox.audio.headers import READABLE, announced_container
from jukebox.errors import AudioError

_WAV_COMMENT = re.compile(r"(?:Model: ([^\n]*)\n?)?(?:Seed: (-?\d+)\n?)?(?:Lyrics:\n((?s:.*)))?")


@dataclass(frozen=True, kw_only=True)
class Tags:
    """The text fields of a sound file; None (or empty, when written) stands for a field that is not there.

    `title`, `artist`, `genre` and `model` are single lines; `lyrics` has any number of lines; `seed` is that
    of the random numbers that made the song.

    Raises:
        AudioError: a single-line field has a line break, or a field has a character that no file can hold.
    """

    title: str | None = None
    artist: str | None = None
    genre: str | None = None
    lyrics: str | None = None
    model: str | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        for name, text in self.texts().items():
            if name != "lyrics" and len(text.splitlines()) > 1:
                raise AudioError(f"the {name} {text!r} has a line break: give a single line")
            if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
                raise AudioError(f"the {name} {text!r} has a character that is not text: remove it")

    def texts(self) -> dict[str, str]:
        """Return the fields that are there, by name, as text."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: str(value) for name, value in values.items() if value not in (None, "")}


def read_tags(path: str | Path) -> Tags:
    """Read the tags of a sound file, as far as it has them.

    Raises:
        AudioError: the file is missing or is not a sound file.
    """
    path = Path(path).absolute()
    announced_container(path)
    try:
        found = _metadata(path, "utf-8")
    except UnicodeDecodeError:  # WAV and old MP3 files do not say how their text is encoded
        found = _metadata(path, "latin-1")
    lyrics = next((text for name, text in found.items() if name.startswith(("lyrics", "unsyncedlyrics"))), None)
    model, seed = found.get("model"), found.get("seed")
    if own := _WAV_COMMENT.fullmatch(found.get("comment", "")):
        model, seed, lyrics = model or own[1], seed or own[2], lyrics or own[3]
    return Tags(
        title=_line(found.get("title")),
        artist=_line(found.get("artist")),
        genre=_line(found.get("genre")),
        lyrics=lyrics,
        model=_line(model),
        seed=int(seed) if seed and re.fullmatch(r"-?\d{1,20}", seed) else None,
    )


def _metadata(path: Path, encoding: str) -> dict[str, str]:
    from av.error import FFmpegError

    try:
        with open_with_ffmpeg(path, text_encoding=encoding) as file:
            of_stream = file.streams.audio[0].metadata if file.streams.audio else {}
            return {name.lower(): text for name, text in (of_stream | file.metadata).items()}
    except FFmpegError as error:
        raise AudioError(f"{path} is not a sound file of a known format: give a {READABLE} file") from error


def _line(text: str | None) -> str | None:
    return " ".join(text.splitlines()) if text else None


def vorbis_fields(tags: Tags) -> dict[str, str]:
    """Return the Vorbis comments (FLAC, OGG) of `tags`."""
    return {name.upper(): text for name, text in tags.texts().items()}


def wav_fields(tags: Tags) -> dict[str, str]:
    """Return the fields of a WAV file's INFO list: title, artist, genre, and a comment for the rest."""
    texts = tags.texts()
    rest = [f"{name.capitalize()}: {texts[name]}" for name in ("model", "seed") if name in texts]
    rest += [f"Lyrics:\n{texts['lyrics']}"] if "lyrics" in texts else []
    standard = {name: texts[name] for name in ("title", "artist", "genre") if name in texts}
    return standard | ({"comment": "\n".join(rest)} if rest else {})


def id3_tag(tags: Tags) -> bytes:
    """Return an ID3v2.3 tag, the version that every player reads, for the beginning of an MP3 file."""
    texts = tags.texts()
    frames = [
        _id3_frame(name, _utf16(texts[field]))
        for name, field in (("TIT2", "title"), ("TPE1", "artist"), ("TCON", "genre"))
        if field in texts
    ]
    if "lyrics" in texts:
        frames.append(_id3_frame("USLT", b"und" + _utf16("") + b"\0\0" + _utf16(texts["lyrics"])))
    for name in ("model", "seed"):
        if name in texts:
            frames.append(_id3_frame("TXXX", _utf16(name) + b"\0\0" + _utf16(texts[name])))
    size = sum(map(len, frames))
    synchsafe = bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\x00\x00" + synchsafe + b"".join(frames)


def _id3_frame(name: str, content: bytes) -> bytes:
    encoding = b"\x01"  # UTF-16 with a byte order mark
    return name.encode() + struct.pack(">IH", len(content) + 1, 0) + encoding + content


def _utf16(text: str) -> bytes:
    return b"\xff\xfe" + text.encode("utf-16-le")
