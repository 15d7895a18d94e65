"""What writes codes: an engine with slots, each a window of some song at a place of its own.

Many songs, many windows of one song and one song alone are the same thing to an engine. `generate` decides which
window comes when; an engine never looks beyond its slots.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int64
from torch import Tensor

from jukebox.config import PriorConfig
from jukebox.prior.conditions import Conditions
from jukebox.prior.prior import Prior
from jukebox.sampling.token import SamplingConfig


@dataclass(frozen=True, kw_only=True)
class Window:
    """A window of a song that is to be written.

    Codes here are raw: where a prior has lyrics and codes in one vocabulary, a lyric token that was drawn among the
    codes is a negative number. It counts as code 0 (`listened`), but within its window it was read as what it is.

    Args:
        conditions: of this window, for one item.
        known: codes at its beginning that are given: an overlap, a primer. At least one place is left after them.
        replay: codes that followed them when the window was interrupted; read one by one again, so that every
            rounding is that of the first time.
        start: position of the window's first code in its song, which noise is counted by.
        key: of the noise (`noise.noise_key`).
        sampling: temperature and the tokens that may be drawn.
    """

    conditions: Conditions
    known: Int64[Tensor, " known"]
    replay: Int64[Tensor, " replay"]
    start: int
    key: int
    sampling: SamplingConfig


@runtime_checkable
class NoiseSource(Protocol):
    """Noise that is added to logits before the largest is taken: `noise.gumbel`, or a recorded one."""

    def __call__(
        self, keys: Int64[Tensor, " slots"], positions: Int64[Tensor, " slots"], count: int
    ) -> Float[Tensor, "slots _"]:
        """One number for each of `count` tokens of every slot; `positions` are those of the codes in their songs."""
        ...


@runtime_checkable
class Engine(Protocol):
    """Writes windows of one level. What is in a slot does not depend on what is in the others."""

    @property
    def config(self) -> PriorConfig:
        """The prior that it runs."""
        ...

    @property
    def prior(self) -> Prior:
        """The same with its weights, which can be asked about codes that are written."""
        ...

    @property
    def slots(self) -> int:
        """How many windows it can write at once."""
        ...

    def begin(self, slot: int, window: Window) -> None:
        """Put a window into a slot, in the place of what was there, and read what is known of it."""
        ...

    def run(self, steps: int) -> Int64[Tensor, "slots _"]:
        """Write the next codes of every window, on the CPU, raw: first those to be replayed, then new ones.

        Args:
            steps: how many; no window may be written past its end (`config.codes_context`). What is given for empty
                slots means nothing.
        """
        ...

    def end(self, slot: int) -> None:
        """Empty a slot."""
        ...


@runtime_checkable
class FollowingEngine(Engine, Protocol):
    """An engine that reads the beginning of the next window of a song while it writes the window before.

    The new codes of a window are what the next one knows: read beside each other they cost little more than alone.
    """

    @property
    def follows(self) -> bool:
        """Whether it does so: it has one slot."""
        ...

    def follow(self, window: Window) -> None:
        """Read a window that is to come next beside the one in the slot.

        Args:
            window: it knows the codes that are there of it now; those that it will know are the next that are written.
        """
        ...

    def advance(self) -> None:
        """Put the window that followed into the slot, when the one before is whole."""
        ...


def listened(codes: Int64[Tensor, "*shape"]) -> Int64[Tensor, "*shape"]:
    """Raw codes as everyone else reads them: a lyric token that was drawn counts as code 0."""
    return codes.clamp_min(0)
