"""How well a prior predicts codes: bits per token, by position, with and without what it is told.

Beside it stands what a back-off n-gram says about the same windows from the codes alone, counted on the training songs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, Int64
from torch import Tensor

from jukebox.config import ConditionDropout, PriorConfig
from jukebox.data.display import Display, unseen
from jukebox.data.windows import TokenCrop
from jukebox.evaluation.ngram import Ngram
from jukebox.evaluation.parts import NOTHING_KEPT, Parts
from jukebox.prior.conditions import Conditions, conditions_of, drop
from jukebox.prior.prior import Prior, PriorOutput

ORDERS = (1, 2, 3, 4)

Bits = Float32[np.ndarray, "windows codes"]


@runtime_checkable
class Windows(Protocol):
    """Windows of a prior by number, as `data.windows` has them."""

    def __len__(self) -> int:
        """How many there are in an epoch."""
        ...

    def take(self, index: int) -> TokenCrop:
        """The window with a number."""
        ...


@dataclass(frozen=True, kw_only=True)
class Likelihood:
    """Bits of every code of some windows.

    name: what they were predicted by; bits: -log2 of each code's probability.
    """

    name: str
    bits: Bits

    @property
    def mean(self) -> float:
        """Bits per token."""
        return float(self.bits.mean(dtype=np.float64))

    @property
    def standard_error(self) -> float:
        """Of the mean, over windows; NaN for a single one."""
        means = self.bits.mean(1, dtype=np.float64)
        return float(means.std(ddof=1) / len(means) ** 0.5) if len(means) > 1 else float("nan")

    def by_position(self, parts: int = 64) -> tuple[list[int], list[float]]:
        """Mean bits of so many equal parts of the window, or of every position of a short one: (firsts, means)."""
        means = self.bits.mean(0, dtype=np.float64)
        edges = np.unique(np.linspace(0, len(means), parts + 1).astype(int))
        return edges[:-1].tolist(), [float(part.mean()) for part in np.split(means, edges[1:-1])]


def variants(config: PriorConfig) -> dict[str, ConditionDropout]:
    """What can be kept from a prior: a name for each, and what is hidden."""
    hidden_labels = {"artist": 1.0, "genre": 1.0, "timing": 1.0}
    labels, lyrics = config.labels is not None, config.lyrics is not None
    found = {"told everything": ConditionDropout()}
    if labels:
        found["without labels"] = ConditionDropout(**hidden_labels)
    if lyrics:
        found["without lyrics"] = ConditionDropout(lyrics=1.0)
    if labels and lyrics:
        found["without labels and lyrics"] = ConditionDropout(**hidden_labels, lyrics=1.0)
    return found


@torch.no_grad()
def evaluate_prior(
    prior: Prior,
    windows: Windows,
    indices: Sequence[int],
    *,
    batch: int = 1,
    parts: Parts = NOTHING_KEPT,
    rates: Mapping[str, ConditionDropout] | None = None,
    display: Display = unseen,
) -> list[Likelihood]:
    """Bits of the codes of some windows, by default for each of `variants`.

    Args:
        prior: in evaluation mode, on any device.
        windows: its windows.
        indices: which.
        batch: windows at once.
        parts: keeps what has been found.
        rates: what is hidden from it, by name.
        display: shows how far it has come.
    """
    rates = variants(prior.config) if rates is None else rates
    found: dict[str, list[np.ndarray]] = {name: [] for name in rates}
    device = next(prior.parameters()).device
    with display("predicting", len(rates) * len(indices), "windows") as advance:
        for start in range(0, len(indices), batch):
            chosen = indices[start : start + batch]
            take = cache(lambda chosen=chosen: [windows.take(index) for index in chosen])

            def bits(hidden: ConditionDropout, take: Callable[[], list[TokenCrop]] = take) -> np.ndarray:
                told = drop(conditions_for(take(), prior.config), hidden, torch.Generator().manual_seed(0))
                return window_bits(prior, torch.stack([crop.codes for crop in take()]).to(device), told.to(device))

            for name, hidden in rates.items():
                found[name].append(parts.get(f"{name} {start}", partial(bits, hidden)))
                advance(len(chosen))
    return [Likelihood(name=name, bits=np.concatenate(bits)) for name, bits in found.items()]


def evaluate_ngrams(
    training: Iterable[np.ndarray],
    windows: Windows,
    indices: Sequence[int],
    size: int,
    *,
    parts: Parts = NOTHING_KEPT,
    display: Display = unseen,
) -> list[Likelihood]:
    """Bits of the codes of some windows by n-grams of the orders 1 to 4, each given the codes of its window only.

    Args:
        training: runs of codes to count.
        windows: of the prior that is compared.
        indices: which.
        size: of the codebook.
        parts: keeps what has been found.
        display: shows how far it has come.
    """
    runs = cache(lambda: list(training))

    def bits(order: int) -> np.ndarray:
        ngram = Ngram(runs(), size, order)
        return np.stack([ngram.bits(windows.take(index).codes.numpy()) for index in indices]).astype(np.float32)

    found = []
    with display("counting", len(ORDERS), "orders") as advance:
        for order in ORDERS:
            name = f"{order}-gram"
            found.append(Likelihood(name=name, bits=parts.get(name, partial(bits, order))))
            advance(1)
    return found


def conditions_for(crops: Sequence[TokenCrop], config: PriorConfig) -> Conditions:
    """What a prior is told of some windows."""
    above = [crop.codes_above for crop in crops if crop.codes_above is not None]
    return conditions_of([c.labels for c in crops], config, torch.stack(above) if config.upsampler else None)


def window_bits(prior: Prior, codes: Int64[Tensor, "batch codes"], conditions: Conditions) -> Bits:
    """Bits of every code of some windows."""
    return output_bits(prior, prior(codes, conditions), codes, conditions)


def output_bits(prior: Prior, output: PriorOutput, codes: Int64[Tensor, "batch codes"], conditions: Conditions) -> Bits:
    """Bits of every code of some windows, by what a prior has said about them."""
    logits = output.logits
    targets = prior.layout.tokens(codes, conditions.lyrics)
    prefix = prior.layout.prefix
    nats = F.cross_entropy(logits[:, prefix:].float().transpose(1, 2), targets[:, prefix:], reduction="none")
    return (nats / np.log(2)).float().cpu().numpy()
