"""Sound files in and out: the public names of reading, writing, tags and checks in one place.

Sound is a float32 tensor [channels, samples], full scale is [-1, 1], whatever the file holds.
"""

from jukebox.audio.prepare import SILENCE_PEAK, check_usable, checked, mix_down
from jukebox.audio.read import SAMPLE_RATE, probe, read, stream
from jukebox.audio.source import AudioInfo
from jukebox.audio.tags import Tags, read_tags
from jukebox.audio.write import WRITABLE_SUFFIXES, Writer, write

__all__ = [
    "SAMPLE_RATE",
    "SILENCE_PEAK",
    "WRITABLE_SUFFIXES",
    "AudioInfo",
    "Tags",
    "Writer",
    "check_usable",
    "checked",
    "mix_down",
    "probe",
    "read",
    "read_tags",
    "stream",
    "write",
]
