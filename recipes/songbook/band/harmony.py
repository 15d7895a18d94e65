"""What sounds at each beat: the score's other voices, its chord symbols, or chords found for a lone melody."""

import re
from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction

from recipes.songbook.scores.model import Note, Score

NAMES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
LOWEST = 43
"""A chord's bass lies in the octave above this MIDI pitch."""
DEGREES = {0: 1.0, 3: 0.9, 4: 1.0, 5: 0.75, 1: 0.7, 2: 0.4}
"""How usual the triad on each degree of the scale is."""


@dataclass(frozen=True, slots=True)
class Harmony:
    """Pitches that sound together from `start` to `end`, in quarter notes, lowest first."""

    start: Fraction
    end: Fraction
    pitches: tuple[int, ...]


def harmonies(score: Score, step: Fraction = Fraction(1)) -> list[Harmony]:
    """What sounds at each beat.

    Args:
        score: with other voices, chord symbols, or neither.
        step: length of a slice of the other voices, in quarter notes.

    Returns:
        Slices from the first bar to the end; those in which nothing sounds are left out.
    """
    if score.parts:
        return _of_parts(score, step)
    if score.chords:
        return _of_symbols(score)
    return _found(score)


def _of_parts(score: Score, step: Fraction) -> list[Harmony]:
    notes = sorted([n for part in score.parts for n in part] + list(score.melody), key=lambda n: n.start)
    starts = [note.start for note in notes]
    longest = max((note.duration for note in notes), default=Fraction(0))
    slices = []
    first = score.pickup() % step
    places = [first + step * i for i in range(int((score.length - first) / step) + 1)]
    for place in ([Fraction(0)] if first else []) + places:
        low, high = bisect_right(starts, place - longest - 1), bisect_right(starts, place)
        pitches = tuple(sorted({n.pitch for n in notes[low:high] if n.start <= place < n.end}))
        end = min(score.length, place + (step if place or not first else first))
        if pitches and end > place:
            slices.append(Harmony(place, end, pitches))
    return slices


def _of_symbols(score: Score) -> list[Harmony]:
    found = []
    edges = [*score.chords[1:], (score.length, "")]
    for (start, symbol), (end, _) in zip(score.chords, edges, strict=True):
        classes = chord_classes(symbol)
        if classes and end > start:
            found.append(Harmony(start, end, voiced(classes)))
    return found


def chord_classes(symbol: str) -> tuple[int, ...]:
    """Pitch classes of a chord symbol such as `F#m7` or `Bb/D`, the bass first; empty for one that is not known."""
    match = re.match(
        r"([A-G])([#b♯♭]?)(m(?!aj)|min|-|dim|o|aug|\+|sus4|sus2)?(maj7|M7|7|6)?[^/]*(?:/([A-G])([#b]?))?", symbol
    )
    if match is None:
        return ()
    root = (NAMES[match[1]] + {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1}[match[2]]) % 12
    kind = match[3] or ""
    third = 3 if kind in ("m", "min", "-", "dim", "o") else {"sus4": 5, "sus2": 2}.get(kind, 4)
    fifth = 6 if kind in ("dim", "o") else 8 if kind in ("aug", "+") else 7
    classes = [root, (root + third) % 12, (root + fifth) % 12]
    seventh = {"7": 10, "maj7": 11, "M7": 11, "6": 9}.get(match[4] or "")
    classes += [(root + seventh) % 12] if seventh else []
    if match[5]:
        bass = (NAMES[match[5]] + {"": 0, "#": 1, "b": -1}[match[6] or ""]) % 12
        classes = [bass, *(c for c in classes if c != bass)]
    return tuple(classes)


def voiced(classes: tuple[int, ...]) -> tuple[int, ...]:
    """Pitches of a chord in close position: the bass low, the others around middle C."""
    bass = LOWEST + (classes[0] - LOWEST) % 12
    upper = sorted(55 + (c - 55) % 12 for c in classes)
    return (bass, *upper)


def _found(score: Score) -> list[Harmony]:
    """Triads of the key that fit a melody best, half a bar or a bar each; the last is the tonic."""
    tonic = (score.fifths * 7 + (9 if score.minor else 0)) % 12
    bar = score.bar_length
    step = bar / 2 if bar % 2 == 0 and bar >= 4 else bar
    first = score.pickup()
    count = max(1, -(-(score.length - first) // step))
    key = score.fifths * 7 % 12
    triads = {degree: tuple(sorted((key + c) % 12 for c in _triad(degree))) for degree in DEGREES}
    if score.minor:  # the relative minor: its own tonic, and a dominant with the leading note
        triads[2] = ((tonic + 7) % 12, (tonic + 11) % 12, (tonic + 2) % 12)
    home = next(d for d in DEGREES if tonic in triads[d] and _root(key, d) == tonic)
    found: list[Harmony] = []
    before = home
    for index in range(int(count)):
        start, end = first + index * step, min(score.length, first + (index + 1) * step)
        weight = {
            d: _fit(score.melody, start, end, triads[d]) + 0.15 * DEGREES[d] + (0.05 if d == before else 0)
            for d in triads
        }
        before = home if index == count - 1 else max(weight, key=lambda d: (weight[d], -d))
        root = _root(key, before) if not (score.minor and before == 2) else (tonic + 7) % 12
        classes = (root, *(c for c in triads[before] if c != root))
        if end > start:
            found.append(Harmony(start, end, voiced(classes)))
    return found


def _triad(degree: int) -> tuple[int, ...]:
    return tuple(MAJOR_SCALE[(degree + i) % 7] for i in (0, 2, 4))


def _root(key: int, degree: int) -> int:
    return (key + MAJOR_SCALE[degree]) % 12


def _fit(melody: tuple[Note, ...], start: Fraction, end: Fraction, triad: tuple[int, ...]) -> float:
    """Share of the time in which the melody's note belongs to the triad; the beat's first note counts twice."""
    total = inside = 0.0
    for note in melody:
        overlap = float(min(note.end, end) - max(note.start, start))
        if overlap > 0:
            weight = overlap * (2 if note.start == start else 1)
            total += weight
            inside += weight * (note.pitch % 12 in triad)
    return inside / total if total else 0.0
