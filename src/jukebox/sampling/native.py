"""The engine in C: many steps of all windows in one call, each thread with windows of its own (`native/step.c`)."""

import torch
from jaxtyping import Int64
from torch import Tensor

from jukebox.native import structures
from jukebox.prior.native import NativeStep
from jukebox.prior.prior import Prior
from jukebox.sampling.engine import NoiseSource, Window
from jukebox.sampling.host import HostEngine, Item
from jukebox.sampling.noise import gumbel
from jukebox.sampling.reading import conditioned

# Steps for which noise of another kind is made at once.
_STEPS = 16


class NativeEngine(HostEngine[NativeStep]):
    """Writes windows on the CPU, by C. Each draw is that of `token.Choice`, noise that of `noise.gumbel`, to rounding.

    Args:
        prior: in evaluation mode, of a kind that `fits`. It is packed (`Prior.pack`), and the engine's from now on.
        slots: how many windows are written at once.
        noise: what is added to the logits of slots that are not greedy.
    """

    def __init__(self, prior: Prior, slots: int, noise: NoiseSource = gumbel) -> None:
        prior.pack(native=True)
        self._unread: dict[int, Tensor] = {}  # tokens that rows begin with
        super().__init__(prior, slots, noise)

    @staticmethod
    def fits(prior: Prior) -> bool:
        """Whether it can run a prior, and there is a library."""
        return NativeStep.fits(prior)

    def _make_step(self, rows_each: int) -> NativeStep:
        return NativeStep(self._prior, rows_each * self._slots, rows_each)

    def _read(self, row: int, window: Window) -> tuple[int, int]:
        item, (tokens,) = conditioned(self._prior, self._reader, window)
        self._step.condition(row, item)
        self._unread[row] = tokens
        return len(tokens), int(tokens[-1]) if len(tokens) else 0

    def end(self, slot: int) -> None:
        """Empty a slot: the last window takes its place in memory."""
        self.read()
        super().end(slot)

    def read(self) -> None:
        """Read what is known of windows that were put into slots: all together, so that threads have work."""
        self._step.read(list(self._unread.items()))
        self._unread.clear()

    def _write(self, steps: int) -> Int64[Tensor, "items _"]:
        self.read()
        items, vocabulary, noise = self._items, self._prior.layout.vocabulary, None
        if self._noise is not gumbel:
            steps = min(steps, _STEPS)
            keys = torch.tensor([item.key for item in items])
            places = torch.tensor([item.place for item in items])
            noise = torch.stack([self._noise(keys, places + step, vocabulary) for step in range(steps)]).contiguous()
        given = torch.full((steps, len(items)), -1)
        for index, item in enumerate(items):
            again, item.replay = item.replay[:steps], item.replay[steps:]
            given[: len(again), index] = torch.tensor(again)
        tokens = self._step.write([_window(item, vocabulary) for item in items], given, noise).t()
        for item, previous in zip(items, tokens[:, -1].tolist(), strict=True):
            item.position, item.place = item.position + steps, item.place + steps
            item.previous = [previous] * self._rows
        return tokens


def _window(item: Item, vocabulary: int) -> structures.Window:
    """An item as C knows it; both of its rows have read the same token."""
    sampling = item.sampling
    choice = structures.Choice(
        temperature=sampling.temperature, guidance=sampling.guidance,
        top_p=2.0 if sampling.top_p in (None, 1.0) else sampling.top_p,
        top_k=vocabulary if sampling.top_k is None else min(sampling.top_k, vocabulary),
        key=item.key, place=item.place,
    )  # fmt: skip
    return structures.Window(position=item.position, previous=item.previous[0], choice=choice)
