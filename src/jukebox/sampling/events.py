"""What is told while a song is written."""

from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float, Int64
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Message:
    """A sentence for the person who asked."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far the work has come.

    Args:
        level: that is being written.
        window, windows: the one that is being written, and how many its level has, in all songs.
        tokens, of_tokens: written in this level, and how many it has.
        tokens_per_s: since the level began, in all songs.
        times_real_time: seconds of sound for each second of work, at this level, in all songs.
        left_s: seconds until everything is written, as far as one can tell.
    """

    level: int
    window: int
    windows: int
    tokens: int
    of_tokens: int
    tokens_per_s: float
    times_real_time: float
    left_s: float


@dataclass(frozen=True, kw_only=True)
class Audio:
    """Sound of the finest level that is written, as it becomes final: [channels, samples] from `start_sample` on."""

    item: str
    start_sample: int
    samples: Float[Tensor, "channels samples"]


@dataclass(frozen=True, kw_only=True)
class Saved:
    """Everything so far is on the disk; or a file that can be listened to is."""

    path: Path


@dataclass(frozen=True, kw_only=True)
class Finished:
    """All codes of all items, by name and level."""

    codes: dict[str, dict[int, Int64[Tensor, " _"]]]


Event = Message | Progress | Audio | Saved | Finished
