"""The engine for processors: the prior's step as few operations (`prior.processor`), a block of steps at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from jukebox.config import PriorConfig
from jukebox.prior.prior import Prior
from jukebox.prior.processor import ProcessorStep
from jukebox.prior.step import rows_for
from jukebox.sampling.engine import NoiseSource, Window
from jukebox.sampling.noise import gumbel
from jukebox.sampling.reading import CHUNK, read_window, rows_of
from jukebox.sampling.threads import threads_for
from jukebox.sampling.token import Choice, SamplingConfig

# Rows of noise that are made at once: more would not stay in the processor's cache.
_NOISE_ROWS = 256


@dataclass
class _Item:
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


class ProcessorEngine:
    """Writes windows on the CPU; a step works on the slots that are taken, wherever they are.

    Args:
        prior: in evaluation mode, of a kind that `fits`. It is packed (`Prior.pack`), and the engine's from now on.
        slots: how many windows are written at once.
        noise: what is added to the logits of slots that are not greedy.
    """

    def __init__(self, prior: Prior, slots: int, noise: NoiseSource = gumbel) -> None:
        assert slots >= 1
        prior.pack()
        self._prior, self._noise, self._slots = prior, noise, slots
        self._step, self._reader = ProcessorStep(prior, slots), prior.empty_state(1)
        self._rows = 1  # of each window
        self._items: list[_Item] = []
        self._choice: Choice | None = None

    @staticmethod
    def fits(prior: Prior) -> bool:
        """Whether it can run a prior."""
        return ProcessorStep.fits(prior)

    @property
    def config(self) -> PriorConfig:
        """The prior that it runs."""
        return self._prior.config

    @property
    def slots(self) -> int:
        """How many windows it can write at once."""
        return self._slots

    @torch.no_grad()
    def begin(self, slot: int, window: Window) -> None:
        """Put a window into a slot and read what is known of it, a chunk at a time."""
        assert 0 <= slot < self._slots
        told = rows_of(window, self.config)
        if len(told) != self._rows:
            assert not self._items, "windows with and without guidance side by side"
            del self._step  # room for the next
            self._step, self._rows = ProcessorStep(self._prior, len(told) * self._slots), len(told)
        known = [index for index, item in enumerate(self._items) if item.slot == slot]
        index = known[0] if known else len(self._items)
        position, previous = 0, []
        for row, each in enumerate(told):
            with threads_for(self._prior, min(CHUNK, self.config.transformer.context)):
                position, last = read_window(self._prior, self._reader, each)
            previous.append(int(last))
            self._step.load(len(told) * index + row, self._reader)
        item = _Item(
            slot=slot,
            key=window.key,
            place=window.start + len(window.known),
            position=position,
            previous=previous,
            replay=(window.replay + self._prior.layout.shift).tolist(),
            sampling=window.sampling,
        )
        self._items[index : index + 1] = [item]
        self._choice = None

    def end(self, slot: int) -> None:
        """Empty a slot: the last window takes its place in memory."""
        (index,) = (index for index, item in enumerate(self._items) if item.slot == slot)
        last = self._items.pop()
        if last.slot != slot:
            for row in range(self._rows):
                self._step.move(self._rows * len(self._items) + row, self._rows * index + row)
            self._items[index] = last
        self._choice = None

    def run(self, steps: int) -> Int64[Tensor, "slots _"]:
        """Write the next codes of every window; see `Engine.run`."""
        written = torch.zeros(self._slots, steps, dtype=torch.int64)
        slots = torch.tensor([item.slot for item in self._items])
        # Every operation is a little shorter in inference mode; what is given to others is no tensor of it.
        with threads_for(self._prior, rows_for(self._rows * len(self._items))), torch.inference_mode():
            done = 0
            while done < steps:
                found = self._run(steps - done)
                written[slots, done : done + found.shape[1]] = found - self._prior.layout.shift
                done += found.shape[1]
        return written

    def _run(self, steps: int) -> Int64[Tensor, "items _"]:
        """The tokens of the next steps of every item, at most so many."""
        items, vocabulary = self._items, self._prior.layout.vocabulary
        furthest = max(item.position for item in items)
        assert furthest + steps <= self.config.transformer.context, "a window would be written past its end"
        self._choice = self._choice or Choice.of([item.sampling for item in items], vocabulary, torch.device("cpu"))
        block = self._step.block([item.position for item in items for _ in range(self._rows)], steps)
        steps, read, drawn = len(block.positions), torch.tensor([each for item in items for each in item.previous]), []
        for index, noise in zip(range(steps), self._noises(steps), strict=True):
            tokens = self._choice.draw(self._step.logits(read, block, index), noise)
            for row, item in enumerate(items):
                if item.replay:
                    tokens[row] = item.replay.pop(0)
            drawn.append(tokens)
            read = tokens if self._rows == 1 else tokens.repeat_interleave(self._rows)
        for item, previous in zip(items, drawn[-1].tolist(), strict=True):
            item.position, item.place, item.previous = (
                item.position + steps,
                item.place + steps,
                [previous] * self._rows,
            )
        return torch.stack(drawn, 1)

    def _noises(self, steps: int) -> Iterator[Tensor]:
        """The noise of all items, step after step."""
        keys, places = (torch.tensor([getattr(item, name) for item in self._items]) for name in ("key", "place"))
        for later in torch.arange(steps).split(max(1, _NOISE_ROWS // len(keys))):
            rows = (places + later[:, None]).flatten()
            noise = self._noise(keys.repeat(len(later)), rows, self._prior.layout.vocabulary)
            yield from noise.unflatten(0, (len(later), len(keys))).unbind()
