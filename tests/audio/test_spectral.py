"""Spectra and what is measured on them, by their definitions."""

import math

import pytest
import torch

from jukebox.audio.spectral import (
    log_mel_distance,
    magnitudes,
    mel_filters,
    scale_invariant_ratio,
    spectral_convergence,
    stft_distance,
    treble_level,
)

RATE = 44100


def sine(hertz: float, samples: int = RATE) -> torch.Tensor:
    return torch.sin(2 * math.pi * hertz / RATE * torch.arange(samples))[None]


def test_a_sine_stands_in_its_bin() -> None:
    spectrum = magnitudes(sine(RATE * 100 / 2048), 2048, 512, 2048)
    assert spectrum.shape == (1, 1025, RATE // 512 + 1)
    assert (spectrum[0, :, 10:-10].argmax(0) == 100).all()
    assert float(spectrum[0, 100, 40]) == pytest.approx(512, rel=1e-3)  # a Hann window sums to n / 2, halved by cos


def test_spectral_convergence() -> None:
    target = torch.randn(2, 8192, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(spectral_convergence(target, 0.9 * target), torch.full((2,), 0.1))
    torch.testing.assert_close(spectral_convergence(target, 0 * target), torch.ones(2))
    assert spectral_convergence(torch.zeros(1, 8192), target[:1]).item() == 0, "silence is masked"


def test_si_sdr_ignores_scale_and_offset() -> None:
    random = torch.Generator().manual_seed(0)
    target, noise = torch.randn(1, 50_000, generator=random), torch.randn(1, 50_000, generator=random)
    ratio = scale_invariant_ratio(target, target + 0.1 * noise)
    assert float(ratio) == pytest.approx(20, abs=0.1)
    torch.testing.assert_close(scale_invariant_ratio(target, 3 * (target + 0.1 * noise) + 1), ratio, atol=1e-2, rtol=0)


def test_distances_of_a_gain_are_its_logarithm_at_each_resolution() -> None:
    target = torch.randn(2, RATE, generator=torch.Generator().manual_seed(0))
    assert log_mel_distance(target, target, RATE).tolist() == [0, 0]
    assert stft_distance(target, target).tolist() == [0, 0]
    # A factor of ten is 1 in each of seven logarithms; some of the narrowest of 320 filters hold no bin.
    louder = log_mel_distance(target, 10 * target, RATE)
    assert ((louder > 6.9) & (louder < 7.001)).all()
    magnitudes_alone = sum(9 * magnitudes(target, w, w // 4, w).mean((1, 2)) for w in (2048, 512))
    torch.testing.assert_close(stft_distance(target, 10 * target), magnitudes_alone + 4, atol=2e-3, rtol=0)


def test_treble_is_measured_where_it_is_loud() -> None:
    random, time_s = torch.Generator().manual_seed(0), torch.arange(4 * RATE) / RATE
    tone = 0.5 * torch.sin(6.2832 * 200 * time_s)
    hiss = 0.05 * torch.randn(4 * RATE, generator=random)
    bursts = hiss * (time_s % 1 < 0.2)
    target = (tone + bursts + 0.001 * hiss)[None]
    for factor, decibels in ((1.0, 0.0), (0.1, -20.0), (2.0, 6.02)):
        estimate = (0.1 * tone + factor * bursts + 0.5 * hiss * (time_s % 1 > 0.4))[None]  # and noise between
        assert float(treble_level(target, estimate, RATE)) == pytest.approx(decibels, abs=0.1)
    assert treble_level(target, target, 4000).item() == 0


def test_mel_filters_are_slaneys() -> None:
    filters = mel_filters(RATE, 2048, 40)
    hertz = torch.linspace(0, RATE / 2, 1025)
    areas = filters.sum(1) * RATE / 2048
    torch.testing.assert_close(areas, torch.ones(40), atol=0.05, rtol=0)
    centres = hertz[filters.argmax(1)]
    assert (centres.diff() > 0).all()
    low = centres[centres < 900].diff()
    assert float(low.max() - low.min()) < 2 * RATE / 2048, "evenly spaced below 1 kHz"
    high = centres[centres > 2000]
    ratios = high[1:] / high[:-1]
    assert float(ratios.max() / ratios.min()) < 1.02, "in a constant ratio above"
