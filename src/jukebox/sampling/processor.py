"""The engine for processors: the prior's step as few operations (`prior.processor`), a block of steps at a time."""

from collections.abc import Iterator

import torch
from jaxtyping import Int64
from torch import Tensor

from jukebox.prior.prior import Prior
from jukebox.prior.processor import ProcessorStep
from jukebox.prior.step import rows_for
from jukebox.sampling.engine import NoiseSource, Window
from jukebox.sampling.host import HostEngine
from jukebox.sampling.noise import gumbel
from jukebox.sampling.reading import CHUNK, read_window
from jukebox.sampling.threads import threads_for
from jukebox.sampling.token import Choice

# Rows of noise that are made at once: more would not stay in the processor's cache.
_NOISE_ROWS = 256


class ProcessorEngine(HostEngine[ProcessorStep]):
    """Writes windows on the CPU, by PyTorch and NumPy.

    Args:
        prior: in evaluation mode, of a kind that `fits`. It is packed (`Prior.pack`), and the engine's from now on.
        slots: how many windows are written at once.
        noise: what is added to the logits of slots that are not greedy.
    """

    def __init__(self, prior: Prior, slots: int, noise: NoiseSource = gumbel) -> None:
        prior.pack()
        self._choice: Choice | None = None
        super().__init__(prior, slots, noise)

    @staticmethod
    def fits(prior: Prior) -> bool:
        """Whether it can run a prior."""
        return ProcessorStep.fits(prior)

    def _make_step(self, rows_each: int) -> ProcessorStep:
        return ProcessorStep(self._prior, rows_each * self._slots)

    def _read(self, row: int, window: Window) -> tuple[int, int]:
        with threads_for(self._prior, min(CHUNK, self.config.transformer.context)):
            position, previous = read_window(self._prior, self._reader, window)
        self._step.load(row, self._reader)
        return position, int(previous)

    def begin(self, slot: int, window: Window) -> None:
        """Put a window into a slot and read what is known of it, a chunk at a time."""
        super().begin(slot, window)
        self._choice = None

    def end(self, slot: int) -> None:
        """Empty a slot: the last window takes its place in memory."""
        super().end(slot)
        self._choice = None

    def _write(self, steps: int) -> Int64[Tensor, "items _"]:
        # Every operation is a little shorter in inference mode; what is given to others is no tensor of it.
        with threads_for(self._prior, rows_for(self._rows * len(self._items))), torch.inference_mode():
            return self._written(steps)

    def _written(self, steps: int) -> Int64[Tensor, "items _"]:
        items, vocabulary = self._items, self._prior.layout.vocabulary
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
