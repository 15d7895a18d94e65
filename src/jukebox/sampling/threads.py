"""How many threads are worth their waiting for each other."""

import contextlib
from collections.abc import Iterator

import torch

from jukebox.prior.prior import Prior

# Multiplications in the largest product of a call that make a second thread worth waiting for. Below, threads that
# wait for each other cost more than they bring, on a busy machine many times the work itself.
_WORTH_THREADS = 1 << 24


@contextlib.contextmanager
def threads_for(prior: Prior, rows: int) -> Iterator[None]:
    """One thread for products of `rows` rows that are too small to share. The results are the same bits."""
    before = torch.get_num_threads()
    width = prior.config.transformer.width
    if rows * width * max(width, prior.layout.vocabulary) < _WORTH_THREADS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
