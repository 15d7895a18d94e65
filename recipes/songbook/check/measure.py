"""Numbers of one song: pitch beside the intended curve and the score, loudness, clipping, silence."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recipes.songbook.tools import world

GROSS_CENTS = 250
"""An error of the pitch tracker, not of the singer."""
STEADY_SHARE = (0.4, 0.9)
"""The part of a note in which a singer has arrived and not yet left."""
SHORTEST_NOTE_S = 0.25
BEYOND = 4
"""Semitones around the notes in which pitch is looked for."""
SOFT = 0.1
"""Of the usual amplitude; below it, as while the lips are closed for a `b`, nobody hears a pitch."""
SILENCE = 10 ** (-60 / 20)


@dataclass(frozen=True, slots=True)
class Levels:
    """Of a sound file: integrated loudness, highest sample, samples at full scale, longest silence."""

    loudness_lufs: float
    peak: float
    clipped: int
    silence_s: float


@dataclass(frozen=True, slots=True)
class PitchErrors:
    """In cents: frame by frame against the intended curve, and note by note against the score; share of gross ones."""

    curve_cents: NDArray[np.float64]
    note_cents: NDArray[np.float64]
    gross_share: float


def read_mono(path: Path) -> tuple[NDArray[np.float64], int]:
    """A sound file as mono, and its rate."""
    import soundfile

    sound, rate = soundfile.read(path, dtype="float64", always_2d=True)
    return sound.mean(axis=1), rate


def levels(sound: NDArray[np.float64], rate: int) -> Levels:
    """Levels of a song; the silence is the longest inside, its ends left out."""
    import pyloudnorm

    loud = np.flatnonzero(np.abs(sound) > SILENCE)
    gaps = np.diff(loud) if len(loud) else np.array([len(sound)])
    longest = float(gaps.max(initial=0)) / rate
    loudness = float(pyloudnorm.Meter(rate).integrated_loudness(sound))
    return Levels(loudness, float(np.abs(sound).max()), int(np.sum(np.abs(sound) >= 32767 / 32768)), longest)


def pitch_errors(stem: NDArray[np.float64], rate: int, entry: dict[str, Any]) -> PitchErrors:
    """Measure a stem's pitch.

    Args:
        stem: [samples].
        rate: of the stem.
        entry: of `metadata.jsonl`, with the intended curve and the notes.

    Returns:
        Absolute errors.
    """
    pyworld = world()

    step = entry["pitch_step_s"]
    pitches = [note[2] for note in entry["notes"]]
    lowest, highest = (440 * 2 ** ((pitch - 69) / 12) for pitch in (min(pitches) - BEYOND, max(pitches) + BEYOND))
    hertz, _ = pyworld.harvest(stem, rate, f0_floor=lowest, f0_ceil=highest, frame_period=step * 1000)
    intended = np.array(entry["pitch_cents"], dtype=np.float64)
    level = _level(stem, round(step * rate))
    count = min(len(intended), len(hertz), len(level))
    intended, hertz, level = intended[:count], hertz[:count], level[:count]
    sure = _inside(intended > 0) & (hertz > 0)
    sure &= level > SOFT * np.median(level[sure]) if sure.any() else False
    sung = 6900 + 1200 * np.log2(np.maximum(hertz, 1) / 440)
    errors = np.abs(sung - intended)[sure]
    fine = errors < GROSS_CENTS
    notes = []
    for start, end, pitch in entry["notes"]:
        if end - start >= SHORTEST_NOTE_S:
            low, high = (int((start + share * (end - start)) / step) for share in STEADY_SHARE)
            own = sung[low:high][sure[low:high]]
            if len(own) >= 5 and abs(np.median(own) - 100 * pitch) < GROSS_CENTS:
                notes.append(abs(float(np.mean(own)) - 100 * pitch))
    return PitchErrors(errors[fine], np.array(notes), float(1 - fine.mean()) if len(errors) else 1.0)


def _level(sound: NDArray[np.float64], step: int) -> NDArray[np.float64]:
    """Root mean square of the two steps around every step's beginning."""
    power = np.convolve(sound**2, np.full(2 * step, 1 / (2 * step)))[step::step]
    return np.sqrt(np.maximum(power, 0))


def _inside(voiced: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Frames whose neighbours within 40 ms are voiced too: at its edges no tracker is exact."""
    kept = voiced.copy()
    for shift in range(1, 5):
        kept[shift:] &= voiced[:-shift]
        kept[:-shift] &= voiced[shift:]
    return kept
