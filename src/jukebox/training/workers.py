"""The processes of one run: started by torchrun, or this one alone.

Sharding and communication are PyTorch's (FSDP2); here is only what the loop asks of its fellow workers.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from jukebox.errors import ConfigError, JukeboxError
from jukebox.nn.device import usable_device


class WorkerLostError(JukeboxError):
    """Another worker of the run is gone."""


@dataclass(frozen=True, kw_only=True)
class Workers:
    """This worker among `count`: `rank` 0 writes files; `device` is where it computes."""

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this worker is the one that writes."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all workers, in every one of them."""
        if self.count > 1:
            tensor = tensor.clone()
            with self.listening():
                dist.all_reduce(tensor)
        return tensor

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """The mean of each value over the workers; all have the same names."""
        if self.count == 1 or not values:
            return values
        total = self.sum(torch.tensor(list(values.values()), dtype=torch.float64, device=self.device))
        return dict(zip(values, (total / self.count).tolist(), strict=True))

    def any(self, value: bool) -> bool:
        """Whether it is so for any worker."""
        return bool(self.sum(torch.tensor(float(value), device=self.device)) > 0)

    def told(self, value: Any) -> Any:
        """The first worker's value."""
        if self.count > 1:
            values = [value]
            with self.listening():
                dist.broadcast_object_list(values, src=0)
            (value,) = values
        return value

    def every(self, value: Any) -> list[Any]:
        """Each worker's value."""
        values: list[Any] = [value] * self.count
        if self.count > 1:
            with self.listening():
                dist.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Until all workers are here."""
        if self.count > 1:
            with self.listening():
                dist.barrier()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Communication inside that fails is a `WorkerLostError`."""
        try:
            yield
        except (dist.DistBackendError, dist.DistNetworkError, RuntimeError) as error:
            if self.count > 1 and _is_lost(error):
                raise WorkerLostError(
                    f"Worker {self.rank} of {self.count} has lost another worker "
                    f"({str(error).splitlines()[0][:120]}); see why that one ended, and start the run again: it goes "
                    "on from the last saved state."
                ) from error
            raise


ALONE = Workers(rank=0, count=1, device=torch.device("cpu"))


def _is_lost(error: Exception) -> bool:
    """Whether an error of a collective means that the other side is gone."""
    signs = ("closed by peer", "connection", "gloo", "nccl", "timed out", "timeout", "socket", "broken pipe")
    return isinstance(error, dist.DistError) or any(sign in str(error).lower() for sign in signs)


@contextlib.contextmanager
def workers(device: str | None = None, timeout_s: float = 600.0) -> Iterator[Workers]:
    """The workers that torchrun started, joined while the block lasts; without torchrun this process alone.

    Args:
        device: "cpu" or "cuda"; None for a GPU where there is one.
        timeout_s: how long to wait for the others before they count as lost.

    Raises:
        ConfigError: there are more workers than GPUs, or no such device.
    """
    count, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    kind = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if kind.startswith("cuda"):
        if not torch.cuda.is_available():
            raise ConfigError(f"The device is {kind!r}, and PyTorch finds no GPU; use cpu or leave it out.")
        if count > 1 and local >= torch.cuda.device_count():
            raise ConfigError(
                f"Worker {local} has no GPU; this machine has {torch.cuda.device_count()}: start as many."
            )
        place = torch.device("cuda", local) if ":" not in kind else torch.device(kind)
        torch.cuda.set_device(place)
    else:
        place = usable_device(kind)
    if count == 1:
        yield Workers(rank=0, count=1, device=place)
        return
    backend = "cpu:gloo,cuda:nccl" if place.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=timedelta(seconds=timeout_s))
    try:
        yield Workers(rank=dist.get_rank(), count=dist.get_world_size(), device=place)
    finally:
        with contextlib.suppress(Exception):  # what ended the block matters more than a failed farewell
            dist.destroy_process_group()
