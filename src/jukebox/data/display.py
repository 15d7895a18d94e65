"""How long work tells what it has done, without knowing who looks at it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Advance = Callable[[int | float], None]
"""Called with how much has been done since the last call."""

Display = Callable[[str, int | float | None, str], AbstractContextManager[Advance]]
"""Called with what is done, how much of it there is, and its unit; `cli.progress.progress` is one."""


@contextmanager
def unseen(description: str, total: int | float | None, unit: str) -> Iterator[Advance]:
    """A display that nobody looks at."""
    yield lambda amount: None
