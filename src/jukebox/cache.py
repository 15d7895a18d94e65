"""Where downloaded files live: one folder per user, laid out as the files were published."""

import os
import sys
from pathlib import Path

LABELS = "labels"


def cache_folder() -> Path:
    """`$JUKEBOX_CACHE` if set, else the user's cache folder on this system."""
    if chosen := os.environ.get("JUKEBOX_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "jukebox"


def is_cached(path: str) -> bool:
    """Whether a published file is there, by its path below the cache folder."""
    return (cache_folder() / path).is_file()
