"""Measures of what is heard at the seams of songs: loss, spectral flux, crops, warm-ups (for bench/seams.py)."""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from jukebox.audio.spectral import log_mel
from jukebox.evaluation.distribution import embed, frechet_distance
from jukebox.sampling.windows import Chain

SPANS = (64, 256, 1024)
FLUX_WINDOW, FLUX_HOP, FLUX_BANDS = 2048, 512, 64
LEAST_CROP = 17 * FLUX_HOP
LEAST_SEAMS = 16
EXCHANGES = 500


@dataclass(frozen=True, kw_only=True)
class Written:
    """One song at the measured level: its codes, its chains, and the raw codes of each, warm-up included."""

    codes: Tensor
    chains: tuple[Chain, ...]
    strands: tuple[Tensor, ...]

    @property
    def seams(self) -> list[int]:
        return [chain.kept for chain in self.chains[1:]]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Of every code of a song: its loss, and that less the entropy of what it was drawn from; in bits."""

    bits: np.ndarray
    surprise: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Mean:
    """A mean over seams and its standard error."""

    mean: float
    error: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean":
        if not values:
            return cls(mean=math.nan, error=math.nan, count=0)
        error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else math.nan
        return cls(mean=statistics.fmean(values), error=error, count=len(values))

    def verdict(self, aim: float) -> str:
        if self.count < LEAST_SEAMS:  # their spread is not known
            return "undecided"
        if self.mean + 2 * self.error <= aim:
            return "met"
        return "missed" if self.mean - 2 * self.error > aim else "undecided"

    def __str__(self) -> str:
        return f"{self.mean:+.3f} ± {self.error:.3f}"


def other_places(song: Written, context: int) -> np.ndarray:
    """Which codes are far from every seam and from the song's beginning."""
    away = np.ones(len(song.codes), dtype=bool)
    away[:context] = False
    for seam in song.seams:
        away[seam : seam + max(SPANS)] = False
    return away


def excess(
    songs: Sequence[Written], scored: Sequence[Scored], exact: Sequence[Scored], context: int
) -> dict[str, Mean]:
    """Loss after seams against other places and against the exact songs, by the codes that are counted."""
    found = {}
    for span in SPANS:
        against_others, against_exact, surprise = [], [], []
        for song, own, other in zip(songs, scored, exact, strict=True):
            usual = own.bits[other_places(song, context)].mean()
            for seam in song.seams:
                place = slice(seam, seam + span)
                against_others.append(float(own.bits[place].mean() - usual))
                against_exact.append(float(own.bits[place].mean() - other.bits[place].mean()))
                surprise.append(float(own.surprise[place].mean()))
        found[f"excess over other places, {span}"] = Mean.of(against_others)
        found[f"excess over the exact song, {span}"] = Mean.of(against_exact)
        found[f"surprise, {span}"] = Mean.of(surprise)
    return found


def same_codes(songs: Sequence[Written]) -> dict[str, float]:
    """Share of codes that a warm-up has in common with the chain before."""
    first, last_256, last_64, whole, count = [], [], [], 0, 0
    for song in songs:
        for index in range(1, len(song.chains)):
            before, chain = song.chains[index - 1], song.chains[index]
            length = chain.kept - chain.start
            if not length:
                continue
            earlier = song.strands[index - 1][chain.start - before.start :][:length]
            same = (earlier == song.strands[index][:length]).double()
            first.append(float(same[:64].mean()))
            last_256.append(float(same[-256:].mean()))
            last_64.append(float(same[-64:].mean()))
            whole, count = whole + bool(same[-64:].all()), count + 1
    return {
        "first 64": Mean.of(first).mean,
        "last 256": Mean.of(last_256).mean,
        "last 64": Mean.of(last_64).mean,
        "seams with all of the last 64": whole / count if count else math.nan,
    }


def flux(sound: Tensor, sample_rate: int) -> np.ndarray:
    """The largest rise around each frame of 512 samples: among the four changes whose windows hold its first sample."""
    spectrum = log_mel(sound, sample_rate, FLUX_WINDOW, FLUX_BANDS)[0]
    rises = spectrum.diff(dim=1).clamp_min(0).mean(0).double().numpy()
    return np.lib.stride_tricks.sliding_window_view(np.pad(rises, (2, 2), mode="edge"), 4).max(1)


def flux_scores(sound: Tensor, seams: Sequence[int], sample_rate: int) -> list[float]:
    """z-scores at places, in samples, among all others of the song."""
    found = flux(sound, sample_rate)
    frames = np.array([min(len(found) - 1, seam // FLUX_HOP) for seam in seams])
    others = np.ones(len(found), dtype=bool)
    for frame in frames:
        others[max(0, frame - 8) : frame + 9] = False
    spread = found[others].std(ddof=1)
    return [float((found[frame] - found[others].mean()) / spread) if spread > 0 else 0.0 for frame in frames]


def crop_pairs(
    sound: Tensor, song: Written, hop: int, length: int, rate: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Embeddings of a crop centred on each seam, and of one half-way from there to the end of its part."""
    for chain in song.chains[1:]:
        centres = (chain.kept * hop, (chain.kept + chain.end) // 2 * hop)
        starts = [min(max(0, centre - length // 2), sound.shape[1] - length) for centre in centres]
        at_seam, elsewhere = (embed(sound[:, start : start + length], rate) for start in starts)
        yield at_seam, elsewhere


def crop_distance(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Distance of the two sides, the usual one when sides are exchanged at random, and how often that is as large."""
    both = np.array(pairs)
    scale = both.reshape(-1, both.shape[-1]).std(0, ddof=1)
    both = both / np.where(scale > 0, scale, 1.0)
    own = frechet_distance(both[:, 0], both[:, 1])
    random, exchanged = np.random.default_rng(0), []
    for _ in range(EXCHANGES):
        side = random.integers(0, 2, len(both))
        rows = np.arange(len(both))
        exchanged.append(frechet_distance(both[rows, side], both[rows, 1 - side]))
    larger = sum(value >= own for value in exchanged)
    return {"distance": own, "exchanged": statistics.fmean(exchanged), "p": (1 + larger) / (1 + EXCHANGES)}
