"""Jukebox: music with singing, from an artist, a genre and lyrics, directly in the waveform."""

from typing import TYPE_CHECKING, Any

from jukebox.version import __version__

if TYPE_CHECKING:
    from jukebox.labels.labels import Labels
    from jukebox.pipeline import Jukebox, load

__all__ = ["Jukebox", "Labels", "__version__", "load"]


def __getattr__(name: str) -> Any:
    """The public names, imported when they are asked for, so that `import jukebox` is immediate."""
    if name == "Labels":
        from jukebox.labels.labels import Labels

        return Labels
    if name in ("Jukebox", "load"):
        from jukebox import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module 'jukebox' has no attribute {name!r}")
