"""Work done on a Ray cluster, for collections beyond one machine.

The dataset and the model must lie under the same path on every machine, on a shared disk; results come back to this
process, which alone writes. A task whose worker or machine dies is given to another; as it depends on nothing but
its arguments, nothing is lost or doubled.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from jukebox.errors import DataError

Task = TypeVar("Task")
Result = TypeVar("Result")

_AHEAD = 2
# A worker that dies of the task itself would die for ever.
_RETRIES = 5


def done_on_cluster(
    function: Callable[[Task], Result], tasks: Iterable[Task], address: str
) -> Iterator[tuple[Task, Result]]:
    """Each task with its result, in the order in which they are done; as `workers.done_by`.

    Args:
        function: a function that other processes can import.
        tasks: taken as they are needed.
        address: of a running cluster, as `ray start` prints it, or "auto".

    Raises:
        DataError: Ray is not installed, or there is no cluster, or a task killed every worker that tried it.
    """
    try:
        import ray  # pyright: ignore[reportMissingImports]
        from ray.exceptions import RayError, RayTaskError  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise DataError("--ray needs the package ray: pip install 'jukebox[ray]'.") from error
    began = not ray.is_initialized()
    try:
        if began:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise DataError(
            f"There is no Ray cluster at {address} ({error}): start one with `ray start --head`."
        ) from error
    try:
        remote = ray.remote(num_cpus=1, max_retries=_RETRIES)(_on_one_thread)
        slots = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        tasks, running = iter(tasks), {}
        while True:
            running |= {remote.remote(function, task): task for task in islice(tasks, slots - len(running))}
            if not running:
                return
            for done in ray.wait(list(running), num_returns=1)[0]:
                yield running.pop(done), ray.get(done)
    except RayTaskError as error:
        raise error.cause from error
    except RayError as error:
        raise DataError(f"The Ray cluster at {address} failed: {error}; run the same command again.") from error
    finally:
        if began:
            ray.shutdown()


def _on_one_thread(function: Callable[[Task], Result], task: Task) -> Result:
    """The same sums in the same order on every machine."""
    import torch

    torch.set_num_threads(1)
    return function(task)
