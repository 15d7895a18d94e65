"""From logits to the tokens that may be drawn."""

import torch
from jaxtyping import Float
from torch import Tensor

from jukebox.errors import ConfigError


def filter_logits(
    logits: Float[Tensor, "*batch vocabulary"], *, top_k: int | None = None, top_p: float | None = None
) -> Float[Tensor, "*batch vocabulary"]:
    """Drop improbable tokens before one is drawn.

    Args:
        logits: of any temperature.
        top_k: keep the k most probable tokens and those equal to the k-th, 1 or more; None keeps all.
        top_p: of what is left keep the most probable tokens up to and including the one with which their
            probability exceeds p, 0 < p <= 1; None keeps all. Applied after `top_k`.

    Returns:
        The logits, -inf where a token is dropped. At least one token is kept.

    Raises:
        ConfigError: when `top_k` or `top_p` is outside its range.
    """
    if top_k is not None:
        if top_k < 1:
            raise ConfigError(f"top_k is {top_k}: give a number of tokens, 1 or more, or None to keep all.")
        smallest_kept = logits.topk(min(top_k, logits.shape[-1])).values[..., -1:]
        logits = logits.masked_fill(logits < smallest_kept, -torch.inf)
    if top_p is not None:
        if not 0 < top_p <= 1:
            raise ConfigError(f"top_p is {top_p}: give a probability above 0, up to 1, or None to keep all.")
        descending, order = logits.sort(dim=-1, descending=True)
        cumulative = descending.float().softmax(dim=-1).cumsum(dim=-1)  # float32: half precision loses the tail
        dropped = torch.zeros_like(logits, dtype=torch.bool)
        dropped[..., 1:] = cumulative[..., :-1] > top_p
        logits = logits.masked_fill(dropped.scatter(-1, order, dropped), -torch.inf)
    return logits
