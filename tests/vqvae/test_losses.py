"""Each loss by its definition; equality with the original is in tests/parity/vqvae.py."""

from dataclasses import replace

import pytest
import torch

from jukebox.config import LossConfig
from jukebox.errors import ConfigError
from jukebox.vqvae import losses
from jukebox.vqvae.losses import Bandwidth
from jukebox.vqvae.vqvae import VQVAE
from tests.training.small import VQVAE_CONFIG

UNIT = Bandwidth()


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return torch.randn(2, 1, 4096, generator=random), torch.randn(2, 1, 4096, generator=random)


def test_waveform_losses_by_hand() -> None:
    target = torch.zeros(1, 1, 4)
    estimate = torch.tensor([[[1.0, -2.0, 0.0, 3.0]]])
    assert losses.l1_loss(target, estimate, Bandwidth(l1=0.5)) == pytest.approx(3.0)
    assert losses.l2_loss(target, estimate, Bandwidth(l2=2.0)) == pytest.approx(1.75)
    assert losses.linf_loss(target, estimate, UNIT, 2) == pytest.approx(6.5)
    assert losses.linf_loss(target, estimate, UNIT, 100) == losses.l2_loss(target, estimate, UNIT)


def test_the_mixture_is_the_weighted_sum() -> None:
    target, estimate = pair()
    config = LossConfig(mix_l1=0.3, mix_l2=0.5, mix_linf=0.1, linf_k=7)
    parts = {name: LossConfig(reconstruction=name, linf_k=7) for name in ("l1", "l2", "linf")}
    values = {name: losses.waveform_loss(target, estimate, part, UNIT) for name, part in parts.items()}
    expected = 0.3 * values["l1"] + 0.5 * values["l2"] + 0.1 * values["linf"]
    torch.testing.assert_close(losses.waveform_loss(target, estimate, config, UNIT), expected)


def test_emphasis_has_every_term_hear_the_sound_through_it() -> None:
    target, _ = pair()
    raised = losses.emphasised(target, 0.97)
    assert torch.equal(raised[..., :1], target[..., :1])
    torch.testing.assert_close(raised[..., 1:], target[..., 1:] - 0.97 * target[..., :-1])
    assert losses.emphasised(target, 0.0) is target
    assert losses.measure_bandwidth(target, 0.97) == losses.measure_bandwidth(raised)
    model = VQVAE(replace(VQVAE_CONFIG, loss=replace(VQVAE_CONFIG.loss, emphasis=0.97)))
    (found, *_) = model(target, UNIT).levels
    made, config = losses.emphasised(found.reconstruction, 0.97), model.config.loss
    torch.testing.assert_close(found.waveform_loss, losses.waveform_loss(raised, made, config, UNIT))
    torch.testing.assert_close(found.multispectral_loss, losses.multispectral_loss(raised, made, config, UNIT))
    with pytest.raises(ConfigError, match=r"LossConfig\.emphasis is 1\.0"):
        LossConfig(emphasis=1.0)


@pytest.mark.parametrize("relative", [False, True])
def test_spectral_losses_vanish_only_on_equal_magnitudes(relative: bool) -> None:
    target, estimate = pair()
    config = LossConfig(relative=relative)
    for loss in (losses.spectral_loss, losses.multispectral_loss):
        assert loss(target, target, config, UNIT) == 0
        assert loss(target, -target, config, UNIT) < 1e-4, "magnitudes do not see the sign"
        assert loss(target, estimate, config, UNIT) > 0.1


def test_a_relative_spectral_loss_ignores_loudness() -> None:
    target, estimate = pair()
    config = LossConfig(relative=True)
    loud = losses.spectral_loss(10 * target, 10 * estimate, config, UNIT)
    torch.testing.assert_close(loud, losses.spectral_loss(target, estimate, config, UNIT))


def test_commitment_teaches_latents_and_the_codebook_loss_teaches_codes() -> None:
    latents, quantised = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4, requires_grad=True)
    losses.commit_loss(latents, quantised).backward()
    assert latents.grad is not None
    assert quantised.grad is None
    latents.grad = None
    losses.codebook_loss(latents, quantised).backward()
    assert quantised.grad is not None
    assert latents.grad is None


def test_bandwidth_of_a_sine() -> None:
    sine = torch.sin(torch.arange(44100) * 0.1)[None, None]
    bandwidth = losses.measure_bandwidth(sine)
    assert bandwidth.l2 == pytest.approx(0.5, rel=1e-3)
    assert bandwidth.l1 == pytest.approx(2 / torch.pi, rel=1e-3)
    assert bandwidth.spectral > 100
