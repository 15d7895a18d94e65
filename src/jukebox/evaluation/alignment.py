"""Whether a prior's attention to the lyrics follows what is sung: every head, against known times of words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from jukebox.data.display import Display, unseen
from jukebox.data.windows import TokenCrop
from jukebox.evaluation.likelihood import Windows, conditions_for
from jukebox.evaluation.parts import Parts
from jukebox.prior.prior import Prior
from jukebox.prior.transformer import Wanted

FEWEST_WORDS = 3
"""A window with fewer words has no order to speak of and is left out."""

_COLUMNS = 3

Attention = Float[Tensor, "heads codes lyrics"]


@dataclass(frozen=True, kw_only=True)
class HeadAlignment:
    """How well one head follows the words; means over windows.

    correlation: Spearman's, of the times of a window's words by attention and by the truth, and its standard error;
    share: of the attention, of a word and the character after it while it is sung; error_s: median distance of both
    times.
    """

    layer: int
    head: int
    correlation: float
    standard_error: float
    share: float
    error_s: float


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """Every head, the best first; windows: how many had words enough; even_share: what even attention would give."""

    heads: tuple[HeadAlignment, ...]
    windows: int
    even_share: float


@torch.no_grad()
def evaluate_alignment(
    prior: Prior, windows: Windows, indices: Sequence[int], hop_s: float, *, parts: Parts, display: Display = unseen
) -> Alignment:
    """How every head follows the words of some windows.

    Args:
        prior: with lyrics, in evaluation mode, on any device.
        windows: its windows, with the times of words where they are known.
        indices: which; those with fewer than `FEWEST_WORDS` sung words are left out.
        hop_s: seconds of a code.
        parts: keeps what has been found.
        display: shows how far it has come.
    """
    layers, found, even = prior.config.lyric_layers(), [], []
    with display("reading attention", len(indices), "windows") as advance:
        for index in indices:
            crop = windows.take(index)
            words = sung_words(crop.sung)
            if len(words) >= FEWEST_WORDS:
                found.append(parts.get(f"window {index}", lambda crop=crop, words=words: _rows(prior, crop, words)))
                even.append(_even_share(crop))
            advance(1)
    if not found:
        return Alignment(heads=(), windows=0, even_share=float("nan"))
    values = np.stack(found)  # [windows layers*heads columns]
    heads = []
    for place, rows in enumerate(values.transpose(1, 0, 2)):
        layer, head = divmod(place, prior.config.transformer.heads)
        error = rows[:, 0].std(ddof=1) / len(rows) ** 0.5 if len(rows) > 1 else float("nan")
        heads.append(
            HeadAlignment(
                layer=layers[layer],
                head=head,
                correlation=float(rows[:, 0].mean()),
                standard_error=float(error),
                share=float(rows[:, 1].mean()),
                error_s=float(rows[:, 2].mean()) * hop_s,
            )
        )
    heads.sort(key=lambda row: -row.correlation)
    return Alignment(heads=tuple(heads), windows=len(found), even_share=float(np.mean(even)))


@torch.no_grad()
def attention_of(prior: Prior, crop: TokenCrop) -> dict[int, Attention]:
    """The attention of every code of a window to its lyric tokens, by layer."""
    device = prior.token_embedding.weight.device
    wanted = Wanted(attention=frozenset(prior.config.lyric_layers()))
    output = prior(crop.codes[None].to(device), conditions_for([crop], prior.config).to(device), wanted=wanted)
    return {layer: weights[0, :, -len(crop.codes) :].cpu() for layer, weights in output.lyric_attention.items()}


def sung_words(sung: Int64[Tensor, "codes 2"]) -> list[tuple[int, int, int, int]]:
    """The words of a window in their order: (first code, one past the last, first token, one past the last)."""
    found = []
    for code, (first, end) in enumerate(sung.tolist()):
        if first >= 0 and found and found[-1][1:] == (code, first, end):
            found[-1] = (found[-1][0], code + 1, first, end)
        elif first >= 0:
            found.append((code, code + 1, first, end))
    return found


def _rows(prior: Prior, crop: TokenCrop, words: list[tuple[int, int, int, int]]) -> np.ndarray:
    """Of every head of every layer: correlation, share, and median error in codes."""
    layers = attention_of(prior, crop)
    rows = [measured(weights, words) for layer in layers.values() for weights in layer.double()]
    return np.array(rows).reshape(-1, _COLUMNS)


def measured(weights: Float[Tensor, "codes lyrics"], words: list[tuple[int, int, int, int]]) -> tuple[float, ...]:
    """Correlation, share and median error in codes of one head, as in `HeadAlignment`.

    A word's time by attention is the mean of the codes, each counted by what it gives the word.
    """
    codes = torch.arange(len(weights), dtype=weights.dtype)
    attended, middles, shares, counts = [], [], [], []
    for start, stop, first, end in words:
        # The character after a word is where the encoder first sees its last one (`prior.losses.alignment_bits`).
        share = weights[:, first : end + 1].sum(1)
        attended.append(float((share * codes).sum() / share.sum().clamp_min(1e-30)))
        middles.append((start + stop - 1) / 2)
        shares.append(float(share[start:stop].sum()))
        counts.append(stop - start)
    error = float(np.median(np.abs(np.array(attended) - np.array(middles))))
    return rank_correlation(np.array(attended), np.array(middles)), sum(shares) / sum(counts), error


def _even_share(crop: TokenCrop) -> float:
    """The share of a sung word if all lyric tokens of the window were given the same."""
    heard = crop.sung[crop.sung[:, 0] >= 0].double()
    tokens = len(crop.labels.lyric_tokens)
    return float(((heard[:, 1] + 1).clamp_max(tokens) - heard[:, 0]).mean() / tokens)


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's: the correlation of the ranks, equal values sharing theirs; 0 where all are equal."""
    ranks = [(values[:, None] > values).sum(1) + (values[:, None] == values).sum(1) / 2 for values in (one, other)]
    centred = [rank - rank.mean() for rank in ranks]
    scale = np.linalg.norm(centred[0]) * np.linalg.norm(centred[1])
    return float(centred[0] @ centred[1] / scale) if scale > 0 else 0.0
