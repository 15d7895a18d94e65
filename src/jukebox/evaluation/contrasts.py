"""Whether a prior listens to what it is told: on how many windows the truth predicts the codes better than a lie."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float64

from jukebox.config import PriorConfig
from jukebox.data.display import Display, unseen
from jukebox.data.windows import TokenCrop
from jukebox.evaluation.likelihood import Likelihood, Windows, conditions_for, window_bits
from jukebox.evaluation.parts import Parts
from jukebox.labels.labels import LabelTokens
from jukebox.labels.text import PADDING_TOKEN, LyricAlphabet
from jukebox.prior.prior import Prior

Names = tuple[int, tuple[int, ...]]
"""The numbers of an artist and of its genre's words."""

Lie = Callable[[TokenCrop, np.random.Generator], LabelTokens | None]
"""Other labels for a window; None where there are none to be wrong about."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """The truth against a lie.

    name: of the lie; differences: bits per token that the lie costs, by window, for those that it can be told of.
    """

    name: str
    differences: Float64[np.ndarray, " windows"]

    @property
    def share(self) -> float:
        """Of the windows, those on which the truth has the lower loss; NaN where there are none."""
        return float((self.differences > 0).mean()) if len(self.differences) else float("nan")

    @property
    def mean(self) -> float:
        """Bits per token that the lie costs; NaN where there are no windows."""
        return float(self.differences.mean()) if len(self.differences) else float("nan")


def lies(config: PriorConfig, names: Sequence[Names], alphabet: LyricAlphabet | None) -> dict[str, Lie]:
    """What a prior can be told wrongly.

    Args:
        config: of the prior.
        names: of the artists and genres of the data, in its numbers.
        alphabet: of its lyrics.
    """
    found: dict[str, Lie] = {}
    if config.labels is not None:
        found["another artist and genre"] = lambda crop, random: another(crop.labels, names, random)
    if config.lyrics is not None and alphabet is not None:
        breaks = frozenset({PADDING_TOKEN, *(alphabet.encode(" \n\t"))})
        found["words shuffled"] = lambda crop, random: _shuffled_crop(crop, breaks, random)
    return found


@torch.no_grad()
def evaluate_contrasts(
    prior: Prior,
    windows: Windows,
    indices: Sequence[int],
    truth: Likelihood,
    told: Mapping[str, Lie],
    *,
    parts: Parts,
    display: Display = unseen,
) -> list[Contrast]:
    """What each lie costs; arguments as of `likelihood.evaluate_prior`, whose row for the truth is `truth`."""
    device, found = next(prior.parameters()).device, []
    with display("contradicting", len(told) * len(indices), "windows") as advance:
        for name, lie in told.items():
            differences = []
            for place, index in enumerate(indices):
                crop = windows.take(index)
                labels = lie(crop, np.random.default_rng([index, 7]))
                if labels is not None:
                    lied = replace(crop, labels=labels)

                    def bits(lied: TokenCrop = lied) -> np.ndarray:
                        conditions = conditions_for([lied], prior.config).to(device)
                        return window_bits(prior, lied.codes[None].to(device), conditions)[0]

                    cost = parts.get(f"{name} {index}", bits).mean(dtype=np.float64)
                    differences.append(cost - truth.bits[place].mean(dtype=np.float64))
                advance(1)
            found.append(Contrast(name=name, differences=np.array(differences, np.float64)))
    return found


def another(labels: LabelTokens, names: Sequence[Names], random: np.random.Generator) -> LabelTokens | None:
    """The same with the artist and the genre of somebody else, whose genre is another one too if there is such."""
    others = [name for name in names if name[0] != labels.artist_id]
    others = [name for name in others if name[1] != labels.genre_ids] or others
    if not others:
        return None
    artist, genres = others[random.integers(len(others))]
    return replace(labels, artist_id=artist, genre_ids=genres)


def _shuffled_crop(crop: TokenCrop, breaks: frozenset[int], random: np.random.Generator) -> LabelTokens | None:
    """Windows in which nothing is sung, where that is known, have no words that could be wrong."""
    if crop.song.lyric_times and not bool((crop.sung >= 0).any()):
        return None
    return shuffled(crop.labels, breaks, random)


def shuffled(labels: LabelTokens, breaks: frozenset[int], random: np.random.Generator) -> LabelTokens | None:
    """The same with its words in another order, spaces and ends of lines in theirs; None for fewer than two words."""
    words: list[tuple[int, ...]] = []
    pattern: list[int | None] = []  # None stands for a word
    inside = False
    for token in labels.lyric_tokens:
        if token in breaks:
            pattern.append(token)
        elif inside:
            words[-1] += (token,)
        else:
            words.append((token,))
            pattern.append(None)
        inside = token not in breaks
    if len(set(words)) < 2:
        return None
    order = words
    while order == words:
        order = [words[index] for index in random.permutation(len(words))]
    rest = iter(order)
    tokens = [t for part in pattern for t in ((part,) if part is not None else next(rest))]
    return replace(labels, lyric_tokens=tuple(tokens))
