"""What is sung in one window of a song, as a prior's alignment head hears it."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from jukebox.alignment.path import monotonic_path
from jukebox.labels.labels import LabelTokens, SongTokens
from jukebox.labels.timing import SongSpan
from jukebox.prior.conditions import Conditions, conditions_of
from jukebox.prior.prior import Prior, WindowOutput
from jukebox.prior.transformer import Wanted

EMPTY_CODE = 0
"""Fills up a window that has fewer codes, as in the original."""

_UNSURE = 16
"""Of the codes of a window one in so many, the last, is not counted on: nothing after them says where they end."""


@dataclass(frozen=True, kw_only=True)
class HeardWindow:
    """How much codes attend to the lyrics.

    Args:
        span: where these codes lie in the song.
        characters: of the song's lyrics.
        shown: which of them the window was shown, ascending by one; at least one.
        weights: of each code to each of these, 0 to 1.
    """

    span: SongSpan
    characters: int
    shown: Int64[np.ndarray, " shown"]
    weights: Float32[np.ndarray, "codes shown"]

    def middle_of(self, window: SongSpan) -> int:
        """The character in the middle of another window, which begins later.

        It is what was heard there; later than that, what is left to sing is spread over what is left of the song.
        """
        path = self.shown[monotonic_path(self.weights)]
        sure = max(1, len(path) - len(path) // _UNSURE)
        moments = self.span.offset_samples + (np.arange(sure) + 0.5) * (self.span.window_length_samples / len(path))
        middle = window.offset_samples + window.window_length_samples / 2
        place = np.interp(middle, [*moments, window.total_length_samples], [*path[:sure], self.characters])
        # However much is left, what comes next is shown.
        return min(int(place), int(path[sure - 1]) + len(self.shown) // 2)


def hear(prior: Prior, codes: Int64[Tensor, " codes"], tokens: SongTokens, span: SongSpan) -> HeardWindow:
    """Read a window of a song.

    Args:
        prior: in evaluation mode.
        codes: of the window, as many as there are from its first, at least one; on any device.
        tokens: labels of the song, which has lyrics.
        span: where the window lies in it.

    Raises:
        ConfigError: the prior has no alignment head.
    """
    conditions = window_conditions(prior, tokens, span)
    return heard(prior, read_window(prior, codes, conditions), len(codes), tokens, span)


def window_conditions(prior: Prior, tokens: SongTokens, span: SongSpan) -> Conditions:
    """What a prior is told of one window of a song, on its device."""
    return _conditions(prior, tokens.window(span, "float32"))


def heard(prior: Prior, output: WindowOutput, codes: int, tokens: SongTokens, span: SongSpan) -> HeardWindow:
    """What `read_window` has found in a window.

    Args:
        prior: that read it.
        output: what it said.
        codes: how many the window had.
        tokens, span: what it was told by, as in `hear`.
    """
    indices = np.array(tokens.lyric_indices(span, "float32"))
    length = span.window_length_samples * codes // prior.config.codes_context
    return HeardWindow(
        span=replace(span, window_length_samples=length),
        characters=len(tokens.lyric_tokens),
        shown=indices[indices >= 0],
        weights=_attention(prior, output)[:codes, indices >= 0],
    )


@torch.no_grad()
def read_window(prior: Prior, codes: Int64[Tensor, " codes"], conditions: Conditions) -> WindowOutput:
    """What a prior says about one window, which is filled up to the context; and its alignment head's attention.

    Raises:
        ConfigError: the prior has no alignment head.
    """
    layer, head = prior.config.alignment_head()
    filled = torch.full((1, prior.config.codes_context), EMPTY_CODE, dtype=torch.int64, device=_device(prior))
    filled[0, : len(codes)] = codes
    return prior(filled, conditions, wanted=Wanted(attention=frozenset({layer}), head=head))


def window_attention(
    prior: Prior, codes: Int64[Tensor, " codes"], labels: LabelTokens
) -> Float32[np.ndarray, "context lyrics"]:
    """The alignment head's attention to the lyrics of one window, which is filled up to the context.

    Raises:
        ConfigError: the prior has no alignment head.
    """
    return _attention(prior, read_window(prior, codes, _conditions(prior, labels)))


def _attention(prior: Prior, output: WindowOutput) -> Float32[np.ndarray, "context lyrics"]:
    layer, _ = prior.config.alignment_head()
    return output.lyric_attention[layer][0, 0, -prior.config.codes_context :].float().cpu().numpy()


def _conditions(prior: Prior, labels: LabelTokens) -> Conditions:
    return conditions_of([labels], prior.config).to(_device(prior))


def _device(prior: Prior) -> torch.device:
    return prior.token_embedding.weight.device
