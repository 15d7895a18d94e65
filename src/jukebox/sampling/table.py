"""What a device has to know of every slot so that steps need nothing from the host.

There is a row for each slot; and where every window takes two rows of a step, two numbers in it of what these read.
"""

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from jukebox.sampling.token import Choice, SamplingConfig

DRAW = -(1 << 62)
"""Stands for a code that is drawn, among codes that are read again."""


@dataclass(frozen=True, kw_only=True)
class SlotTable:
    """Tensors that stay where they are: the host and the steps write into them.

    Args:
        positions: of the token that a slot writes next, in its window, as each of its rows reads it.
        moves: 1 for a window that is being written, 0 for an empty slot, which stays at position 0.
        places: of the next code in its song, which noise is counted by.
        keys: of the noise.
        previous: the token that is read next, by each row.
        temperature: see `Choice`; so are `noisy`, `top_k`, `top_p` and, used where there are two rows, `guidance`.
        replayed: tokens of a launch that are read again instead of drawn, `DRAW` elsewhere.
        written: tokens of a launch.
    """

    positions: Int64[Tensor, "slots rows"]
    moves: Int64[Tensor, " slots"]
    places: Int64[Tensor, " slots"]
    keys: Int64[Tensor, " slots"]
    previous: Int64[Tensor, "slots rows"]
    temperature: Float[Tensor, " slots"]
    noisy: Float[Tensor, " slots"]
    top_k: Int64[Tensor, " slots"]
    top_p: Float[Tensor, " slots"]
    guidance: Float[Tensor, " slots"]
    replayed: Int64[Tensor, "slots steps"]
    written: Int64[Tensor, "slots steps"]

    @classmethod
    def empty(cls, slots: int, steps: int, vocabulary: int, device: torch.device, rows: int = 1) -> "SlotTable":
        """A table of empty slots, which draw greedily; `steps` is the most of one launch, `rows` those of a window."""

        def row(value: int | float) -> Tensor:
            return torch.full((slots,), value, device=device)

        whole = {name: row(0) for name in ("moves", "places", "keys")}
        return cls(
            **whole,
            positions=row(0)[:, None].repeat(1, rows),
            previous=row(0)[:, None].repeat(1, rows),
            temperature=row(1.0),
            noisy=row(0.0),
            top_k=row(vocabulary),
            top_p=row(2.0),
            guidance=row(1.0),
            replayed=torch.full((slots, steps), DRAW, device=device),
            written=torch.zeros((slots, steps), dtype=torch.int64, device=device),
        )

    @property
    def rows(self) -> int:
        """Rows of a step that each window takes."""
        return self.positions.shape[1]

    def set_choice(self, slot: int, sampling: SamplingConfig, vocabulary: int) -> None:
        """How a slot draws from now on."""
        self.temperature[slot] = sampling.temperature or 1.0
        self.noisy[slot] = float(sampling.temperature > 0)
        self.top_k[slot] = vocabulary if sampling.top_k is None else min(sampling.top_k, vocabulary)
        self.top_p[slot] = 2.0 if sampling.top_p is None else sampling.top_p
        self.guidance[slot] = sampling.guidance

    def choice(self, *, top_k: bool, top_p: bool) -> Choice:
        """How all slots draw; what none of them asks for is left out."""
        return Choice(
            temperature=self.temperature[:, None],
            noisy=self.noisy[:, None],
            top_k=self.top_k[:, None] if top_k else None,
            top_p=self.top_p[:, None] if top_p else None,
            guidance=self.guidance[:, None] if self.rows == 2 else None,
        )

    def standing(self) -> "SlotTable":
        """A copy in which nothing moves: steps of it write where the next real step will write, and change nothing."""
        copies = {field.name: getattr(self, field.name).clone() for field in fields(self)}
        return replace(SlotTable(**copies), moves=torch.zeros_like(self.moves))
