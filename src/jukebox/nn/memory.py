"""How much memory this machine has left, and how amounts of it are written."""

from pathlib import Path

from torch import nn

from jukebox.errors import DeviceError


def free_host_bytes() -> int | None:
    """What programs may still take of the machine's memory; None on a system that does not say."""
    return _host_bytes("MemAvailable")


def whole_host_bytes() -> int | None:
    """All of the machine's memory; None on a system that does not say."""
    return _host_bytes("MemTotal")


def _host_bytes(name: str) -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
    except (OSError, StopIteration):
        return None


def size_text(count: int) -> str:
    """Bytes for people: 0.35 GB, 12.5 MB."""
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def module_bytes(module: nn.Module) -> int:
    """What the parameters and buffers of a module take."""
    return sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))


def check_free(what: str, needed: int, free: int | None, advice: str) -> None:
    """Raise DeviceError where more memory is needed than is free; None where nobody says how much that is.

    Args:
        what: begins the sentence, as in "The prior needs".
        needed: bytes.
        free: bytes.
        advice: ends it.
    """
    if free is not None and needed > free:
        raise DeviceError(f"{what} {size_text(needed)} of memory, and {size_text(free)} are free: {advice}.")
