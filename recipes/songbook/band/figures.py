"""Figures: how an accompaniment plays its harmonies. Everything is in quarter notes of the score."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from recipes.songbook.band.harmony import Harmony, harmonies
from recipes.songbook.scores.model import Score

HALF = Fraction(1, 2)


@dataclass(frozen=True, slots=True)
class Stroke:
    """A note of the accompaniment; `accent` is added to the velocity of its place."""

    start: Fraction
    duration: Fraction
    pitch: int
    accent: int = 0


def chorale(score: Score) -> list[Stroke]:
    """The score's voices as they are written, the melody in front; held chords where there are none."""
    if not score.parts:
        return [Stroke(h.start, h.end - h.start, p) for h in harmonies(score) for p in h.pitches]
    melody = [Stroke(n.start, n.duration * Fraction(97, 100), n.pitch) for n in score.melody]
    return melody + accompaniment_only(score)


def accompaniment_only(score: Score) -> list[Stroke]:
    """The other voices as they are written, without the melody."""
    if not score.parts:
        return chorale(score)
    return [Stroke(n.start, n.duration * Fraction(97, 100), n.pitch, -6) for part in score.parts for n in part]


def arpeggio(score: Score) -> list[Stroke]:
    """Eighth notes up and down through each chord, over a held bass."""
    strokes = []
    order = (0, 2, 1, 3, 2, 1)
    for index, harmony in enumerate(harmonies(score)):
        pitches = harmony.pitches
        bass = pitches[0] - 12 if pitches[0] >= 43 else pitches[0]
        if index % 2 == 0:
            strokes.append(Stroke(harmony.start, 2 * (harmony.end - harmony.start), bass, 6))
        for place, step in _steps(harmony, HALF):
            pitch = pitches[order[(2 * index + step) % len(order)] % len(pitches)]
            strokes.append(Stroke(place, Fraction(1), pitch))
    return strokes


def alberti(score: Score) -> list[Stroke]:
    """Broken chords: low, high, middle, high in eighth notes."""
    strokes = []
    for harmony in harmonies(score):
        low, middle, high = harmony.pitches[0], harmony.pitches[len(harmony.pitches) // 2], harmony.pitches[-1]
        if high - low > 19:
            high -= 12
        for place, step in _steps(harmony, HALF):
            strokes.append(Stroke(place, HALF, (low, high, middle, high)[step % 4], 6 if step == 0 else 0))
    return strokes


def waltz(score: Score) -> list[Stroke]:
    """Bass on the first beat of the bar, chords on the others; in even meters bass and chord in turn."""
    strokes = []
    three = score.bar_length % 3 == 0
    pickup = score.pickup()
    for harmony in harmonies(score):
        beat = int((harmony.start - pickup) % score.bar_length)
        length = harmony.end - harmony.start
        if (beat == 0) if three else (beat % 2 == 0):
            strokes.append(Stroke(harmony.start, length * Fraction(9, 10), harmony.pitches[0], 8))
        else:
            upper = harmony.pitches[1:] or harmony.pitches
            strokes += [Stroke(harmony.start, length * Fraction(7, 10), pitch, -8) for pitch in upper]
    return strokes


def pulse(score: Score) -> list[Stroke]:
    """The chord again on every beat."""
    return [
        Stroke(
            h.start,
            (h.end - h.start) * Fraction(8, 10),
            p,
            5 if (h.start - score.pickup()) % score.bar_length == 0 else -4,
        )
        for h in harmonies(score)
        for p in h.pitches
    ]


def strum(score: Score) -> list[Stroke]:
    """The chord on every beat, its notes one shortly after the other from below."""
    delay = Fraction(1, 24)
    return [
        Stroke(h.start + delay * i, (h.end - h.start) * Fraction(95, 100) - delay * i, p, -2 * i)
        for h in harmonies(score)
        for i, p in enumerate(h.pitches[:6])
    ]


def drone(score: Score) -> list[Stroke]:
    """Sparse: the key's tonic and fifth, held for two bars at a time."""
    tonic = 48 + (score.fifths * 7 + (9 if score.minor else 0)) % 12
    tonic -= 12 if tonic > 54 else 0
    step = 2 * score.bar_length
    count = int(-(-score.length // step))
    return [Stroke(step * i, min(step, score.length - step * i), p) for i in range(count) for p in (tonic, tonic + 7)]


def bass_line(score: Score) -> list[Stroke]:
    """Sparse: only the lowest note of each beat."""
    strokes: list[Stroke] = []
    for harmony in harmonies(score):
        last = strokes[-1] if strokes else None
        if last and last.pitch == harmony.pitches[0] and last.start + last.duration == harmony.start:
            strokes[-1] = Stroke(last.start, harmony.end - last.start, last.pitch)
        else:
            strokes.append(Stroke(harmony.start, harmony.end - harmony.start, harmony.pitches[0]))
    return strokes


def _steps(harmony: Harmony, step: Fraction) -> list[tuple[Fraction, int]]:
    count = max(1, int((harmony.end - harmony.start) / step))
    return [(harmony.start + step * i, i) for i in range(count)]


FIGURES: dict[str, Callable[[Score], list[Stroke]]] = {
    "chorale": chorale,
    "accompaniment": accompaniment_only,
    "arpeggio": arpeggio,
    "alberti": alberti,
    "waltz": waltz,
    "pulse": pulse,
    "strum": strum,
    "drone": drone,
    "bass": bass_line,
}
"""Each figure by its name; `drone` and `bass` are sparse."""

KICK, RIM, SHAKER = 36, 37, 70


def percussion(score: Score) -> list[Stroke]:
    """Light percussion: low on the first beat, a rim on the others that count, a shaker in eighths."""
    strokes = []
    bar, here = score.bar_length, score.pickup()
    beat = Fraction(3, 2) if bar == 6 else Fraction(1)
    while here + bar <= score.length:
        for index in range(int(bar / beat)):
            low = index == 0 or (bar == 4 and index == 2)
            strokes.append(Stroke(here + beat * index, HALF, KICK if low else RIM, 4 if index == 0 else -12))
        for index in range(int(bar / HALF)):
            strokes.append(Stroke(here + HALF * index, HALF, SHAKER, -22 if index % 2 else -14))
        here += bar
    return strokes
