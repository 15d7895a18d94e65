"""Where windows come from: anything that has them by number, prepared a step ahead."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

Item = TypeVar("Item", covariant=True)
AnyItem = TypeVar("AnyItem")


@runtime_checkable
class Source(Protocol[Item]):
    """Windows by number: always the same for the same number, whoever asks; numbers count on over epochs."""

    def __len__(self) -> int:
        """How many windows an epoch has."""
        ...

    def take(self, index: int) -> Item:
        """The window with this number, 0 or more."""
        ...


def share(step: int, batch: int, rank: int, count: int) -> range:
    """The windows of one worker in one step: the batch does not depend on how many workers there are."""
    own = batch // count
    start = step * batch + rank * own
    return range(start, start + own)


class Batches(Generic[AnyItem]):
    """The windows of each step from `first_step` on, prepared by threads while the step before is computed."""

    def __init__(self, source: Source[AnyItem], shares: Sequence[range], threads: int) -> None:
        self._source, self._shares = source, shares
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="windows")

    def __iter__(self) -> Iterator[list[AnyItem]]:
        ahead: list[list[Future[Any]]] = []
        try:
            for step in range(len(self._shares)):
                while len(ahead) < 2 and step + len(ahead) < len(self._shares):
                    indices = self._shares[step + len(ahead)]
                    ahead.append([self._pool.submit(self._source.take, index) for index in indices])
                yield [future.result() for future in ahead.pop(0)]
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)
