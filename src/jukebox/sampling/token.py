"""From logits to the token that is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from jukebox.config import Config
from jukebox.config.base import require


@dataclass(frozen=True, kw_only=True)
class SamplingConfig(Config, called=""):
    """How a token is drawn from logits.

    Args:
        temperature: divides the logits, 0 or more; 0 takes the most probable token.
        top_k: draw among the k most probable tokens and those equal to the k-th; None for all.
        top_p: of what is left draw among the most probable tokens up to and including the one with which their
            probability exceeds p, 0 < p <= 1; None for all.
        guidance: logits are moved from those without artist, genre and lyrics towards those with them, and so many
            times as far, 0 or more; 1 asks once. Only for priors that were trained with hidden conditions.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    guidance: float = 1.0

    def __post_init__(self) -> None:
        require(0.0 <= self.temperature < float("inf"), self, "temperature", "a number, 0 or more")
        require(0.0 <= self.guidance < float("inf"), self, "guidance", "a number, 0 or more")
        require(self.top_k is None or self.top_k >= 1, self, "top_k", "a number of tokens, 1 or more, or none")
        require(self.top_p is None or 0 < self.top_p <= 1, self, "top_p", "a probability above 0, up to 1, or none")

    @property
    def rows(self) -> int:
        """Rows of a step that a window takes: 2 where it is guided, as it is told and told less."""
        return 1 if self.guidance == 1.0 else 2


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The settings of several slots side by side, as tensors on their device.

    Args:
        temperature: 1 for a greedy slot.
        noisy: 0 for a greedy slot, else 1; None where no slot is greedy.
        top_k: the whole vocabulary where nothing is dropped; None where that holds for every slot.
        top_p: more than 1 where nothing is dropped; None where that holds for every slot.
        guidance: see `SamplingConfig`; None where slots have one row of logits each, and not two.
    """

    temperature: Float[Tensor, "slots 1"]
    noisy: Float[Tensor, "slots 1"] | None
    top_k: Int64[Tensor, "slots 1"] | None
    top_p: Float[Tensor, "slots 1"] | None
    guidance: Float[Tensor, "slots 1"] | None

    @classmethod
    def of(cls, settings: Sequence[SamplingConfig], vocabulary: int, device: torch.device) -> "Choice":
        """The settings of every slot, for logits of `vocabulary` tokens."""

        def column(values: list[float]) -> Tensor:
            return torch.tensor(values, device=device)[:, None]

        top_k = [vocabulary if s.top_k is None else min(s.top_k, vocabulary) for s in settings]
        top_p = [2.0 if s.top_p in (None, 1.0) else s.top_p for s in settings]
        noisy = [float(s.temperature > 0) for s in settings]
        return cls(
            temperature=column([s.temperature or 1.0 for s in settings]),
            noisy=column(noisy) if min(noisy) == 0 else None,
            top_k=None if min(top_k) == vocabulary else torch.tensor(top_k, device=device)[:, None],
            top_p=None if min(top_p) > 1 else column(top_p),
            guidance=column([s.guidance for s in settings]) if any(s.rows == 2 for s in settings) else None,
        )

    def draw(
        self, logits: Float[Tensor, "rows vocabulary"], noise: Float[Tensor, "slots vocabulary"]
    ) -> Int64[Tensor, " slots"]:
        """The token of every slot: the largest of filtered logits and noise. Decisions are made in float32."""
        logits = logits.float()
        if self.guidance is not None:
            told, less = logits.unflatten(0, (-1, 2)).unbind(1)
            logits = less + (told - less) * self.guidance
        # A tensor of its own: what follows is in place.
        kept = filter_logits(logits / self.temperature, top_k=self.top_k, top_p=self.top_p)
        if self.noisy is not None:
            noise = noise * self.noisy
        return _largest(kept.add_(noise))


def _largest(values: Float[Tensor, "*batch vocabulary"]) -> Int64[Tensor, "*batch"]:
    """Where the largest is; NumPy compares several numbers at once where the processor can, PyTorch one by one."""
    if values.device.type == "cpu":
        return torch.from_numpy(values.detach().numpy().argmax(-1))
    return values.argmax(-1)


def filter_logits(
    logits: Float[Tensor, "*batch vocabulary"],
    *,
    top_k: int | Int64[Tensor, "*batch 1"] | None = None,
    top_p: float | Float[Tensor, "*batch 1"] | None = None,
) -> Float[Tensor, "*batch vocabulary"]:
    """Drop improbable tokens before one is drawn.

    Args:
        logits: of any temperature.
        top_k: keep the k most probable tokens and those equal to the k-th, 1 or more; None keeps all.
        top_p: of what is left keep the most probable tokens up to and including the one with which their
            probability exceeds p, and those equal to it; None, or more than 1, keeps all. Applied after `top_k`.

    Returns:
        The logits, -inf where a token is dropped. At least one token is kept.
    """
    if top_k is not None:
        last = torch.as_tensor(top_k, device=logits.device).clamp(max=logits.shape[-1]) - 1
        logits = _from(logits, _descending(logits), last.expand(*logits.shape[:-1], 1))
    if top_p is not None:
        descending = _descending(logits)
        cumulative = descending.float().softmax(dim=-1).cumsum(dim=-1)  # float32: half precision loses the tail
        logits = _from(logits, descending, (cumulative[..., :-1] <= top_p).sum(-1, keepdim=True))
    return logits


def _from(
    logits: Float[Tensor, "*batch vocabulary"],
    descending: Float[Tensor, "*batch vocabulary"],
    last: Int64[Tensor, "*batch 1"],
) -> Float[Tensor, "*batch vocabulary"]:
    """The logits that are no smaller than the one at a place among them in descending order."""
    return logits.masked_fill(logits < descending.gather(-1, last), -torch.inf)


def _descending(logits: Float[Tensor, "*batch vocabulary"]) -> Float[Tensor, "*batch vocabulary"]:
    """The logits sorted; NumPy sorts several numbers at once where the processor can, PyTorch one by one."""
    if logits.device.type == "cpu" and logits.dtype == torch.float32:
        return torch.from_numpy(np.sort(logits.detach().numpy(), axis=-1)).flip(-1)
    return logits.sort(dim=-1, descending=True).values
