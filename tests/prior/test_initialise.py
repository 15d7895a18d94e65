"""Random weights of new priors (facts 3.2)."""

import dataclasses

import pytest
import torch

from jukebox.checkpoints import layout
from jukebox.prior.initialise import new_prior
from tests.prior import models


def tensors(config, seed: int = 0) -> dict[str, torch.Tensor]:
    return dict(new_prior(config, torch.Generator().manual_seed(seed)).state_dict())


def wide(config, init_scale: float = 0.5):
    """The same with enough numbers in each tensor to measure a deviation."""
    transformer = dataclasses.replace(config.transformer, width=64, init_scale=init_scale)
    return dataclasses.replace(config, transformer=transformer)


@pytest.mark.parametrize("config", models.ALL.values(), ids=models.ALL.keys())
def test_the_same_generator_gives_the_same_complete_model(config) -> None:
    first, again, other = tensors(config), tensors(config), tensors(config, seed=1)
    assert {name: tuple(tensor.shape) for name, tensor in first.items()} == dict(layout.shapes(config))
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())
    assert not torch.equal(first["token_embedding.weight"], other["token_embedding.weight"])
    assert all(torch.isfinite(tensor).all() for tensor in first.values())


def test_deviations_are_those_of_the_original() -> None:
    found = tensors(wide(models.ENCODER)) | {
        f"joint.{name}": tensor for name, tensor in tensors(wide(models.JOINT)).items()
    }
    expected = {
        "token_embedding.weight": 0.01,
        "output.weight": 0.01,
        "transformer.layers.0.attention.qkv.weight": 0.01,
        "transformer.layers.0.attention.output.weight": 0.01,
        "transformer.layers.3.attention.query.weight": 0.01,
        "transformer.layers.3.mlp.output.weight": 0.01,
        "position_embedding.weight": 0.005,
        "labels.artist.weight": 0.005,
        "labels.absolute_position.weight": 0.005,
        "joint.transformer.layers.3.attention.output.weight": 0.01,
        "joint.position_embedding.weight": 0.005,
        # The lyrics encoder's own scale, 10.
        "lyrics_encoder.projection.weight": 0.2,
        "lyrics_encoder.output.weight": 0.2,
    }
    for name, deviation in expected.items():
        count = found[name].numel()
        assert float(found[name].std()) == pytest.approx(deviation, rel=4 / count**0.5), name
    for name, tensor in found.items():
        if name.endswith("norm.weight"):
            assert bool((tensor == 1).all()), name
        elif name.endswith("bias"):
            assert not tensor.any(), name


def test_a_new_cross_attention_leaves_the_old_model_as_it_was() -> None:
    found = tensors(models.ENCODER)
    assert not found["transformer.layers.3.attention.output.weight"].any()
    assert found["transformer.layers.3.attention.key_value.weight"].any()


def test_layers_that_begin_as_the_identity() -> None:
    transformer = dataclasses.replace(models.UNLABELLED.transformer, zero_output=True)
    found = tensors(dataclasses.replace(models.UNLABELLED, transformer=transformer))
    outputs = [name for name in found if name.endswith("output.weight")]
    assert len(outputs) == 2 * 4
    assert not any(found[name].any() for name in outputs)


def test_convolutions_begin_as_pytorch_does() -> None:
    config = dataclasses.replace(models.UPSAMPLER)
    weight = tensors(config)["upsampler.input.weight"]
    bound = (8 * 3) ** -0.5
    assert float(weight.abs().max()) <= bound
    assert float(weight.std()) == pytest.approx(bound / 3**0.5, rel=0.25)
