"""Jukebox: music with singing, from an artist, a genre and lyrics, directly in the waveform."""

from typing import TYPE_CHECKING, Any

from jukebox.version import __version__

if TYPE_CHECKING:
    from jukebox.labels.labels import Labels

__all__ = ["Labels", "__version__"]


def __getattr__(name: str) -> Any:
    """The public names, imported when they are asked for, so that `import jukebox` is immediate."""
    if name == "Labels":
        from jukebox.labels.labels import Labels

        return Labels
    raise AttributeError(f"module 'jukebox' has no attribute {name!r}")
