"""The comment header of an Ogg Vorbis file, replaced without touching the sound.

libsndfile writes only a few fixed fields, and FFmpeg's stream copy changes the length of short files.
The layout is that of RFC 3533 (pages) and of the Vorbis I specification, section 5 (comments).
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

_HEADER = struct.Struct("<4sBBqIIIB")  # magic, version, flags, granule, serial, number, checksum, segments
_CONTINUED = 1
_MOST_SEGMENTS = 255
_NO_PACKET_ENDS = -1
_COMMENT_MAGIC = b"\x03vorbis"
_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, kw_only=True)
class _Page:
    flags: int
    granule: int
    serial: int
    number: int
    lacing: bytes  # lengths of the segments: a packet is a run of 255s and one smaller length
    body: bytes

    def to_bytes(self) -> bytes:
        fields = (b"OggS", 0, self.flags, self.granule, self.serial, self.number)
        rest = self.lacing + self.body
        checksum = _checksum(_HEADER.pack(*fields, 0, len(self.lacing)) + rest)
        return _HEADER.pack(*fields, checksum, len(self.lacing)) + rest


def replace_comments(source: Path, target: Path, fields: Mapping[str, str]) -> None:
    """Copy an Ogg file that holds one Vorbis stream, with `fields` as its comments.

    Args:
        source: the file as the encoder wrote it.
        target: where the copy goes, another file.
        fields: names (printable ASCII without `=`) and texts.
    """
    with target.open("wb") as copy:
        for number, page in enumerate(_new_pages(_read_pages(source), fields)):
            copy.write(replace(page, number=number).to_bytes())


def replace_serial(source: Path, target: Path, serial: int) -> None:
    """Copy an Ogg file that holds one stream under another serial number, which encoders draw by chance.

    Args:
        source: the file as the encoder wrote it.
        target: where the copy goes, another file.
        serial: 0 to 2**32 - 1.
    """
    with target.open("wb") as copy:
        for page in _read_pages(source):
            copy.write(replace(page, serial=serial).to_bytes())


def _new_pages(pages: Iterator[_Page], fields: Mapping[str, str]) -> Iterator[_Page]:
    first = next(pages)
    yield first
    # The comment packet and the set-up packet fill the next pages; the sound begins on a page of its own.
    lacing, body = b"", b""
    while sum(length < 255 for length in lacing) < 2:
        page = next(pages)
        lacing, body = lacing + page.lacing, body + page.body
    comment_segments = 1 + next(place for place, length in enumerate(lacing) if length < 255)
    comment_bytes = sum(lacing[:comment_segments])
    packets = (_comment_packet(body[:comment_bytes], fields), body[comment_bytes:])
    yield from _header_pages(packets, first.serial)
    yield from pages


def _read_pages(source: Path) -> Iterator[_Page]:
    with source.open("rb") as file:
        while len(header := file.read(_HEADER.size)) == _HEADER.size:
            _, _, flags, granule, serial, number, _, segments = _HEADER.unpack(header)
            lacing = file.read(segments)
            body = file.read(sum(lacing))
            yield _Page(flags=flags, granule=granule, serial=serial, number=number, lacing=lacing, body=body)


def _header_pages(packets: tuple[bytes, bytes], serial: int) -> Iterator[_Page]:
    body = b"".join(packets)
    lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    start = 0
    for place in range(0, len(lacing), _MOST_SEGMENTS):
        segments = lacing[place : place + _MOST_SEGMENTS]
        end = start + sum(segments)
        yield _Page(
            flags=_CONTINUED if place and lacing[place - 1] == 255 else 0,
            granule=0 if min(segments) < 255 else _NO_PACKET_ENDS,
            serial=serial,
            number=0,
            lacing=segments,
            body=body[start:end],
        )
        start = end


def _comment_packet(old: bytes, fields: Mapping[str, str]) -> bytes:
    assert old.startswith(_COMMENT_MAGIC), "the second packet of a Vorbis stream holds its comments"
    (vendor_bytes,) = struct.unpack_from("<I", old, len(_COMMENT_MAGIC))
    vendor = old[: len(_COMMENT_MAGIC) + 4 + vendor_bytes]
    comments = [f"{name}={text}".encode() for name, text in fields.items()]
    listed = b"".join(struct.pack("<I", len(comment)) + comment for comment in comments)
    return vendor + struct.pack("<I", len(comments)) + listed + b"\x01"


def _checksum(page: bytes) -> int:
    # Ogg's checksum has zlib's polynomial, with the bits of each byte in the other order and no inversions.
    mirrored = zlib.crc32(page.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)
