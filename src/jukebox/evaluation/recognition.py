"""Whether a name can be heard: a classifier that learnt artists or genres from recordings names those of other clips.

Linear discriminant analysis on the embedding of `distribution`: timbre, balance and dynamics, not melody or words. Its
share of right answers on recordings it has not heard says how far it can be trusted; chance is one in the number of
names.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from jukebox.errors import DataError
from jukebox.evaluation.distribution import Embeddings

LEAST_CLIPS = 4
"""Clips that a name needs to be learnt."""


@dataclass(frozen=True, kw_only=True)
class Recogniser:
    """Scores of clips for each name: affine in the embedding."""

    names: tuple[str, ...]
    weights: Float64[np.ndarray, "features names"]
    offsets: Float64[np.ndarray, " names"]

    def recognise(self, embeddings: Embeddings) -> list[str]:
        """The likeliest name of each clip."""
        if not len(embeddings):
            return []
        return [self.names[index] for index in (embeddings @ self.weights + self.offsets).argmax(1)]

    def share(self, embeddings: Embeddings, truth: Sequence[str]) -> float:
        """The share of clips that are given their true name; NaN for no clips."""
        found = self.recognise(embeddings)
        return float(np.mean([a == b for a, b in zip(found, truth, strict=True)])) if found else float("nan")


def learn(embeddings: Embeddings, names: Sequence[str], shrinkage: float = 0.1) -> Recogniser:
    """Learn from clips whose names are known; every name is taken to be equally likely.

    Args:
        embeddings: of the clips.
        names: of each clip; names with fewer than `LEAST_CLIPS` are left out.
        shrinkage: how far the covariance within names is moved towards a multiple of the identity, 0 to 1.

    Raises:
        DataError: fewer than two names have enough clips.
    """
    labels = np.array(names)
    known = tuple(name for name in sorted(set(names)) if (labels == name).sum() >= LEAST_CLIPS)
    if len(known) < 2:
        raise DataError(
            f"{len(known)} names have {LEAST_CLIPS} clips or more; telling them apart takes two: give more music."
        )
    kept = np.isin(labels, known)
    clips, labels = embeddings[kept], labels[kept]
    scale = np.where(clips.std(0) > 0, clips.std(0), 1.0)
    clips = clips / scale
    means = np.stack([clips[labels == name].mean(0) for name in known])
    within = clips - means[np.searchsorted(np.array(known), labels)]
    covariance = within.T @ within / max(1, len(clips) - len(known))
    even = np.trace(covariance) / len(covariance)
    covariance = (1 - shrinkage) * covariance + shrinkage * even * np.eye(len(covariance))
    weights = np.linalg.solve(covariance, means.T)
    return Recogniser(names=known, weights=weights / scale[:, None], offsets=-0.5 * (means.T * weights).sum(0))
