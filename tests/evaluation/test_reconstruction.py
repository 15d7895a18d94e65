"""Measures on segments do not depend on how the sound arrives."""

import math

import pytest
import torch

from jukebox.evaluation.reconstruction import ReconstructionMeter


def pair(seconds: float) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    target = torch.randn(1, int(seconds * 8000), generator=random)
    return target, target + 0.1 * torch.randn(target.shape, generator=random)


def test_the_blocks_do_not_matter() -> None:
    target, estimate = pair(10)
    whole, pieces = ReconstructionMeter(8000), ReconstructionMeter(8000)
    whole.add(target, estimate)
    for start in range(0, target.shape[1], 777):
        pieces.add(target[:, start : start + 777], estimate[:, start : start + 777])
    found = whole.result()
    assert found == pieces.result()
    assert found.segments == 4  # three of three seconds, and the last second


def test_values() -> None:
    meter = ReconstructionMeter(8000)
    meter.add(*pair(3))
    found = meter.result()
    assert found.segments == 1
    assert found.si_sdr_db == pytest.approx(20, abs=0.2)
    assert found.spectral_convergence_db == pytest.approx(20 * math.log10(found.spectral_convergence))


def test_silence_is_left_out_and_nothing_is_nan() -> None:
    meter = ReconstructionMeter(8000)
    target, estimate = pair(3)
    meter.add(torch.cat([torch.zeros_like(target), target], 1), torch.cat([estimate, estimate], 1))
    assert meter.result().segments == 1
    nothing = ReconstructionMeter(8000)
    nothing.add(torch.zeros(1, 24000), torch.zeros(1, 24000))
    assert math.isnan(nothing.result().si_sdr_db)
