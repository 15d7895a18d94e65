"""The vocoder's grid, and spectra brought onto it: formants shifted, the octave above a 16 kHz voice continued."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 44100
FRAME_S = 0.005
FFT_SIZE = 1024
BINS = FFT_SIZE // 2 + 1
GRID_HZ = np.arange(BINS) * SAMPLE_RATE / FFT_SIZE
FLOOR = 1e-12


@dataclass(slots=True)
class Speech:
    """A phrase spoken in its natural time.

    Attributes:
        log_power: natural logarithm of the power spectrum, [frames, BINS], a frame per `FRAME_S`.
        aperiodicity: share of noise in 0..1, [frames, BINS]; None where the voice does not say.
        spans: (start, end) in seconds of each phone.
    """

    log_power: NDArray[np.float64]
    aperiodicity: NDArray[np.float64] | None
    spans: list[tuple[float, float]]


def mel_cepstrum_to_grid(
    cepstrum: NDArray[np.float64], warping: float, sample_rate: int, formants: float, post_filter: float
) -> NDArray[np.float64]:
    """Mel-cepstra as log power on the grid.

    Args:
        cepstrum: [frames, order + 1].
        warping: the all-pass constant of the mel scale.
        sample_rate: of the voice.
        formants: factor on all formant frequencies.
        post_filter: factor on the shape; above 1 sharpens formants, which training had smoothed.

    Returns:
        [frames, BINS].
    """
    source_hz = GRID_HZ / formants
    omega = 2 * np.pi * np.minimum(source_hz, sample_rate / 2) / sample_rate
    warped = omega + 2 * np.arctan2(warping * np.sin(omega), 1 - warping * np.cos(omega))
    sharp = cepstrum.copy()
    sharp[:, 2:] *= post_filter
    log_amplitude = sharp @ np.cos(np.outer(np.arange(cepstrum.shape[1]), warped))
    log_amplitude -= 1.1 * np.maximum(0, source_hz - 0.97 * sample_rate / 2) / 1000
    return 2 * np.clip(log_amplitude, -30, 20)


def spectrum_to_grid(
    power: NDArray[np.float64], aperiodicity: NDArray[np.float64], sample_rate: int, formants: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """WORLD's analysis at the voice's own rate as log power and aperiodicity on the grid.

    Args:
        power, aperiodicity: [frames, bins up to half of `sample_rate`].
        formants: factor on all formant frequencies.

    Returns:
        Both [frames, BINS]; above the voice's own band the spectrum falls by 8 dB per kHz and is noise.
    """
    source_hz = GRID_HZ / formants
    top = sample_rate / 2 * (0.88 if sample_rate < 20000 else 0.96)
    place = np.minimum(source_hz, top) / (sample_rate / 2) * (power.shape[1] - 1)
    left = np.clip(place.astype(int), 0, power.shape[1] - 2)
    right_share = place - left
    logarithm = np.log(power + FLOOR)
    log_power = logarithm[:, left] * (1 - right_share) + logarithm[:, left + 1] * right_share
    noise = aperiodicity[:, left] * (1 - right_share) + aperiodicity[:, left + 1] * right_share
    log_power -= 1.8 * np.maximum(0, source_hz - top) / 1000
    noise[:, source_hz > top] = np.maximum(noise[:, source_hz > top], 0.9)
    return log_power, noise


def analyse(
    wave: NDArray[np.float64], sample_rate: int, formants: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A recording's log power and aperiodicity on the grid, both [frames, BINS]."""
    import pyworld

    pitch, times = pyworld.dio(wave, sample_rate, f0_floor=60, f0_ceil=400, frame_period=FRAME_S * 1000)
    pitch = pyworld.stonemask(wave, pitch, times, sample_rate)
    voiced = pitch > 0
    if voiced.sum() > 5:  # octave errors and drop-outs would put noise into vowels
        median = np.median(pitch[voiced])
        voiced &= (pitch < 1.6 * median) & (pitch > 0.55 * median)
        frames = np.arange(len(pitch))
        near = np.interp(frames, frames[voiced], frames[voiced])
        filled = np.interp(frames, frames[voiced], pitch[voiced])
        pitch = np.where(np.abs(near - frames) < 1e-9, filled, np.where(_close(frames, voiced), filled, 0.0))
    power = pyworld.cheaptrick(wave, pitch, times, sample_rate)
    aperiodicity = pyworld.d4c(wave, pitch, times, sample_rate)
    return spectrum_to_grid(power, aperiodicity, sample_rate, formants)


def _close(frames: NDArray[np.intp], voiced: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Frames between two voiced ones that are at most 0.1 s apart."""
    places = frames[voiced]
    after = np.clip(np.searchsorted(places, frames), 0, len(places) - 1)
    before = np.clip(np.searchsorted(places, frames, side="right") - 1, 0, len(places) - 1)
    return (places[before] <= frames) & (frames <= places[after]) & (places[after] - places[before] <= 0.1 / FRAME_S)


def synthesise(
    log_power: NDArray[np.float64], aperiodicity: NDArray[np.float64], pitch_hz: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sound from a phrase's frames; `pitch_hz` is 0 where there is no voice."""
    import pyworld

    return pyworld.synthesize(
        np.ascontiguousarray(pitch_hz),
        np.ascontiguousarray(np.exp(log_power)),
        np.ascontiguousarray(aperiodicity),
        SAMPLE_RATE,
        FRAME_S * 1000,
    )
