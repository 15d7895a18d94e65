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


def test_log_mel_distance_of_a_gain_is_its_logarithm() -> None:
    target = torch.randn(1, RATE, generator=torch.Generator().manual_seed(0))
    assert float(log_mel_distance(target, target, RATE)) == 0
    assert float(log_mel_distance(target, 10 * target, RATE)) == pytest.approx(1.0, abs=1e-3)


def test_mel_filters_have_unit_sum_and_rising_centres() -> None:
    filters = mel_filters(RATE, 2048, 80)
    torch.testing.assert_close(filters.sum(1), torch.ones(80))
    centres = filters.argmax(1)
    assert (centres.diff() >= 0).all()
    assert centres[-1] > 900
