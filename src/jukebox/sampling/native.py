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
from jukebox.sampling.reading import conditioned, rows_of

# Steps for which noise of another kind is made at once.
_STEPS = 16


class NativeEngine(HostEngine[NativeStep]):
    """Writes windows on the CPU, by C. Each draw is that of `token.Choice`, noise that of `noise.gumbel`, to rounding.

    With one slot it is a `FollowingEngine`: a step of one window is as long as its matrices take to be read, and
    another row costs next to nothing.

    Args:
        prior: in evaluation mode, of a kind that `fits`. It is packed (`Prior.pack`), and the engine's from now on.
        slots: how many windows are written at once.
        noise: what is added to the logits of slots that are not greedy.
    """

    def __init__(self, prior: Prior, slots: int, noise: NoiseSource = gumbel) -> None:
        prior.pack(native=True)
        self._unread: dict[int, Tensor] = {}  # tokens that rows begin with
        self._following: Item | None = None
        self._block = 0  # of rows: where the window is, beside one that follows it
        super().__init__(prior, slots, noise)

    @staticmethod
    def fits(prior: Prior) -> bool:
        """Whether it can run a prior, and there is a library."""
        return NativeStep.fits(prior)

    @property
    def follows(self) -> bool:
        """Whether a window may follow the one in the slot."""
        return self._slots == 1

    def begin(self, slot: int, window: Window) -> None:
        """Put a window into a slot; what is known of it is read when the engine runs."""
        self._following, self._block = None, 0
        super().begin(slot, window)

    def end(self, slot: int) -> None:
        """Empty a slot: the last window takes its place in memory."""
        self._following = None
        self.read()
        super().end(slot)

    def follow(self, window: Window) -> None:
        """The window that comes next is read while the one in the slot is written; see `FollowingEngine`."""
        assert self.follows
        assert len(self._items) == 1
        told, first = rows_of(window, self.config), (1 - self._block) * self._rows
        assert len(told) == self._rows
        position, previous = 0, []
        for row, each in enumerate(told):
            position, last = self._read_into(first + row, each)
            previous.append(last)
        self._following = Item(
            slot=self._items[0].slot, key=window.key, place=window.start + len(window.known), position=position,
            previous=previous, replay=[], sampling=window.sampling,
        )  # fmt: skip

    def advance(self) -> None:
        """The window that followed is the one in the slot."""
        assert self._following is not None
        self._items, self._following, self._block = [self._following], None, 1 - self._block

    def read(self) -> None:
        """Read what is known of windows that were put into slots: all together, so that threads have work."""
        self._step.read(list(self._unread.items()))
        self._unread.clear()

    def _make_step(self, rows_each: int) -> NativeStep:
        return NativeStep(self._prior, rows_each * (2 if self.follows else self._slots), rows_each)

    def _read(self, row: int, window: Window) -> tuple[int, int]:
        return self._read_into(self._block * self._rows + row, window)

    def _read_into(self, row: int, window: Window) -> tuple[int, int]:
        item, (tokens,) = conditioned(self._prior, self._reader, window)
        self._step.condition(row, item)
        self._unread[row] = tokens
        return len(tokens), int(tokens[-1]) if len(tokens) else 0

    def _write(self, steps: int) -> Int64[Tensor, "items _"]:
        self.read()
        items = [*self._items, *([self._following] if self._following is not None else [])]
        vocabulary, noise = self._prior.layout.vocabulary, None
        if self._noise is not gumbel:
            steps = min(steps, _STEPS)
            keys = torch.tensor([item.key for item in items])
            places = torch.tensor([item.place for item in items])
            noise = torch.stack([self._noise(keys, places + step, vocabulary) for step in range(steps)]).contiguous()
        given = torch.full((steps, len(items)), -1)
        for index, item in enumerate(items):
            again, item.replay = item.replay[:steps], item.replay[steps:]
            given[: len(again), index] = torch.tensor(again)
        windows = [self._window(index, item) for index, item in enumerate(items)]
        tokens = self._step.write(windows, given, noise).t()
        for item, previous in zip(items, tokens[:, -1].tolist(), strict=True):
            item.position, item.place = item.position + steps, item.place + steps
            item.previous = [previous] * self._rows
        return tokens[: len(self._items)]

    def _window(self, index: int, item: Item) -> structures.Window:
        """An item as C knows it."""
        follows = item is self._following
        block = (1 - self._block if follows else self._block) if self.follows else index
        return structures.Window(
            position=item.position,
            leader=0 if follows else -1,
            row=block * self._rows,
            previous=(item.previous[0], item.previous[-1]),
            choice=choice_of(item, self._prior.layout.vocabulary),
        )


def choice_of(item: Item, vocabulary: int) -> structures.Choice:
    """How the next token of an item is drawn, as C knows it."""
    sampling = item.sampling
    return structures.Choice(
        temperature=sampling.temperature, guidance=sampling.guidance,
        top_p=2.0 if sampling.top_p in (None, 1.0) else sampling.top_p,
        top_k=vocabulary if sampling.top_k is None else min(sampling.top_k, vocabulary),
        key=item.key, place=item.place,
    )  # fmt: skip
