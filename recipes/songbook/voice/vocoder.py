"""The vocoder's grid, and spectra brought onto it: formants shifted, the octave above a 16 kHz voice continued."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recipes.songbook.tools import world

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
    wave: NDArray[np.float64], sample_rate: int, formants: float, voiced_s: list[tuple[float, float]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A recording's log power and aperiodicity on the grid.

    Args:
        wave: [samples].
        sample_rate: of the wave.
        formants: factor on all formant frequencies.
        voiced_s: (start, end) of the phones that are voiced. Where the tracker finds no pitch inside one, its
            neighbours' is taken: a drop-out would be analysed as noise, and stretched into a whisper.

    Returns:
        Both [frames, BINS].
    """
    pyworld = world()

    pitch, times = pyworld.dio(wave, sample_rate, f0_floor=60, f0_ceil=400, frame_period=FRAME_S * 1000)
    pitch = pyworld.stonemask(wave, pitch, times, sample_rate)
    sure = pitch > 0
    if sure.sum() > 5:
        median = np.median(pitch[sure])
        sure &= (pitch < 1.6 * median) & (pitch > 0.55 * median)  # the rest are octave errors
        filled = np.interp(times, times[sure], pitch[sure])
        voiced = np.any([(times >= start) & (times <= end) for start, end in voiced_s], axis=0) if voiced_s else sure
        pitch = np.where(sure | voiced, filled, 0.0)
    power = pyworld.cheaptrick(wave, pitch, times, sample_rate)
    aperiodicity = pyworld.d4c(wave, pitch, times, sample_rate, threshold=0.0)
    return spectrum_to_grid(power, aperiodicity, sample_rate, formants)


def synthesise(
    log_power: NDArray[np.float64], aperiodicity: NDArray[np.float64], pitch_hz: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sound from a phrase's frames; `pitch_hz` is 0 where there is no voice."""
    pyworld = world()

    return pyworld.synthesize(
        np.ascontiguousarray(pitch_hz),
        np.ascontiguousarray(np.exp(log_power)),
        np.ascontiguousarray(aperiodicity),
        SAMPLE_RATE,
        FRAME_S * 1000,
    )
