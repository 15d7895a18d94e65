"""Which songs a run makes: every score in turn, each time arranged anew, until there are enough hours."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from recipes.songbook.band.arrangement import Arrangement, draw
from recipes.songbook.band.performance import perform
from recipes.songbook.scores.model import Score


@dataclass(frozen=True, slots=True)
class Song:
    """One song of the plan.

    Attributes:
        name: of its files, without ending.
        duration_s: exact.
    """

    name: str
    score: Score
    take: int
    arrangement: Arrangement
    duration_s: float


def plan(scores: list[Score], hours: float, seed: int, voices: tuple[str, ...]) -> list[Song]:
    """The songs of a run.

    Args:
        scores: any order.
        hours: of sound, at least.
        seed: of everything that is drawn.
        voices: names to choose from.

    Returns:
        In an order drawn from the seed. More hours only add songs at the end.
    """
    songs: list[Song] = []
    total = 0.0
    for song in _endless(sorted(scores, key=lambda s: s.key), seed, voices):
        songs.append(song)
        total += song.duration_s
        if total >= hours * 3600:
            break
    return songs


def fingerprint(scores: list[Score], seed: int, voices: tuple[str, ...], sound_format: str) -> str:
    """A mark of all that decides about the songs but their number."""
    text = repr((sorted(map(repr, scores)), seed, voices, sound_format))
    return hashlib.sha256(text.encode()).hexdigest()


def _endless(scores: list[Score], seed: int, voices: tuple[str, ...]) -> Iterator[Song]:
    take = 0
    while True:
        order = np.random.default_rng([seed, take, 3]).permutation(len(scores))
        for index in order:
            score = scores[int(index)]
            arrangement = draw(score, take, seed, voices)
            duration_s = perform(score, arrangement).length_s
            yield Song(f"{score.key}-{take:03d}", score, take, arrangement, duration_s)
        take += 1
