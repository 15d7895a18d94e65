"""What one voice sings, in seconds, and its phrases: where a singer would breathe."""

import re
from dataclasses import dataclass

PHRASE_GAP_S = 0.05
SHORTEST_PHRASE, LONGEST_PHRASE = 6, 26
"""Syllables between which a phrase ends at punctuation, and after which it ends at any word."""


@dataclass(frozen=True, slots=True)
class SungNote:
    """A note in seconds; `velocity` is its loudness as MIDI counts it."""

    start_s: float
    end_s: float
    pitch: int
    velocity: float


@dataclass(frozen=True, slots=True)
class SungSyllable:
    """A syllable with its notes in seconds; `joined` when the word goes on after it."""

    text: str
    joined: bool
    notes: tuple[SungNote, ...]

    @property
    def start_s(self) -> float:
        """Where its first note starts."""
        return self.notes[0].start_s

    @property
    def end_s(self) -> float:
        """Where its last note stops."""
        return self.notes[-1].end_s


def phrases(syllables: list[SungSyllable]) -> list[list[list[SungSyllable]]]:
    """Phrases of words of syllables.

    Args:
        syllables: in the order of time.

    Returns:
        Phrases that end at rests, at punctuation once they are long enough, and at a word's end when too long.
    """
    found: list[list[list[SungSyllable]]] = []
    count = 0
    before: SungSyllable | None = None
    for syllable in syllables:
        ends = before is None
        if before is not None and not before.joined:  # a rest inside a word is sung through
            stop = re.search(r"[,.;:!?][\"')”’]*$", before.text) is not None
            ends = syllable.start_s - before.end_s > PHRASE_GAP_S
            ends = ends or (stop and count >= SHORTEST_PHRASE) or count >= LONGEST_PHRASE
        if ends:
            found.append([])
            count = 0
        if before is None or not before.joined:
            found[-1].append([])
        found[-1][-1].append(syllable)
        count += 1
        before = syllable
    return found
