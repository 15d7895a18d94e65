"""A score as it will be sung: verses of syllables on notes, the other voices, and when everything happens.

Positions and lengths are exact fractions of quarter notes from the start of the piece, repeats written out.
"""

from dataclasses import dataclass
from fractions import Fraction

from jukebox.errors import JukeboxError


class ScoreError(JukeboxError):
    """A score that cannot be sung: its text says why, and what to do where something can be done."""


@dataclass(frozen=True, slots=True)
class Note:
    """One sounding note.

    Attributes:
        start, duration: in quarter notes.
        pitch: a MIDI number, 60 is middle C.
    """

    start: Fraction
    duration: Fraction
    pitch: int

    @property
    def end(self) -> Fraction:
        """Where the note stops, in quarter notes."""
        return self.start + self.duration


@dataclass(frozen=True, slots=True)
class Syllable:
    """A syllable and the notes it is sung on, ties already joined.

    Attributes:
        text: as written in the score, with punctuation.
        joined: the word goes on with the next syllable.
        notes: one, or several for a melisma.
    """

    text: str
    joined: bool
    notes: tuple[Note, ...]

    @property
    def start(self) -> Fraction:
        """Where its first note starts, in quarter notes."""
        return self.notes[0].start

    @property
    def end(self) -> Fraction:
        """Where its last note stops, in quarter notes."""
        return self.notes[-1].end


@dataclass(frozen=True, slots=True)
class Verse:
    """One time through the piece: its label in the score and its syllables in order."""

    label: str
    syllables: tuple[Syllable, ...]

    def words(self) -> list[tuple[Syllable, ...]]:
        """The syllables grouped into words."""
        words: list[list[Syllable]] = [[]]
        for syllable in self.syllables:
            words[-1].append(syllable)
            if not syllable.joined:
                words.append([])
        return [tuple(word) for word in words if word]

    def text(self) -> str:
        """The verse's words with spaces between."""
        return " ".join("".join(s.text for s in word) for word in self.words())


@dataclass(frozen=True, kw_only=True)
class Score:
    """A score that can be sung.

    Attributes:
        key: a name that is unique among the scores of a run, made from the file's name.
        credits: who wrote words and music, as the score says it.
        licence: the licence of the score, or None where nobody said.
        tempos: (position, quarter notes a minute), the first at 0.
        fifths, minor: key signature, sharps positive.
        bars: where bars start.
        bar_length: of a whole bar, in quarter notes.
        verses: at least one.
        melody: the sung line's notes, also where it has no words.
        parts: every other voice; the first is nearest to the melody.
        chords: (position, chord symbol) where the score writes them.
        dynamics: (position, MIDI velocity) between which loudness goes in straight lines.
        fermatas: (start, end) of notes that are held.
        length: of the whole piece in quarter notes.
        remarks: sentences about what was left out.
    """

    key: str
    title: str
    credits: tuple[str, ...]
    licence: str | None
    tempos: tuple[tuple[Fraction, float], ...]
    fifths: int
    minor: bool
    bars: tuple[Fraction, ...]
    bar_length: Fraction
    verses: tuple[Verse, ...]
    melody: tuple[Note, ...]
    parts: tuple[tuple[Note, ...], ...]
    chords: tuple[tuple[Fraction, str], ...]
    dynamics: tuple[tuple[Fraction, int], ...]
    fermatas: tuple[tuple[Fraction, Fraction], ...]
    length: Fraction
    remarks: tuple[str, ...]

    def pickup(self) -> Fraction:
        """Length of the incomplete bar before the first whole one, in quarter notes."""
        first = next((b for b in self.bars if b > 0), Fraction(0))
        return first if first < self.bar_length else Fraction(0)
