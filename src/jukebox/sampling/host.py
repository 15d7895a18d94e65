"""What the engines for processors share: windows in their slots, and what is known of each read by the prior."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Int64
from torch import Tensor

from jukebox.config import PriorConfig
from jukebox.prior.prior import Prior
from jukebox.sampling.engine import NoiseSource, Window
from jukebox.sampling.reading import rows_of
from jukebox.sampling.token import SamplingConfig


@runtime_checkable
class RowsKept(Protocol):
    """What is kept of the rows of all windows."""

    def move(self, row: int, to: int, /) -> None:
        """Copy a row to another place."""
        ...


@dataclass
class Item:
    """A window that is being written.

    Args:
        slot: that it was put into.
        key: of its noise.
        place: position of its next code in its song.
        position: its next position in the transformer.
        previous: the token before that, as each of its rows reads it.
        replay: tokens that are to be read again instead of being drawn.
        sampling: how tokens are drawn.
    """

    slot: int
    key: int
    place: int
    position: int
    previous: list[int]
    replay: list[int]
    sampling: SamplingConfig


Step = TypeVar("Step", bound=RowsKept)


class HostEngine(ABC, Generic[Step]):
    """Writes windows on the CPU; a step works on the slots that are taken, wherever they are.

    Args:
        prior: in evaluation mode, packed; the engine's from now on.
        slots: how many windows are written at once.
        noise: what is added to the logits of slots that are not greedy.
    """

    def __init__(self, prior: Prior, slots: int, noise: NoiseSource) -> None:
        assert slots >= 1
        self._prior, self._noise, self._slots = prior, noise, slots
        self._reader = prior.empty_state(1)  # where a window is conditioned
        self._rows = 1  # of each window
        self._items: list[Item] = []
        self._step: Step = self._make_step(1)

    @property
    def config(self) -> PriorConfig:
        """The prior that it runs."""
        return self._prior.config

    @property
    def prior(self) -> Prior:
        """The same with its weights."""
        return self._prior

    @property
    def slots(self) -> int:
        """How many windows it can write at once."""
        return self._slots

    @torch.no_grad()
    def begin(self, slot: int, window: Window) -> None:
        """Put a window into a slot and read what is known of it."""
        assert 0 <= slot < self._slots
        told = rows_of(window, self.config)
        if len(told) != self._rows:
            assert not self._items, "windows with and without guidance side by side"
            del self._step  # room for the next
            self._step, self._rows = self._make_step(len(told)), len(told)
        known = [index for index, item in enumerate(self._items) if item.slot == slot]
        index = known[0] if known else len(self._items)
        position, previous = 0, []
        for row, each in enumerate(told):
            position, last = self._read(len(told) * index + row, each)
            previous.append(last)
        item = Item(
            slot=slot,
            key=window.key,
            place=window.start + len(window.known),
            position=position,
            previous=previous,
            replay=(window.replay + self._prior.layout.shift).tolist(),
            sampling=window.sampling,
        )
        self._items[index : index + 1] = [item]

    def end(self, slot: int) -> None:
        """Empty a slot: the last window takes its place in memory."""
        (index,) = (index for index, item in enumerate(self._items) if item.slot == slot)
        last = self._items.pop()
        if last.slot != slot:
            for row in range(self._rows):
                self._step.move(self._rows * len(self._items) + row, self._rows * index + row)
            self._items[index] = last

    def run(self, steps: int) -> Int64[Tensor, "slots _"]:
        """Write the next codes of every window; see `Engine.run`."""
        furthest = max(item.position for item in self._items)
        assert furthest + steps <= self.config.transformer.context, "a window would be written past its end"
        written = torch.zeros(self._slots, steps, dtype=torch.int64)
        slots, done = torch.tensor([item.slot for item in self._items]), 0
        while done < steps:
            found = self._write(steps - done)
            written[slots, done : done + found.shape[1]] = found - self._prior.layout.shift
            done += found.shape[1]
        return written

    @abstractmethod
    def _read(self, row: int, window: Window) -> tuple[int, int]:
        """Read what is known of a window into a row: its next position, and the token before it."""

    @abstractmethod
    def _make_step(self, rows_each: int) -> Step:
        """The step for all slots, each of so many rows."""

    @abstractmethod
    def _write(self, steps: int) -> Int64[Tensor, "items _"]:
        """The tokens of the next steps of every item, at most so many, after which the items are."""
