"""Jukebox: music with singing, from an artist, a genre and lyrics, directly in the waveform."""

from jukebox.version import __version__

__all__ = ["__version__"]
