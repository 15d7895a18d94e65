"""Work done by several processes, with results as they come.

The processes are started afresh, never forked, and end when the one that started them is killed.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

import torch

from jukebox.errors import DataError

Task = TypeVar("Task")
Result = TypeVar("Result")

# Tasks handed out ahead for each process: it never waits, and little is lost when all are killed.
_AHEAD = 2


def done_by(function: Callable[[Task], Result], tasks: Iterable[Task], workers: int) -> Iterator[tuple[Task, Result]]:
    """Each task with its result, in the order in which they are done.

    Every process computes on one thread, so that a result does not depend on how many there are.

    Args:
        function: a function that other processes can import; what it raises is raised here.
        tasks: taken as they are needed.
        workers: how many processes; 1 works in this one.

    Raises:
        DataError: a process was killed from outside, for instance for want of memory.
    """
    if workers == 1:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for task in tasks:
                yield task, function(task)
        finally:
            torch.set_num_threads(threads)
        return
    tasks = iter(tasks)
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)
    running: dict[Future[Result], Task] = {}
    try:
        while True:
            running |= {pool.submit(function, task): task for task in islice(tasks, _AHEAD * workers - len(running))}
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    except BrokenProcessPool as error:
        raise DataError(
            "One of the working processes was killed, perhaps for want of memory: run the same command again, "
            "it goes on where it stopped, or give fewer --workers."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin() -> None:
    """One thread for this process, which does not outlive its parent."""
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
