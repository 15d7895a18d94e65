"""How many threads are worth their waiting for each other."""

import contextlib
import threading
from collections.abc import Iterator

import torch

from jukebox.prior.prior import Prior

# Multiplications in the largest product of a call that make a second thread worth waiting for. Below, threads that
# wait for each other cost more than they bring, on a busy machine many times the work itself.
_WORTH_THREADS = 1 << 24


class _Single:
    """One thread for all who ask; the number from before comes back with the last of them. It is the process's."""

    def __init__(self) -> None:
        self._lock, self._users, self._before = threading.Lock(), 0, 1

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._before = torch.get_num_threads()
            self._users += 1
            torch.set_num_threads(1)

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                torch.set_num_threads(self._before)


_SINGLE = _Single()


def single_thread() -> contextlib.AbstractContextManager[None]:
    """One thread for PyTorch's operations, in the whole process; the number from before comes back."""
    return _SINGLE


@contextlib.contextmanager
def threads_for(prior: Prior, rows: int) -> Iterator[None]:
    """One thread for products of `rows` rows that are too small to share. The results are the same bits."""
    width = prior.config.transformer.width
    small = rows * width * max(width, prior.layout.vocabulary) < _WORTH_THREADS
    with _SINGLE if small else contextlib.nullcontext():
        yield
