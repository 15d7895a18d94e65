"""Mixing down, and the refusal of sound with which nothing can be done."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jukebox.audio.io import check_usable, mix_down
from jukebox.errors import AudioError
from tests.audio.sounds import chord


@given(blend=st.floats(0, 1))
def test_stereo_is_blended(blend: float) -> None:
    audio = chord(2, 100)
    mixed = mix_down(audio, blend)
    assert mixed.shape == (1, 100)
    assert torch.allclose(mixed[0], blend * audio[0] + (1 - blend) * audio[1])


def test_mono_stays_and_more_channels_are_averaged() -> None:
    assert torch.equal(mix_down(chord(1, 100), 0.3), chord(1, 100))
    assert torch.allclose(mix_down(chord(6, 100)), chord(6, 100).mean(dim=0, keepdim=True))


@pytest.mark.parametrize(("channels", "blend"), [(2, -0.1), (2, 1.1), (2, float("nan")), (3, 0.4)])
def test_impossible_blends(channels: int, blend: float) -> None:
    with pytest.raises(AudioError, match="blend is"):
        mix_down(chord(channels, 10), blend)


def test_good_sound_passes() -> None:
    check_usable(chord(), 44_100, minimum_samples=44_100)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_numbers(bad: float) -> None:
    audio = chord(2, 44_100)
    audio[1, 4_410] = bad
    with pytest.raises(AudioError, match=r"^song\.wav has NaN or infinite values from 0\.100 s on"):
        check_usable(audio, 44_100, name="song.wav")


def test_too_short() -> None:
    with pytest.raises(
        AudioError, match=r"too short: 0\.010 s \(441 samples\), give at least 0\.020 s \(882 samples\)"
    ):
        check_usable(chord(1, 441), 44_100, minimum_samples=882)
    with pytest.raises(AudioError, match="too short"):
        check_usable(chord(1, 0), 44_100)


def test_silence() -> None:
    dither = 3e-5 * torch.randn(1, 1000).sign()
    with pytest.raises(AudioError, match="is silent"):
        check_usable(dither, 44_100)
    check_usable(dither, 44_100, silence_peak=0.0)
    with pytest.raises(AudioError, match="is silent"):
        check_usable(torch.zeros(2, 10), 44_100, silence_peak=0.0)
