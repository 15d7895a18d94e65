"""Two or three takes of one song as left, right and centre.

The models write one channel. Takes that share their top level (`jukebox upsample SKETCH --takes 2`) sing the same, and
differ in what the finer levels made of it: side by side they are one song with a wide sound, whose low tones stay in
the middle. The practice is that of the original's users.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from jukebox.audio.io import Writer, probe, read_tags, stream
from jukebox.checkpoints.codes import CODES_SUFFIX, load_codes
from jukebox.errors import ConfigError, DataError
from jukebox.song import sound_of

STEREO = "song_stereo.flac"
"""Where it is usually kept, in the session."""

Block = Float[Tensor, "channels samples"]

_CENTRE = math.sqrt(0.5)
"""Of the centre in each channel: as loud as one channel alone."""


def write_stereo(session: Path, takes: Sequence[str], path: Path) -> None:
    """Write takes of a session into a file of two channels, whose suffix names the format.

    Args:
        session: its folder.
        takes: names of two takes, left and right, or of three, left, centre and right.
        path: the file.

    Raises:
        ConfigError: another number of takes, or the file is one of them.
        DataError: a take is not finished, or they are not of one song: their codes of the top level differ.
        AudioError: the file cannot be written.
    """
    if len(takes) not in (2, 3) or len(set(takes)) != len(takes):
        named = ", ".join(takes) or "none"
        raise ConfigError(f"Stereo is made of two or three different takes; these are {named}: name them by --takes.")
    sounds = [sound_of(session, take) for take in takes]
    _check_one_song(session, takes)
    if path.resolve() in [sound.resolve() for sound in sounds]:
        raise ConfigError(f"{path} is one of the takes themselves; name another file.")
    info = probe(sounds[0])
    with Writer(path, channels=2, sample_rate=info.sample_rate, tags=read_tags(sounds[0])) as writer:
        for block in panned([stream(sound, sample_rate=info.sample_rate) for sound in sounds]):
            writer.write(block)


def panned(sounds: Sequence[Iterator[Block]]) -> Iterator[Float[Tensor, "2 samples"]]:
    """Blocks of two sounds as left and right, or of three with one in the middle; never louder than the loudest."""
    for blocks in zip(*sounds, strict=True):
        left, *centre, right = (block.mean(0) for block in blocks)
        sides = torch.stack([left, right])
        yield (sides + _CENTRE * centre[0]) / (1 + _CENTRE) if centre else sides


def _check_one_song(session: Path, takes: Sequence[str]) -> None:
    files = [load_codes(session / f"{take}{CODES_SUFFIX}") for take in takes]
    top = max(files[0].codes)
    for take, file in zip(takes, files, strict=True):
        if top not in file.codes or not torch.equal(file.codes[top], files[0].codes[top]):
            raise DataError(
                f"{takes[0]} and {take} of {session} are not the same song: their codes of level {top} differ; make "
                "takes of one sketch by `jukebox upsample SKETCH --item TAKE --takes 2`."
            )
