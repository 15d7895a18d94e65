"""The mix: the voice evened out, one room around everything, levels, and loudness by the broadcast standard."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recipes.songbook.voice.vocoder import SAMPLE_RATE

LOUDNESS_LUFS = -16.0
PEAK = 10 ** (-1 / 20)
"""Full scale less 1 dB, which lossy coding needs."""
ACTIVE_BLOCK = 2048
LOWEST_HZ = 35


@dataclass(frozen=True, slots=True)
class Mixed:
    """Sound in [-1, 1], [samples] each; the mix is the sum of the two. Loudness in LUFS is the mix's."""

    stem: NDArray[np.float64]
    accompaniment: NDArray[np.float64] | None
    mix: NDArray[np.float64]
    loudness_lufs: float


def mix(
    voice: NDArray[np.float64], band: NDArray[np.float64] | None, voice_db: float, room: NDArray[np.float64]
) -> Mixed:
    """Mix a song.

    Args:
        voice, band: of the same length, dry; no band for a cappella.
        voice_db: level of the voice over the band, both measured where they sound.
        room: impulse response from `room`.

    Returns:
        Stem, accompaniment and mix with room, at one gain.
    """
    import pyloudnorm

    stem = _in_room(_evened(voice), room)
    accompaniment = None
    if band is not None:
        level = active_level(band)
        gain = active_level(stem) * 10 ** (-voice_db / 20) / level if level > 0 else 0.0
        accompaniment = _in_room(band * gain, room)
    together = stem if accompaniment is None else stem + accompaniment
    meter = pyloudnorm.Meter(SAMPLE_RATE)
    loudness = float(meter.integrated_loudness(together))
    gain = 10 ** ((LOUDNESS_LUFS - loudness) / 20) if np.isfinite(loudness) else 0.0
    peak = max(float(np.abs(sound).max()) for sound in (together, stem, accompaniment) if sound is not None)
    gain = min(gain, PEAK / peak) if peak > 0 else gain
    loudness = loudness + 20 * np.log10(gain) if gain > 0 else float("-inf")
    scaled = None if accompaniment is None else accompaniment * gain
    return Mixed(stem * gain, scaled, together * gain, loudness)


def room(reverb_s: float, wet: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """An impulse response: the direct sound, and noise that falls by 60 dB in `reverb_s` seconds.

    Args:
        reverb_s: reverberation time.
        wet: amplitude of the reverberation beside the direct sound.
        rng: draws the reflections.

    Returns:
        [samples], the direct sound first.
    """
    from scipy.signal import butter, sosfilt

    count = int(reverb_s * SAMPLE_RATE)
    noise = rng.standard_normal(count) * 10 ** (-3 * np.arange(count) / count)
    noise = np.asarray(sosfilt(butter(2, [150, 6500], "bandpass", fs=SAMPLE_RATE, output="sos"), noise))
    noise[: int(0.012 * SAMPLE_RATE)] = 0
    response = wet * noise / np.sqrt(np.sum(noise**2))
    response[0] += 1.0
    return response


def active_level(sound: NDArray[np.float64]) -> float:
    """Root mean square of the blocks that are not silent."""
    blocks = sound[: len(sound) // ACTIVE_BLOCK * ACTIVE_BLOCK].reshape(-1, ACTIVE_BLOCK)
    levels = np.sqrt(np.mean(blocks**2, axis=1))
    loud = levels[levels > 0.05 * levels.max(initial=0.0)]
    return float(np.sqrt(np.mean(loud**2))) if len(loud) else 0.0


def _in_room(sound: NDArray[np.float64], response: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.signal import butter, oaconvolve, sosfilt

    wet = oaconvolve(sound, response)[: len(sound)]
    return np.asarray(sosfilt(butter(2, LOWEST_HZ, "highpass", fs=SAMPLE_RATE, output="sos"), wet))


def _evened(voice: NDArray[np.float64]) -> NDArray[np.float64]:
    """A compressor: half of each deviation from the usual level, in decibels, is taken back."""
    from scipy.signal import lfilter

    level = active_level(voice)
    if level == 0:
        return voice
    sound = voice / level
    power = np.maximum(np.asarray(lfilter([0.002], [1, -0.998], sound**2)), 1e-6)
    lowered = np.minimum(1.0, power**-0.25)
    raised = np.minimum(1.6, np.maximum(1.0, np.maximum(power, 0.06) ** -0.125))
    return sound * lowered * raised
