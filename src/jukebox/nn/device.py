"""Devices by the names that people give them."""

import torch

from jukebox.errors import ConfigError


def usable_device(name: str | None, said: str = "The device is") -> torch.device:
    """The device of a name, a GPU where there is one by default.

    Args:
        name: as in "cpu" or "cuda:1".
        said: how a message about it begins.

    Raises:
        ConfigError: it cannot be used.
    """
    chosen = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=chosen).device
    except (RuntimeError, AssertionError) as error:  # PyTorch's own kinds for a device that is not there
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{said} {chosen!r}, which cannot be used ({reason}); use cpu or leave it out.") from error
