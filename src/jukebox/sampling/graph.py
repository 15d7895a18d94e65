"""An engine whose steps are captured once as CUDA graphs and launched many at a time; without capture it runs anywhere.

The host says what begins and ends, and fetches what was written once for each run; between that nothing waits for it.
"""

import contextlib
import gc
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from jukebox.config import PriorConfig
from jukebox.prior.lyrics import TokenLayout
from jukebox.sampling.engine import Window
from jukebox.sampling.stepper import Stepper, Variant
from jukebox.sampling.table import DRAW
from jukebox.sampling.token import SamplingConfig


@dataclass
class _Slot:
    """What the host knows of a slot: how to draw, the tokens still to be read again, and how far it has come."""

    sampling: SamplingConfig
    replay: list[int]
    position: int


class GraphEngine:
    """Writes windows by a stepper; slots of different songs, windows and positions share every step.

    Args:
        stepper: the prior with its slots; the engine's from now on.
        capture: whether steps are captured as CUDA graphs; False runs the same steps one by one. By default where the
            stepper is on a CUDA device.
    """

    def __init__(self, stepper: Stepper, *, capture: bool | None = None) -> None:
        assert stepper.launches[-1] == 1
        self._stepper, self._table = stepper, stepper.table
        self._layout = TokenLayout.of(stepper.config)
        self._device = stepper.table.positions.device
        self._capture = self._device.type == "cuda" if capture is None else capture
        self._graphs: dict[tuple[int, Variant], torch.cuda.CUDAGraph] = {}
        self._warm: set[Variant] = set()
        self._taken: dict[int, _Slot] = {}

    @property
    def config(self) -> PriorConfig:
        """The prior that it runs."""
        return self._stepper.config

    @property
    def slots(self) -> int:
        """How many windows it can write at once."""
        return len(self._table.positions)

    @torch.no_grad()
    def begin(self, slot: int, window: Window) -> None:
        """Put a window into a slot and read what is known of it."""
        if window.sampling.rows != self._table.rows:
            self._set_rows(window.sampling.rows)
        count, previous = self._stepper.begin(slot, window)
        table, vocabulary = self._table, self._layout.vocabulary
        table.set_choice(slot, window.sampling, vocabulary)
        for row, token in enumerate(previous):
            table.previous[slot, row] = token
        table.positions[slot], table.moves[slot] = count, 1
        table.places[slot], table.keys[slot] = window.start + len(window.known), window.key
        replay = (window.replay + self._layout.shift).tolist()
        self._taken[slot] = _Slot(sampling=window.sampling, replay=replay, position=count)

    @torch.no_grad()
    def run(self, steps: int) -> Int64[Tensor, "slots _"]:
        """Write the next codes of every window; see `Engine.run`. The host waits once, at the end."""
        furthest = max(slot.position for slot in self._taken.values())
        assert furthest + steps <= self.config.transformer.context, "a window would be written past its end"
        written = []
        for count in _launches(steps, self._stepper.launches):
            replayed = self._set_replay(count)
            self._launch(count, self._variant(furthest + count - 1))
            written.append(self._table.written[:, :count].clone())
            if replayed:
                self._table.replayed.fill_(DRAW)
            furthest += count
            for slot in self._taken.values():
                slot.position += count
                del slot.replay[:count]
        return torch.cat(written, 1).cpu() - self._layout.shift

    def end(self, slot: int) -> None:
        """Empty a slot."""
        del self._taken[slot]
        self._table.moves[slot] = self._table.positions[slot] = 0
        self._table.set_choice(slot, SamplingConfig(temperature=0.0), self._layout.vocabulary)

    def _set_rows(self, rows: int) -> None:
        assert not self._taken, "windows with and without guidance side by side"
        self._graphs.clear()
        self._warm.clear()
        self._stepper = self._stepper.with_rows(rows)
        self._table = self._stepper.table

    def _variant(self, furthest: int) -> Variant:
        sampling = [slot.sampling for slot in self._taken.values()]
        top_k, top_p = (
            any(each.top_k is not None for each in sampling),
            any(each.top_p is not None for each in sampling),
        )
        return self._stepper.variant(furthest, top_k, top_p)

    def _set_replay(self, count: int) -> bool:
        """Tell the device which tokens of the next launch are read again; whether there are any."""
        if not any(slot.replay for slot in self._taken.values()):
            return False
        rows = torch.full((self.slots, count), DRAW)
        for slot, taken in self._taken.items():
            tokens = taken.replay[:count]
            rows[slot, : len(tokens)] = torch.tensor(tokens, dtype=torch.int64)
        self._table.replayed[:, :count] = rows.to(self._device)
        return True

    def _launch(self, count: int, variant: Variant) -> None:
        if not self._capture:
            for index in range(count):
                self._stepper.step(self._table, index, variant)
            return
        with torch.cuda.device(self._device):
            if (count, variant) not in self._graphs:
                self._graphs[count, variant] = self._captured(count, variant)
            self._graphs[count, variant].replay()

    def _captured(self, count: int, variant: Variant) -> torch.cuda.CUDAGraph:
        """`count` steps as a graph. Kernels are compiled and workspaces made before, by a step that stands still."""
        if variant not in self._warm:
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                self._stepper.step(self._table.standing(), 0, variant)
            torch.cuda.current_stream().wait_stream(stream)
            torch.cuda.synchronize()
            self._warm.add(variant)
        graph, pool = torch.cuda.CUDAGraph(), next((g.pool() for g in self._graphs.values()), None)
        # Other threads, of a server say, may use the card meanwhile.
        with _nothing_collected(), torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            for index in range(count):
                self._stepper.step(self._table, index, variant)
        return graph


@contextlib.contextmanager
def _nothing_collected() -> Iterator[None]:
    """Nothing that went in a circle is let go inside: memory and graphs of a card that are freed end a capture."""
    collects = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _launches(steps: int, sizes: tuple[int, ...]) -> Iterator[int]:
    """`steps` as a sum of sizes, the largest first."""
    for size in sizes:
        yield from itertools.repeat(size, steps // size)
        steps %= size
