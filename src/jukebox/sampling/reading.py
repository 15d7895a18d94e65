"""What is known of a window, read into a state before its first new code is written."""

from dataclasses import replace

import torch
from jaxtyping import Int64
from torch import Tensor

from jukebox.config import PriorConfig
from jukebox.prior.conditions import unconditioned
from jukebox.prior.prior import Prior, PriorState
from jukebox.prior.token_stack import before
from jukebox.sampling.engine import Window, listened

# Positions that are read at once. Part of the arithmetic: in other pieces attention would round otherwise.
CHUNK = 1024


def rows_of(window: Window, config: PriorConfig) -> tuple[Window, ...]:
    """The window as each of its rows reads it: as it is, and told less where it is guided (`SamplingConfig.rows`)."""
    if window.sampling.rows == 1:
        return (window,)
    return window, replace(window, conditions=unconditioned(window.conditions, config.condition_dropout))


def read_window(prior: Prior, item: PriorState, window: Window) -> tuple[int, torch.Tensor | int]:
    """Condition the state of one item and read the codes that are given, a chunk at a time.

    Args:
        prior: whose state it is.
        item: of one item, wherever it was.
        window: which is to be written.

    Returns:
        The window's next position in the transformer, and the token before it: 0 where there is none.
    """
    item, tokens = conditioned(prior, item, window)
    count = tokens.shape[1]
    for part in before(tokens).split(CHUNK, 1) if count else ():
        # The token before a part is the last of the one before it, which `before` of the whole sees to.
        item = prior.read(part, item)
    return count, tokens[0, -1] if count else 0


def conditioned(prior: Prior, item: PriorState, window: Window) -> tuple[PriorState, Int64[Tensor, "1 known"]]:
    """Condition the state of one item, wherever it was: it at its beginning, and the tokens that it is to read."""
    device, known = item.transformer.positions.device, len(window.known)
    assert known + len(window.replay) <= prior.config.codes_context, "there is no place left in the window"
    conditions = window.conditions.to(device)
    item = item.at(torch.zeros_like(item.transformer.positions), 0)
    prior.fill(item, conditions)
    return item, prior.layout.tokens(listened(window.known).to(device)[None], conditions.lyrics)
