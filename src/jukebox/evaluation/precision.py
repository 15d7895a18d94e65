"""What matrices and caches in fewer bits cost a prior: bits per token of the same windows, teacher-forced."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch

from jukebox.config import ConditionDropout, PriorConfig
from jukebox.data.display import Display, unseen
from jukebox.errors import ConfigError
from jukebox.evaluation.likelihood import Likelihood, Windows, conditions_for, evaluate_prior
from jukebox.nn.quantised import RoundedPairs
from jukebox.prior.attention import SelfAttention
from jukebox.prior.calibrate import Window, calibrate
from jukebox.prior.prior import Prior

RUNGS = ("bfloat16", "int8", "int4", "calibrated4", "cache8")
"""Everything in bfloat16; matrices in 8 or 4 bits, or in 4 chosen for windows of training; keys and values in 8."""

CALIBRATION_WINDOWS = 8
"""As good as three times as many; two cost a third more (docs/decisions/0010)."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a precision costs.

    Args:
        name: of the precision.
        predicted: bits of every code with it.
        mean: bits per token more than without.
        standard_error: of that, over windows; both saw the same, so it is of their differences.
    """

    name: str
    predicted: Likelihood
    mean: float
    standard_error: float


def parse_rungs(text: str) -> tuple[str, ...]:
    """Precisions as in "bfloat16,int8"; raises ConfigError for one that there is not."""
    rungs = tuple(dict.fromkeys(text.split(",")))
    unknown = [rung for rung in rungs if rung not in RUNGS]
    if unknown:
        raise ConfigError(f"There is no precision {unknown[0]!r}; name some of {','.join(RUNGS)}.")
    return rungs


def evaluate_precisions(
    prior: Prior,
    windows: Windows,
    indices: Sequence[int],
    rungs: Sequence[str],
    exact: Likelihood,
    *,
    training: Windows | None = None,
    batch: int = 1,
    display: Display = unseen,
) -> Iterator[Cost]:
    """What each precision costs beside the prior as it is, which is told everything.

    Args:
        prior: in evaluation mode, in float32, on any device; left as it is.
        windows: its windows.
        indices: which.
        rungs: some of `RUNGS`.
        exact: what the prior says as it is, told everything.
        training: windows that 4 bits are chosen for.
        batch: windows at once.
        display: shows how far it has come.

    Raises:
        ConfigError: 4 bits shall be chosen for windows, and there are none.
    """
    for rung in rungs:
        twin = reduced(prior, rung, training)
        (found,) = evaluate_prior(
            twin, windows, indices, batch=batch, rates={rung: ConditionDropout()}, display=display
        )
        difference = Likelihood(name=rung, bits=found.bits - exact.bits)
        yield Cost(name=rung, predicted=found, mean=difference.mean, standard_error=difference.standard_error)


def told_windows(config: PriorConfig, windows: Windows, count: int) -> Iterator[Window]:
    """The first so many windows, each with what a prior is told of it."""
    for index in range(min(count, len(windows))):
        crop = windows.take(index)
        yield crop.codes[None], conditions_for([crop], config)


def reduced(prior: Prior, rung: str, training: Windows | None = None) -> Prior:
    """A copy of a prior in one of `RUNGS`."""
    twin = copy.deepcopy(prior)
    if rung == "bfloat16":
        return twin.to(torch.bfloat16)
    if rung == "calibrated4":
        if training is None:
            raise ConfigError(
                "calibrated4 is chosen for songs of training; give data that has some, and the validation split."
            )
        device = prior.token_embedding.weight.device
        calibrate(twin, told_windows(prior.config, training, CALIBRATION_WINDOWS), device)
        return twin.to(device)
    if rung != "cache8":
        twin.reduce(8 if rung == "int8" else 4)
        return twin
    transformer = prior.config.transformer
    for module in list(twin.transformer.modules()):
        if isinstance(module, SelfAttention):
            pairs = RoundedPairs(module.qkv, transformer.attention_width, transformer.heads)
            module.qkv = cast(torch.nn.Linear, pairs)
    return twin
