"""Scores that share a tune or a text, so that a held-out tune is not heard in training under another name."""

import hashlib
import itertools

from recipes.songbook.scores.model import Score

INCIPIT_NOTES = 14
INCIPIT_WORDS = 8
HELD_OUT_SHARE = 0.08


def families(scores: list[Score]) -> dict[str, str]:
    """Group scores by the beginning of their tune and of their text.

    Args:
        scores: with different keys.

    Returns:
        Each score's key -> its family, named by the first key of the family in order.
    """
    parent = {score.key: score.key for score in scores}

    def root(key: str) -> str:
        while parent[key] != key:
            key = parent[key]
        return key

    first: dict[tuple[object, ...], str] = {}
    for score in sorted(scores, key=lambda s: s.key):
        for mark in (_tune(score), *(_text(score, verse) for verse in range(len(score.verses)))):
            if mark in first:
                low, high = sorted((root(first[mark]), root(score.key)))
                parent[high] = low
            else:
                first[mark] = score.key
    return {key: root(key) for key in parent}


def is_held_out(family: str, share: float = HELD_OUT_SHARE) -> bool:
    """Whether a family is for validation: a function of its name only, so it stays so in every run."""
    value = int.from_bytes(hashlib.sha256(f"held out/{family}".encode()).digest()[:8], "big")
    return value < share * 2**64


def _tune(score: Score) -> tuple[object, ...]:
    """The first intervals of the melody; key, rhythm and repeated notes do not matter."""
    pitches = [note.pitch for note in score.melody]
    steps = [b - a for a, b in itertools.pairwise(pitches) if a != b]
    return ("tune", *steps[:INCIPIT_NOTES]) if len(steps) >= INCIPIT_NOTES else ("tune", score.key)


def _text(score: Score, verse: int) -> tuple[object, ...]:
    words = ["".join(c for c in word if c.isalpha()) for word in score.verses[verse].text().lower().split()]
    return ("text", *words[:INCIPIT_WORDS]) if len(words) >= INCIPIT_WORDS else ("text", score.key)
