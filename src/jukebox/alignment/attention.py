"""How much each code of a song attends to each character of its lyrics: a prior's alignment head, over windows."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from jukebox.labels.labels import LabelTokens, SongTokens
from jukebox.labels.timing import SongSpan
from jukebox.prior.conditions import conditions_of
from jukebox.prior.prior import Prior
from jukebox.prior.transformer import Wanted
from jukebox.sampling.windows import window_starts

EMPTY_CODE = 0
"""Fills up a song that is shorter than a window, as in the original."""


@torch.no_grad()
def align(
    prior: Prior, codes: Int64[Tensor, " codes"], tokens: SongTokens, span: Callable[[int], SongSpan], hop: int
) -> Float32[np.ndarray, "codes characters"]:
    """The attention of every code to every character, merged over windows.

    Windows are read one at a time, last to first: where two overlap, the earlier one's weights for the characters
    that it is shown take the place of the later one's. Source: the original's alignment read-out.

    Args:
        prior: one with an alignment head, in evaluation mode.
        codes: of its level, at least one; on any device.
        tokens: labels of the song.
        span: where the window that begins at a code lies in the song.
        hop: codes from one window to the next, 1 to the prior's context.

    Returns:
        Weights of 0 to 1; 0 where no window shows the character. No column for a song without lyrics.

    Raises:
        ConfigError: the prior has no alignment head, or the hop is outside its range.
    """
    context = prior.config.codes_context
    starts = window_starts(len(codes), context, hop)
    merged = np.zeros((len(codes), len(tokens.lyric_tokens)), np.float32)
    prior.config.alignment_head()
    if not tokens.lyric_tokens:
        return merged
    for start in reversed(starts):
        window = codes[start : start + context]
        weights = window_attention(prior, window, tokens.window(span(start), "float32"))
        indices = np.array(tokens.lyric_indices(span(start), "float32"))
        shown = indices >= 0
        first, last = indices[shown][0], indices[shown][-1]  # they ascend by one
        merged[start : start + len(window), first : last + 1] = weights[: len(window), shown]
    return merged


@torch.no_grad()
def window_attention(
    prior: Prior, codes: Int64[Tensor, " codes"], labels: LabelTokens
) -> Float32[np.ndarray, "context lyrics"]:
    """The alignment head's attention to the lyrics of one window, which is filled up to the context.

    Raises:
        ConfigError: the prior has no alignment head.
    """
    layer, head = prior.config.alignment_head()
    device = prior.token_embedding.weight.device
    filled = torch.full((1, prior.config.codes_context), EMPTY_CODE, dtype=torch.int64, device=device)
    filled[0, : len(codes)] = codes
    conditions = conditions_of([labels], prior.config).to(device)
    output = prior(filled, conditions, wanted=Wanted(attention=frozenset({layer}), head=head))
    return output.lyric_attention[layer][0, 0, -filled.shape[1] :].float().cpu().numpy()
