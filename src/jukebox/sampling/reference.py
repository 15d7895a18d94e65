"""The reference engine: the prior's own step, in plain PyTorch, on any device."""

from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from jukebox.config import PriorConfig
from jukebox.prior.prior import Prior
from jukebox.prior.step import rows_for
from jukebox.sampling.engine import NoiseSource, Window
from jukebox.sampling.noise import gumbel
from jukebox.sampling.reading import CHUNK, read_window, rows_of
from jukebox.sampling.threads import threads_for
from jukebox.sampling.token import Choice, SamplingConfig

_EMPTY = SamplingConfig(temperature=0.0)
_DRAW = -(1 << 62)


@dataclass
class _Slot:
    """What the host knows of a slot: how to draw, the codes that are still to be replayed, and how far it has come."""

    sampling: SamplingConfig
    replay: list[int]
    position: int


class ReferenceEngine:
    """Writes windows with the step of a `Prior`; caches and conditions of all slots are allocated once.

    A step works on the slots up to the last one that is taken, and never waits for the device.

    Args:
        prior: in evaluation mode, on the device and in the dtype that are to be used. It is packed (`Prior.pack`), and
            the engine's from now on.
        slots: how many windows are written at once.
        noise: what is added to the logits of slots that are not greedy.
    """

    def __init__(self, prior: Prior, slots: int, noise: NoiseSource = gumbel) -> None:
        assert slots >= 1
        prior.pack()
        self._prior, self._noise, self._slots = prior, noise, slots
        self._taken: dict[int, _Slot] = {}
        self._choice: Choice | None = None
        self._rows, self._state = 1, prior.empty_state(slots)  # so many items of the state for each window
        # On the device, one for each slot: its next position, 1 where it moves on, the position of its next code in
        # the song, and the key of its noise; and the token that each row reads next.
        self._positions = torch.zeros_like(self._state.transformer.positions)
        self._moves, self._places, self._keys = (torch.zeros_like(self._positions) for _ in range(3))
        self._previous = torch.zeros_like(self._positions)[:, None]

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
        """Put a window into a slot and read what is known of it, a chunk at a time."""
        with threads_for(self._prior, min(CHUNK, self.config.transformer.context)):
            self._begin(slot, window)

    def _begin(self, slot: int, window: Window) -> None:
        told, count = rows_of(window, self.config), 0
        if len(told) != self._rows:
            assert not self._taken, "windows with and without guidance side by side"
            del self._state  # room for the next
            self._rows, self._state = len(told), self._prior.empty_state(len(told) * self._slots)
            self._previous = self._previous.new_zeros(self._slots, len(told))
        for row, each in enumerate(told, len(told) * slot):
            count, previous = read_window(self._prior, self._state.items(row, row + 1), each)
            self._previous.flatten()[row] = previous
        values = {"positions": count, "moves": 1, "keys": window.key, "places": window.start + len(window.known)}
        for name, value in values.items():
            getattr(self, f"_{name}")[slot] = value
        self._taken[slot] = _Slot(sampling=window.sampling, replay=window.replay.tolist(), position=count)
        self._choice = None

    @torch.no_grad()
    def run(self, steps: int) -> Int64[Tensor, "slots _"]:
        """Write the next codes of every window; see `Engine.run`."""
        with threads_for(self._prior, rows_for(1 + max(self._taken))):
            return self._run(steps)

    def _run(self, steps: int) -> Int64[Tensor, "slots _"]:
        furthest = max(slot.position for slot in self._taken.values())
        assert furthest + steps <= self.config.transformer.context, "a window would be written past its end"
        used, layout, device = 1 + max(self._taken), self._prior.layout, self._positions.device
        self._choice = self._choice or Choice.of(self._settings(used), layout.vocabulary, device)
        replay = self._replay(used, steps)
        positions, moves, places, keys, previous = (
            tensor[:used] for tensor in (self._positions, self._moves, self._places, self._keys, self._previous)
        )
        state, drawn = self._state.items(0, used * self._rows), []
        for index in range(steps):
            state = state.at(positions.repeat_interleave(self._rows), furthest + index)
            logits = self._prior.extend(previous.flatten()[:, None], state).logits[:, 0]
            tokens = self._choice.draw(logits, self._noise(keys, places, layout.vocabulary))
            if replay is not None:
                tokens = torch.where(replay[:, index] == _DRAW, tokens, replay[:, index] + layout.shift)
            drawn.append(tokens)
            previous = tokens[:, None].expand(-1, self._rows)
            positions, places = positions + moves, places + moves
        for whole, last in ((self._positions, positions), (self._places, places), (self._previous, previous)):
            whole[:used] = last
        for slot in self._taken.values():
            slot.position += steps
            del slot.replay[:steps]
        written = torch.stack(drawn, 1).cpu() - layout.shift
        return torch.cat([written, written.new_zeros(self._slots - used, steps)])

    def end(self, slot: int) -> None:
        """Empty a slot."""
        del self._taken[slot]
        self._moves[slot] = self._positions[slot] = 0
        self._choice = None

    def _settings(self, used: int) -> list[SamplingConfig]:
        """How each slot draws; empty ones are greedy."""
        return [self._taken[slot].sampling if slot in self._taken else _EMPTY for slot in range(used)]

    def _replay(self, used: int, steps: int) -> Int64[Tensor, "slots _"] | None:
        """The codes that are not drawn but read again, `_DRAW` where one is drawn; None where all are."""
        if not any(slot.replay for slot in self._taken.values()):
            return None
        rows = torch.full((used, steps), _DRAW)
        for slot, taken in self._taken.items():
            codes = taken.replay[:steps]
            rows[slot, : len(codes)] = torch.tensor(codes, dtype=torch.int64)
        return rows.to(self._positions.device)
