"""Commands that torchrun started several times: the first process leads, the others compute for it."""

import atexit
import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jukebox.sampling.shared import EngineFactory
    from jukebox.training.workers import Workers


def join(device: str | None) -> "Workers | None":
    """The processes of this command, joined until it ends; None where this is the only one.

    Raises:
        ConfigError: there are more processes than GPUs.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return None
    from jukebox.training.workers import workers

    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(workers(device))


def help_out(team: "Workers", factory: "EngineFactory") -> None:
    """Compute for the first process until it is done.

    Raises:
        JukeboxError: this process cannot go on, or the first one is gone.
    """
    from jukebox.sampling.shared import serve

    with team.listening():
        serve(factory)


def dismiss() -> None:
    """Tell the other processes that there is nothing more to do; one that is gone does not matter any more."""
    from jukebox.sampling import shared

    with contextlib.suppress(Exception):
        shared.dismiss()
