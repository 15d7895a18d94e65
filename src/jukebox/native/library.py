"""The C sources of this folder as a library: compiled once for each processor, kept in the user's cache folder.

A program that is made where it runs uses all of the processor's instructions, and the package stays one for all
systems. Where there is no compiler, or it fails, there is no library, and what would use it is done by PyTorch.
"""

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from jukebox.cache import cache_folder

_SOURCES = Path(__file__).parent
# No -ffast-math: sums keep their order, and a window its bits.
_FLAGS = ("-O3", "-std=gnu11", "-ffp-contract=off", "-fPIC", "-shared")
_TUNED = (("-march=native",), ("-mcpu=native",), ())
_TIMEOUT_S = 120


@cache
def library() -> ctypes.CDLL | None:
    """The compiled sources; None where they cannot be compiled. The first call on a machine takes some seconds."""
    compiler = _compiler()
    if compiler is None:
        return None
    for tuned in _TUNED:
        try:
            found = ctypes.CDLL(str(_compiled((*compiler, *_FLAGS, *tuned))))
        except (OSError, subprocess.SubprocessError):
            continue
        found.panel_width.restype = found.lane_count.restype = found.has_half.restype = ctypes.c_int
        found.room.restype = ctypes.c_int64
        found.multiply_matrix.restype = found.read_codes.restype = found.write_codes.restype = None
        return found
    return None


def _compiler() -> tuple[str, ...] | None:
    """The user's C compiler: what `CC` says, or the usual names."""
    chosen = os.environ.get("CC", "").split()
    for words in (chosen, ["cc"], ["gcc"], ["clang"]):
        if words and (path := shutil.which(words[0])):
            return path, *words[1:]
    return None


def _compiled(command: tuple[str, ...]) -> Path:
    """The library that a command makes, which was made before or is now; whole or not there at all."""
    sources = sorted([*_SOURCES.glob("*.c"), *_SOURCES.glob("*.h")])
    # What the compiler defines tells one compiler and one processor from another.
    defined = subprocess.run(
        [*command, "-dM", "-E", "-x", "c", os.devnull], capture_output=True, check=True, timeout=_TIMEOUT_S
    ).stdout
    parts = [" ".join(command).encode(), defined, *(source.read_bytes() for source in sources)]
    name = hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:16]
    for folder in (cache_folder() / "native", Path(tempfile.gettempdir()) / f"jukebox-native-{_user()}"):
        path = folder / f"step-{name}.so"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if _of_others(folder):
                continue  # and what lies there is not run
            if path.exists():
                return path
            handle, made = tempfile.mkstemp(suffix=".so", dir=folder)
        except OSError:
            continue
        os.close(handle)
        try:
            subprocess.run(
                [*command, "-o", made, str(_SOURCES / "step.c"), "-lm"],
                capture_output=True, check=True, timeout=_TIMEOUT_S,
            )  # fmt: skip
            os.replace(made, path)
        finally:
            Path(made).unlink(missing_ok=True)
        return path
    raise OSError("no folder to write to")


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def _of_others(folder: Path) -> bool:
    """Whether others may write what would be run here."""
    status = folder.stat()
    return hasattr(os, "getuid") and (status.st_uid != os.getuid() or bool(status.st_mode & 0o022))
