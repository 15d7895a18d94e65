"""How a VQ-VAE uses its codebooks: which share of the codes occurs, and how evenly."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Int64

from jukebox.data.collection import Split
from jukebox.data.crops import AudioCrops
from jukebox.data.display import Display, unseen
from jukebox.data.shards import Tokens
from jukebox.evaluation.parts import NOTHING_KEPT, Parts
from jukebox.vqvae.vqvae import VQVAE

Counts = Int64[np.ndarray, " size"]


@dataclass(frozen=True, kw_only=True)
class CodebookUse:
    """How the codes of one level are used.

    codes: how many were counted; size: of the codebook; used: how many different ones occurred; entropy_bits: of their
    histogram; perplexity: 2 to that power, the size of an evenly used codebook of the same entropy; efficiency: entropy
    by log2 of the size; most_used: the share of the most frequent code.
    """

    codes: int
    size: int
    used: int
    entropy_bits: float
    perplexity: float
    efficiency: float
    most_used: float


def use_of(counts: Counts) -> CodebookUse:
    """The use of a codebook from how often each code occurred; at least one did."""
    shares = counts[counts > 0] / counts.sum()
    entropy = float(-(shares * np.log2(shares)).sum()) + 0.0  # no negative zero
    return CodebookUse(
        codes=int(counts.sum()),
        size=len(counts),
        used=len(shares),
        entropy_bits=entropy,
        perplexity=2**entropy,
        efficiency=entropy / math.log2(len(counts)),
        most_used=float(shares.max()),
    )


def total_efficiency(uses: Sequence[CodebookUse]) -> float:
    """Sum of the entropies by the sum of the bits of all codebooks: bitrate efficiency (facts 7)."""
    return sum(use.entropy_bits for use in uses) / sum(math.log2(use.size) for use in uses)


def count_tokens(tokens: Tokens, split: Split | None, display: Display = unseen) -> list[Counts]:
    """How often each code occurs in the songs of a split, by level."""
    songs = tokens.of_split(split)
    counts = [np.zeros(size, np.int64) for size in tokens.codebook_sizes]
    with display("counting", len(songs), "songs") as advance:
        for song in songs:
            for level, size in enumerate(tokens.codebook_sizes):
                counts[level] += np.bincount(tokens.codes(song, level), minlength=size)
            advance(1)
    return counts


def count_crops(
    model: VQVAE,
    crops: AudioCrops,
    indices: Sequence[int],
    *,
    parts: Parts = NOTHING_KEPT,
    display: Display = unseen,
) -> list[Counts]:
    """How often each code occurs in pieces of sound, by level; `parts` keeps what was found."""
    counts = np.zeros((model.config.levels, model.config.codebook.size), np.int64)
    with display("encoding", len(indices), "crops") as advance:
        for index in indices:
            counts += parts.get(f"crop {index}", partial(count_crop, model, crops, index))
            advance(1)
    return list(counts)


@torch.no_grad()
def count_crop(model: VQVAE, crops: AudioCrops, index: int) -> Int64[np.ndarray, "levels size"]:
    """How often each code occurs in one piece of sound, by level."""
    codes = model.encode(crops.take(index).sound[None].to(model.vectors(0).device))
    size = model.config.codebook.size
    return np.stack([np.bincount(found[0].cpu().numpy(), minlength=size) for found in codes])
