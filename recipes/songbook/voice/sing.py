"""Sung sound: a spoken phrase stretched onto its notes, given their pitch, and made audible by the vocoder."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recipes.songbook.scores.dynamics import PLAIN
from recipes.songbook.voice import engines
from recipes.songbook.voice.phones import STOPS, VOICED_FRICATIVES, VOICELESS, VOWELS
from recipes.songbook.voice.pitch import pitch_curve
from recipes.songbook.voice.timing import TimedPhone, TimedPhrase
from recipes.songbook.voice.vocoder import BINS, FRAME_S, GRID_HZ, SAMPLE_RATE, Speech, synthesise
from recipes.songbook.voice.voices import Voice

LEAD_S, TAIL_S = 0.1, 0.15
VOWEL_EDGE = 0.35
"""Share of a vowel at either end that keeps its natural speed, since it carries the neighbouring consonants."""
DECIBELS_PER_VELOCITY = 0.12
NATURAL = 8.685889638  # decibels of one neper


@dataclass(slots=True)
class SungPhrase:
    """A phrase's sound, where it begins in the song, and its pitch: Hz per frame, 0 without voice."""

    sound: NDArray[np.float64]
    start_s: float
    pitch_hz: NDArray[np.float64]


def sing(phrase: TimedPhrase, voice: Voice, formants: float, rng: np.random.Generator) -> SungPhrase:
    """Sing one phrase.

    Args:
        phrase: transposed for the voice.
        voice: who sings.
        formants: factor on the voice's own formants, near 1.
        rng: draws vibrato and drift.

    Returns:
        Sound at 44.1 kHz.
    """
    speech = _speak(phrase, voice, voice.formants * formants)
    start = phrase.phones[0].start_s - LEAD_S
    count = int((phrase.phones[-1].end_s + TAIL_S - start) / FRAME_S)
    times = start + np.arange(count) * FRAME_S  # a frame of the vocoder is a moment
    owner = np.searchsorted([phone.start_s for phone in phrase.phones], times, side="right") - 1
    owner[times >= phrase.phones[-1].end_s] = -1
    log_power, aperiodicity = _stretched(phrase.phones, owner, times, speech)
    aperiodicity = _aperiodicity(phrase.phones, owner, aperiodicity, voice.breath)
    voiced = np.array([phone.name not in VOICELESS for phone in phrase.phones] + [False])[owner]
    pitch = np.where(voiced, pitch_curve(phrase.notes, times, voice.vibrato_cents, rng), 0.0)
    decibels = _consonants(phrase.phones, owner, voice.consonants_db) + _loudness(phrase, times)
    decibels = decibels + voice.tilt_db * np.log2(np.maximum(GRID_HZ, 100) / 1000)[None, :]
    log_power = log_power + 2 * decibels / NATURAL + np.log(_envelope(phrase.phones, times) ** 2 + 1e-9)[:, None]
    return SungPhrase(synthesise(log_power, aperiodicity, pitch), start, pitch)


def _speak(phrase: TimedPhrase, voice: Voice, formants: float) -> Speech:
    if voice.engine == "hts":
        return engines.speak_hts(phrase, formants)
    return engines.speak_flite(phrase, voice.speaker, formants)


