"""A score under an arrangement: what the voice and the instruments do, in seconds."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from recipes.songbook.band.arrangement import Arrangement
from recipes.songbook.band.figures import FIGURES, Stroke, percussion
from recipes.songbook.band.tempo import TempoMap
from recipes.songbook.band.timbres import TIMBRES
from recipes.songbook.scores.dynamics import velocity_at
from recipes.songbook.scores.model import Score
from recipes.songbook.voice.line import SungNote, SungSyllable

LEAD_S, TAIL_S = 0.5, 1.5
BETWEEN_BARS = Fraction(1, 3)
"""Between two verses, so that there is time to breathe."""
INTRO_BARS = 2
LOOSE_S, LOOSE_VELOCITY = 0.008, 4
"""How exactly the players keep time and touch (standard deviations)."""


@dataclass(frozen=True, slots=True)
class PlayedNote:
    """A note of an instrument."""

    start_s: float
    end_s: float
    pitch: int
    velocity: int


@dataclass(frozen=True, slots=True)
class Performance:
    """A song in seconds: the voice's syllables verse by verse, the instrument's notes, the drums', the length."""

    verses: tuple[tuple[SungSyllable, ...], ...]
    instrument: tuple[PlayedNote, ...]
    drums: tuple[PlayedNote, ...]
    length_s: float


def perform(score: Score, arrangement: Arrangement) -> Performance:
    """Put a score on the clock.

    Args:
        score: what is sung.
        arrangement: how.

    Returns:
        Notes in the order of time, all inside the length.
    """
    tempo = TempoMap(score.tempos, arrangement.tempo, score.fermatas)
    whole = tempo.seconds(score.length)
    bar = tempo.seconds(score.length) - tempo.seconds(max(Fraction(0), score.length - score.bar_length))
    here, intro_from, starts = LEAD_S, score.length, []
    if arrangement.intro:
        intro_from = max(Fraction(0), score.length - INTRO_BARS * score.bar_length)
        here += whole - tempo.seconds(intro_from) + bar / 4
    for _ in arrangement.verses:
        starts.append(here)
        here += whole + float(BETWEEN_BARS) * bar
    length = starts[-1] + whole + TAIL_S
    passes = [(start, Fraction(0)) for start in starts]
    if arrangement.intro:
        passes = [(LEAD_S - tempo.seconds(intro_from), intro_from), *passes]
    rng = np.random.default_rng([arrangement.seed, 1])
    instrument: list[PlayedNote] = []
    if arrangement.timbre is not None and arrangement.figure is not None:
        strokes = FIGURES[arrangement.figure](score)
        shift = arrangement.key_shift + 12 * TIMBRES[arrangement.timbre].octaves
        instrument = _played(score, tempo, strokes, passes, shift, rng)
    drums = _played(score, tempo, percussion(score), passes, 0, rng) if arrangement.percussion else []
    sung = [
        _sung(score, arrangement, tempo, verse, start) for verse, start in zip(arrangement.verses, starts, strict=True)
    ]
    return Performance(tuple(sung), tuple(instrument), tuple(drums), length)


def _sung(
    score: Score, arrangement: Arrangement, tempo: TempoMap, verse: int, start_s: float
) -> tuple[SungSyllable, ...]:
    syllables = []
    for syllable in score.verses[verse].syllables:
        notes = tuple(
            SungNote(
                start_s + tempo.seconds(note.start),
                start_s + tempo.seconds(note.end),
                note.pitch + arrangement.voice_shift,
                velocity_at(score.dynamics, note.start),
            )
            for note in syllable.notes
        )
        syllables.append(SungSyllable(syllable.text, syllable.joined, notes))
    return tuple(syllables)


def _played(
    score: Score,
    tempo: TempoMap,
    strokes: list[Stroke],
    passes: list[tuple[float, Fraction]],
    shift: int,
    rng: np.random.Generator,
) -> list[PlayedNote]:
    """Strokes in every pass (start in seconds, position from which it plays), a little loose as players are."""
    played = []
    for start_s, begin in passes:
        for stroke in sorted(strokes, key=lambda s: (s.start, s.pitch)):
            if stroke.start >= begin:
                loose, touch = rng.normal(0, LOOSE_S), rng.normal(0, LOOSE_VELOCITY)
                on = max(0.0, start_s + tempo.seconds(stroke.start) + float(np.clip(loose, -0.02, 0.02)))
                off = start_s + tempo.seconds(min(score.length, stroke.start + stroke.duration))
                velocity = velocity_at(score.dynamics, stroke.start) + stroke.accent + touch
                played.append(
                    PlayedNote(
                        on, max(on + 0.06, off), _playable(stroke.pitch + shift), int(np.clip(velocity, 20, 118))
                    )
                )
    return sorted(played, key=lambda note: (note.start_s, note.pitch))


def _playable(pitch: int) -> int:
    """The pitch inside what sampled instruments have, an octave higher or lower where needed."""
    while pitch < 28:
        pitch += 12
    while pitch > 100:
        pitch -= 12
    return pitch
