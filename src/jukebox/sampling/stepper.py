"""One step of every slot, without a word to the host: in plain PyTorch here, through fused kernels in `fused`."""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from jukebox.config import PriorConfig
from jukebox.prior.cache import Ends, layout
from jukebox.prior.patterns import of_layer
from jukebox.prior.prior import Prior
from jukebox.sampling.engine import NoiseSource, Window
from jukebox.sampling.noise import gumbel
from jukebox.sampling.reading import read_window, rows_of
from jukebox.sampling.table import DRAW, SlotTable

CacheBits = Literal[8, 16]
"""Bits of keys and values: 8, or 16 for those of the prior's own type."""

# Layers that keep everything read it in pieces of so many slots: a graph for each is captured when it is reached.
_SLOTS = 512


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What makes steps differ in anything but numbers on the device: a graph is captured for each.

    Args:
        reach: no slot is further than this position.
        top_k: whether any slot draws among the most probable k.
        top_p: whether any slot draws among the most probable share.
    """

    reach: int
    top_k: bool
    top_p: bool


@runtime_checkable
class Stepper(Protocol):
    """A prior with caches for its slots. Everything that a step reads and writes stays where it is in memory."""

    @property
    def config(self) -> PriorConfig:
        """The prior that it runs."""
        ...

    @property
    def prior(self) -> Prior:
        """The same with its weights."""
        ...

    @property
    def table(self) -> SlotTable:
        """Where its slots are."""
        ...

    @property
    def launches(self) -> tuple[int, ...]:
        """How many steps are put into one graph: the largest first, 1 last."""
        ...

    def with_rows(self, rows: int) -> "Stepper":
        """A stepper with so many rows for each window (`SamplingConfig.rows`) in the place of this one, now useless."""
        ...

    def variant(self, furthest: int, top_k: bool, top_p: bool) -> Variant:
        """Which steps serve slots that come no further than a position."""
        ...

    def begin(self, slot: int, window: Window) -> tuple[int, list[Tensor | int]]:
        """Read what is known of a window; returns its next position and the token before that, as each row reads it."""
        ...

    def step(self, table: SlotTable, index: int, variant: Variant) -> None:
        """Write the next token of every slot of a table into column `index`, and move on."""
        ...


class PlainStepper:
    """Steps of the prior itself, in PyTorch's operations, in the type and on the device of its parameters.

    Args:
        prior: in evaluation mode. It is packed (`Prior.pack`), and the stepper's from now on.
        slots: how many windows are written at once.
        noise: what is added to the logits of slots that are not greedy.
        rows: of a step for each window.
    """

    launches = (16, 1)

    def __init__(self, prior: Prior, slots: int, noise: NoiseSource = gumbel, *, rows: int = 1) -> None:
        prior.pack()
        self._prior, self._noise, self._slots = prior, noise, slots
        self._state = prior.empty_state(rows * slots)
        device = self._state.transformer.positions.device
        self.table = SlotTable.empty(slots, self.launches[0], prior.layout.vocabulary, device, rows)
        transformer, prefix = prior.config.transformer, prior.layout.prefix
        patterns = [p for letters in set(transformer.layers) - {"X"} for p in of_layer(letters, transformer, prefix)]
        self._keeps_everything = any(isinstance(layout(p, transformer.context), Ends) for p in patterns)

    @property
    def config(self) -> PriorConfig:
        """The prior that it runs."""
        return self._prior.config

    @property
    def prior(self) -> Prior:
        """The same with its weights."""
        return self._prior

    def with_rows(self, rows: int) -> "PlainStepper":
        """The same with so many rows for each window; this one is of no more use."""
        del self._state  # room for the next
        return PlainStepper(self._prior, self._slots, self._noise, rows=rows)

    def variant(self, furthest: int, top_k: bool, top_p: bool) -> Variant:
        """Which steps serve slots that come no further than a position."""
        last = self.config.transformer.context - 1
        reach = min(last, furthest // _SLOTS * _SLOTS + _SLOTS - 1) if self._keeps_everything else last
        return Variant(reach=reach, top_k=top_k, top_p=top_p)

    def begin(self, slot: int, window: Window) -> tuple[int, list[Tensor | int]]:
        """Read what is known of a window."""
        rows = enumerate(rows_of(window, self.config), slot * self.table.rows)
        found = [read_window(self._prior, self._state.items(row, row + 1), each) for row, each in rows]
        return found[0][0], [previous for _, previous in found]

    def step(self, table: SlotTable, index: int, variant: Variant) -> None:
        """Write the next token of every slot."""
        state = self._state.at(table.positions.flatten(), variant.reach)
        logits = self._prior.extend(table.previous.flatten()[:, None], state).logits[:, 0]
        draw(table, index, logits, variant, self._noise)


def draw(
    table: SlotTable, index: int, logits: Float[Tensor, "rows vocabulary"], variant: Variant, noise: NoiseSource
) -> None:
    """Draw the tokens of all slots or take those that are read again, write them down, and move on."""
    choice = table.choice(top_k=variant.top_k, top_p=variant.top_p)
    tokens = choice.draw(logits, noise(table.keys, table.places, logits.shape[-1]))
    replayed = table.replayed[:, index]
    tokens = torch.where(replayed == DRAW, tokens, replayed)
    table.written[:, index] = tokens
    table.previous.copy_(tokens[:, None])
    table.positions.add_(table.moves[:, None])
    table.places.add_(table.moves)