def _stretched(
    phones: list[TimedPhone], owner: NDArray[np.intp], times: NDArray[np.float64], speech: Speech
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Each sung frame's spectrum, interpolated between the spoken frames at the moment it corresponds to."""
    moments = np.empty(len(times))
    for index, (phone, (begin, end)) in enumerate(zip(phones, speech.spans, strict=True)):
        own = owner == index
        moments[own] = begin + _spoken_moment(phone, times[own] - phone.start_s, end - begin)
    moments[times < phones[0].start_s] = speech.spans[0][0]
    moments[times >= phones[-1].end_s] = speech.spans[-1][1]
    place = np.clip(moments / FRAME_S, 0, len(speech.log_power) - 1.001)
    left = place.astype(int)
    share = (place - left)[:, None]

    def between(frames: NDArray[np.float64]) -> NDArray[np.float64]:
        return frames[left] * (1 - share) + frames[left + 1] * share

    noise = None if speech.aperiodicity is None else between(speech.aperiodicity)
    return between(speech.log_power), noise


def _spoken_moment(phone: TimedPhone, moment: NDArray[np.float64], spoken_s: float) -> NDArray[np.float64]:
    """Seconds into the spoken phone for seconds into the sung one."""
    sung_s = phone.end_s - phone.start_s
    if phone.name in VOWELS and sung_s > spoken_s:
        edge = VOWEL_EDGE * spoken_s
        middle = edge + (moment - edge) / (sung_s - 2 * edge) * (spoken_s - 2 * edge)
        late = spoken_s - (sung_s - moment)
        return np.where(moment < edge, moment, np.where(moment > sung_s - edge, late, middle))
    if phone.name in STOPS and sung_s > spoken_s:  # a longer closure, not a longer burst
        return np.maximum(0, spoken_s - (sung_s - moment))
    return moment / sung_s * spoken_s


def _aperiodicity(
    phones: list[TimedPhone], owner: NDArray[np.intp], measured: NDArray[np.float64] | None, breath: float
) -> NDArray[np.float64]:
    """How noisy each frame is: by the kind of phone, and by what was measured where the engine gives it."""
    ramp = np.clip((GRID_HZ - 800) / 7000, 0, 1)
    vowel = np.clip(0.04 + 0.2 * breath + (0.62 + 0.2 * breath) * ramp, 0, 0.98)
    fricative = np.clip(0.12 + 0.9 * np.clip((GRID_HZ - 700) / 3500, 0, 1), 0, 0.98)
    noise = np.full(BINS, 0.999)
    rows = [noise if p.name in VOICELESS else fricative if p.name in VOICED_FRICATIVES else vowel for p in phones]
    modelled = np.stack([*rows, noise])[owner]
    if measured is None:
        return modelled
    voiced = np.array([phone.name not in VOICELESS for phone in phones] + [False])[owner]
    return np.where(voiced[:, None], np.clip(measured, 0.01, np.maximum(modelled, 0.15)), 0.999)


def _consonants(phones: list[TimedPhone], owner: NDArray[np.intp], decibels: float) -> NDArray[np.float64]:
    """Decibels per frame, [frames, 1], that lift consonants over the long vowels of singing."""
    strong = VOICELESS | VOICED_FRICATIVES | STOPS
    per_phone = [0.0 if p.name in VOWELS else decibels * (1.0 if p.name in strong else 0.4) for p in phones]
    return _smooth(np.array([*per_phone, 0.0])[owner], 5)[:, None]


def _loudness(phrase: TimedPhrase, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Decibels per frame, [frames, 1], by the notes' velocities."""
    starts = np.array([note.start_s for note in phrase.notes])
    levels = DECIBELS_PER_VELOCITY * np.array([note.velocity - PLAIN for note in phrase.notes])
    return np.interp(times, starts, levels)[:, None]


def _envelope(phones: list[TimedPhone], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Amplitude 1 inside the phrase and 0 outside, with short ramps."""
    inside = np.where(times < phones[0].start_s - 0.02, 0.0, np.clip((phones[-1].end_s + 0.04 - times) / 0.08, 0, 1))
    return _smooth(inside, 7)


def _smooth(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    padded = np.pad(values, width // 2, mode="edge")
    return np.convolve(padded, np.full(width, 1 / width), mode="valid")


def place(sung: list[SungPhrase], length_s: float) -> NDArray[np.float64]:
    """All phrases in one sound of `length_s` seconds."""
    sound = np.zeros(round(length_s * SAMPLE_RATE))
    for phrase in sung:
        start = round(phrase.start_s * SAMPLE_RATE)
        skip = max(0, -start)
        piece = phrase.sound[skip : skip + max(0, len(sound) - start - skip)]
        sound[start + skip : start + skip + len(piece)] += piece
    return sound
