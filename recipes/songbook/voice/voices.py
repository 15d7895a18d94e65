"""The singers: which engine speaks for each, how it is changed, and what it can sing."""

from dataclasses import dataclass
from typing import Literal

from jukebox.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Voice:
    """A singer.

    Attributes:
        name: the first part of the artist's name.
        engine, speaker: what speaks the phones.
        formants: factor on all formant frequencies; below 1 is a larger throat.
        lowest, highest: MIDI pitches that it sings comfortably.
        breath: noise in vowels, 0 to 1.
        tilt_db: per octave; above 0 is brighter.
        consonants_db: by how much consonants are lifted.
        vibrato_cents: to either side.
        share: how often it is chosen, beside the others.
        licence: of the voice data.
    """

    name: str
    engine: Literal["hts", "flite"]
    speaker: str
    formants: float
    lowest: int
    highest: int
    breath: float = 0.0
    tilt_db: float = 0.0
    consonants_db: float = 0.0
    vibrato_cents: float = 35.0
    share: float = 1.0
    licence: str


FREE = "free software licence of Carnegie Mellon University, without restriction of use"
VOICES = {
    voice.name: voice
    for voice in (
        Voice(name="Sally Tenor", engine="hts", speaker="slt", formants=0.85, lowest=48, highest=67, licence=FREE),
        Voice(
            name="Sally Alto",
            engine="hts",
            speaker="slt",
            formants=0.94,
            lowest=53,
            highest=70,
            breath=0.1,
            licence=FREE,
        ),
        Voice(name="Alan Tenor", engine="flite", speaker="awb", formants=1.0, lowest=46, highest=67, licence=FREE),
        Voice(name="Robert Baritone", engine="flite", speaker="rms", formants=1.0, lowest=43, highest=64, licence=FREE),
        Voice(name="Kevin Bass", engine="flite", speaker="kal16", formants=0.95, lowest=43, highest=62, licence=FREE),
    )
}


def voice_named(name: str) -> Voice:
    """The voice of a name.

    Raises:
        ConfigError: there is none.
    """
    if name not in VOICES:
        raise ConfigError(f"There is no voice {name!r}: the voices are {', '.join(VOICES)}.")
    return VOICES[name]
