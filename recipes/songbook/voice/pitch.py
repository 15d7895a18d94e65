"""The pitch of a sung phrase: notes joined by portamento, with vibrato, drift and a scoop into the first note."""

import itertools

import numpy as np
from numpy.typing import NDArray

from recipes.songbook.voice.line import SungNote

GLIDE_S = 0.07
"""A change of note takes this long, most of it before the note begins."""
VIBRATO_FROM_S = 0.45
"""Shorter notes are straight."""
VIBRATO_HZ = 5.6
DRIFT_CENTS = 5.0
DRIFT_MEMORY = 0.98
SCOOP_CENTS = 60.0


def pitch_curve(
    notes: list[SungNote], times: NDArray[np.float64], vibrato_cents: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Frequency over time.

    Args:
        notes: of one phrase, already transposed.
        times: moments in seconds, evenly spaced.
        vibrato_cents: how far vibrato goes to either side.
        rng: draws vibrato's start and rate, and drift.

    Returns:
        Hz, one value per time.
    """
    semitones = np.full(len(times), float(notes[0].pitch))
    for before, note in itertools.pairwise(notes):
        step = np.clip((times - (note.start_s - 0.6 * GLIDE_S)) / GLIDE_S, 0, 1)
        semitones += (note.pitch - before.pitch) * step * step * (3 - 2 * step)
    for note in notes:
        if note.end_s - note.start_s > VIBRATO_FROM_S:
            begin = note.start_s + rng.uniform(0.2, 0.32)
            swell = np.clip((times - begin) / 0.35, 0, 1) * np.clip((note.end_s - times) / 0.08, 0, 1)
            rate = VIBRATO_HZ + 0.3 * float(np.clip(rng.standard_normal(), -2, 2))
            semitones += swell * vibrato_cents / 100 * np.sin(2 * np.pi * rate * (times - begin))
    semitones += DRIFT_CENTS / 100 * _drift(len(times), rng)
    semitones -= SCOOP_CENTS / 100 * np.clip(1 - (times - notes[0].start_s + 0.05) / 0.1, 0, 1)
    return 440.0 * 2 ** ((semitones - 69) / 12)


def _drift(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Slow noise of unit variance."""
    from scipy.signal import lfilter

    white = rng.standard_normal(count) * np.sqrt(1 - DRIFT_MEMORY**2)
    return np.asarray(lfilter([1.0], [1.0, -DRIFT_MEMORY], white))
