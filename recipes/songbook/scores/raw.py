"""What a reader of one file format hands on: voices as written, words by verse line, repeats not yet written out."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal


@dataclass(slots=True)
class Word:
    """What one verse line has under one note: a syllable, or "hold" for the syllable before.

    Attributes:
        kind: "silent" is a note that the line does not reach.
        joined: the word goes on after this syllable.
        continues: the word began before it; None where the format does not say.
    """

    kind: Literal["syllable", "hold", "silent"]
    text: str = ""
    joined: bool = False
    continues: bool | None = None


@dataclass(slots=True)
class RawNote:
    """A note as written.

    Attributes:
        pitches: MIDI numbers, more than one in a chord.
        words: what stands under it, by verse line from 0.
        ties: those of its pitches that go on into the next note.
        otherwise: what a verse line without anything here means.
    """

    start: Fraction
    duration: Fraction
    pitches: list[int]
    words: dict[int, Word] = field(default_factory=dict)
    ties: frozenset[int] = frozenset()
    fermata: bool = False
    otherwise: Literal["hold", "silent"] = "silent"

    @property
    def end(self) -> Fraction:
        """Where the note stops, in quarter notes."""
        return self.start + self.duration


@dataclass(slots=True)
class RawVoice:
    """One voice of one part, in the order of time."""

    name: str
    notes: list[RawNote] = field(default_factory=list)
    end: Fraction = Fraction(0)

    def syllables(self) -> int:
        """How many syllables stand under it, in all verse lines."""
        return sum(word.kind == "syllable" for note in self.notes for word in note.words.values())


@dataclass(slots=True)
class RawScore:
    """One tune of one file.

    Attributes:
        bars: positions of bar lines.
        repeat_starts: positions.
        repeat_ends: position -> how often the section before it is played.
        endings: (start, end, passes in which it is played).
        chords, dynamics, tempos: by position as written.
        hairpins: (start, end, +1 for a crescendo or -1).
        remarks: what the reader left out.
    """

    title: str = ""
    credits: list[str] = field(default_factory=list)
    licence: str | None = None
    voices: list[RawVoice] = field(default_factory=list)
    fifths: int = 0
    minor: bool = False
    bar_length: Fraction = Fraction(4)
    bars: set[Fraction] = field(default_factory=set)
    repeat_starts: set[Fraction] = field(default_factory=set)
    repeat_ends: dict[Fraction, int] = field(default_factory=dict)
    endings: list[tuple[Fraction, Fraction, frozenset[int]]] = field(default_factory=list)
    chords: list[tuple[Fraction, str]] = field(default_factory=list)
    dynamics: list[tuple[Fraction, int]] = field(default_factory=list)
    hairpins: list[tuple[Fraction, Fraction, int]] = field(default_factory=list)
    tempos: list[tuple[Fraction, float]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
