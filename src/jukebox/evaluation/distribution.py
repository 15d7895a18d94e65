"""How like two collections of sound are as a whole: a Fréchet distance between their embeddings.

The embedding is our own and needs nothing to be downloaded. A clip of about five seconds becomes 80 numbers: from 20
cepstral coefficients of the log-mel spectrum (64 bands, window 2048), their means, their standard deviations, and the
mean sizes of their changes over 12 ms and over 190 ms. It hears timbre, balance, dynamics and how lively the sound is.
It does not hear melody, harmony, words or form. Distances are comparable only among each other: same embedding, same
clip length, same sample rate; they are not those of VGGish, CLAP or any other network.

With few clips the distance is too large: the covariance of n clips is an estimate. So it is also computed on subsets
and extrapolated to infinitely many clips (FAD-infinity), and the two halves of the reference are compared with each
other: nothing that is compared with it can be told from it below that.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from jukebox.audio.spectral import log_mel
from jukebox.errors import DataError

CLIP_S = 5.0
EMBEDDING = "mel-cepstra-80: means, deviations and changes of 20 mel cepstra in clips of 5 s"
LEAST_CLIPS = 16

_WINDOW, _BANDS, _CEPSTRA, _STRIDES = 2048, 64, 20, (1, 16)

Embeddings = Float64[np.ndarray, "_ features"]


def embed(clip: Float[Tensor, "1 samples"], sample_rate: int) -> Float64[np.ndarray, " features"]:
    """The embedding of a clip, at least 17 hops of 512 samples long."""
    from scipy.fft import dct

    spectrum = log_mel(clip, sample_rate, _WINDOW, _BANDS)[0].double().numpy()
    cepstra = np.asarray(dct(spectrum, axis=0, norm="ortho"))[:_CEPSTRA]
    changes = [np.abs(cepstra[:, stride:] - cepstra[:, :-stride]).mean(1) for stride in _STRIDES]
    return np.concatenate([cepstra.mean(1), cepstra.std(1), *changes])


def frechet_distance(first: Embeddings, second: Embeddings) -> float:
    """|m1 - m2|^2 + trace(S1 + S2 - 2 (S1 S2)^(1/2)) of the means and covariances (facts 7).

    Raises:
        DataError: a collection has fewer than two clips.
    """
    from scipy.linalg import eigh

    if min(len(first), len(second)) < 2:
        raise DataError(
            f"There are {len(first)} and {len(second)} clips: a distance needs two of each, and means little below 200."
        )
    covariances = [np.atleast_2d(np.cov(e, rowvar=False)) for e in (first, second)]
    values, vectors = eigh(covariances[0])
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    # trace((S1 S2)^(1/2)) from the symmetric S1^(1/2) S2 S1^(1/2): real, whatever the rank.
    product = eigh(root @ covariances[1] @ root, eigvals_only=True)
    traces = np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * np.sqrt(product.clip(0)).sum()
    return float(np.square(first.mean(0) - second.mean(0)).sum() + traces)


@dataclass(frozen=True, kw_only=True)
class Distance:
    """A Fréchet distance: as measured, and extrapolated to infinitely many clips; NaN where these are too few."""

    clips: int
    distance: float
    extrapolated: float


def distance(reference: Embeddings, other: Embeddings, *, seed: int = 0, steps: int = 8) -> Distance:
    """The distance of a collection from a reference, both brought to the same scale.

    Every feature is divided by its standard deviation in the reference, so that none counts for its unit.

    Args:
        reference: of the collection that is compared with.
        other: of the one that is compared.
        seed: of the subsets.
        steps: how many sizes of subsets, from a fifth of the clips to all of them.

    Raises:
        DataError: a collection has fewer than two clips.
    """
    scale = reference.std(0, ddof=1) if len(reference) > 1 else np.ones(reference.shape[1])
    scale = np.where(scale > 0, scale, 1.0)
    reference, other = reference / scale, other / scale
    whole = frechet_distance(reference, other)
    least = max(LEAST_CLIPS, len(other) // 5)
    extrapolated = math.nan
    if len(other) >= 2 * LEAST_CLIPS:
        random = np.random.default_rng(seed)
        sizes = np.linspace(least, len(other), steps).astype(int)
        found = [frechet_distance(reference, other[random.permutation(len(other))[:size]]) for size in sizes]
        extrapolated = float(np.polyfit(1 / sizes, found, 1)[1])
    return Distance(clips=len(other), distance=whole, extrapolated=extrapolated)


def halves(embeddings: Embeddings, groups: Sequence[str]) -> tuple[Embeddings, Embeddings]:
    """Two parts of a collection of which none shares a song with the other.

    Args:
        embeddings: of all clips.
        groups: the song of each.
    """
    songs = sorted(set(groups))
    first = set(songs[::2])
    chosen = np.array([group in first for group in groups])
    return embeddings[chosen], embeddings[~chosen]


def clip_samples(sample_rate: int, multiple: int = 1) -> int:
    """Samples of a clip: a whole number of `multiple`."""
    return max(1, round(CLIP_S * sample_rate / multiple)) * multiple


def stack(embeddings: Sequence[Float64[np.ndarray, " features"]]) -> Embeddings:
    """Embeddings of clips as rows; none for no clips."""
    return np.stack(embeddings) if embeddings else torch.zeros(0, (2 + len(_STRIDES)) * _CEPSTRA).double().numpy()
