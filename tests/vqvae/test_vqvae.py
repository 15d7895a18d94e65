"""The VQ-VAE module; equality with the original is in tests/parity/vqvae.py."""

import dataclasses

import pytest
import torch

from jukebox.config import CodebookConfig, LossConfig, VqvaeConfig
from jukebox.vqvae.losses import Bandwidth
from jukebox.vqvae.vqvae import VQVAE

SMALL = VqvaeConfig(width=4, depth=2, embedding_width=8, codebook=CodebookConfig(size=32))


def build(config: VqvaeConfig) -> VQVAE:
    torch.manual_seed(0)
    model = VQVAE(config)
    for codebook in model.codebooks:
        codebook.vectors.data.normal_()
        codebook.ema_count.fill_(1.0)
    return model


def noise(samples: int, batch: int = 2) -> torch.Tensor:
    return 0.1 * torch.randn(batch, 1, samples, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        dataclasses.replace(SMALL, steps=(2,), strides=(2,), multipliers=(1,)),
        dataclasses.replace(SMALL, steps=(1, 1), strides=(8, 4), multipliers=(1, 2), dilation_cycle=1),
        dataclasses.replace(
            SMALL, steps=(1, 1, 1, 1), strides=(2, 2, 2, 4), multipliers=(2, 2, 1, 1), hidden_ratio=0.5
        ),
    ],
)
def test_any_number_of_levels_strides_and_multipliers(config: VqvaeConfig) -> None:
    model = build(config)
    audio = noise(4 * config.hops[-1])
    codes = model.encode(audio)
    assert [c.shape for c in codes] == [(2, audio.shape[2] // hop) for hop in config.hops]
    for level in range(config.levels):
        assert model.decode(codes[level], level).shape == audio.shape


def test_a_length_that_the_hop_does_not_divide_is_rounded_down() -> None:
    assert [c.shape[1] for c in build(SMALL).encode(noise(1000))] == [125, 31, 7]


def test_a_released_model_is_mono_and_a_new_one_need_not_be() -> None:
    config = dataclasses.replace(SMALL, channels=2)
    model = build(config)
    audio = noise(512).repeat(1, 2, 1)
    assert model.decode(model.encode(audio)[1], 1).shape == audio.shape


def test_a_forward_pass_changes_nothing() -> None:
    model = build(SMALL).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model(noise(4096), Bandwidth()).loss.backward()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_loss_is_the_weighted_sum_of_its_parts() -> None:
    loss = LossConfig(spectral=0.5, multispectral=0.25, commit=0.02, codebook=0.3)
    output = build(dataclasses.replace(SMALL, loss=loss))(noise(4096), Bandwidth(l2=0.01, spectral=2.0))
    expected = sum(
        level.waveform_loss
        + 0.5 * level.spectral_loss
        + 0.25 * level.multispectral_loss
        + 0.02 * level.commit_loss
        + 0.3 * level.codebook_loss
        for level in output.levels
    )
    torch.testing.assert_close(output.loss, expected)
    assert all(level.spectral_loss > 0 < level.codebook_loss for level in output.levels)


@pytest.mark.parametrize("gradient", ["straight_through", "rotation"])
def test_every_parameter_learns(gradient: str) -> None:
    codebook = CodebookConfig(size=32, gradient=gradient, learning="gradient")
    model = build(dataclasses.replace(SMALL, width=16, codebook=codebook, loss=LossConfig(codebook=1.0)))
    model(noise(4096), Bandwidth()).loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_the_gradients_of_a_codebook_pull_it_to_the_latents() -> None:
    """With the codebook loss alone, a step against the gradient lowers it."""
    codebook = CodebookConfig(size=32, learning="gradient")
    loss = LossConfig(mix_l2=0.0, mix_linf=0.0, multispectral=0.0, commit=0.0, codebook=1.0)
    model = build(dataclasses.replace(SMALL, codebook=codebook, loss=loss))
    before = model(noise(4096), Bandwidth()).loss
    before.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= 0.5 * parameter.grad
    assert model(noise(4096), Bandwidth()).loss < before


def test_without_quantisation_the_latents_pass() -> None:
    model = build(dataclasses.replace(SMALL, quantise=False))
    output = model(noise(4096), Bandwidth())
    assert all(level.codes is None and level.commit_loss == 0 for level in output.levels)
    latents = model.latents(noise(4096), 0)
    torch.testing.assert_close(output.levels[0].reconstruction, model.decode_latents(latents, 0))


def test_the_running_sums_are_saved_with_the_model() -> None:
    names = set(build(SMALL).state_dict())
    assert {f"codebooks.{k}.{part}" for k in range(3) for part in ("vectors", "ema_sum", "ema_count")} <= names
