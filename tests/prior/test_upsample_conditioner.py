"""The conditioner on the codes above; equality with the original is in tests/parity/prior.py."""

import dataclasses

import pytest
import torch

from jukebox.config import UpsamplerConfig
from jukebox.prior.upsample_conditioner import UpsampleConditioner

CONFIG = UpsamplerConfig(steps=2, stride=2, width=6, depth=4)


def build(config: UpsamplerConfig = CONFIG) -> UpsampleConditioner:
    torch.manual_seed(0)
    return UpsampleConditioner(config, codebook_size=9, width=8)


def codes(length: int = 5) -> torch.Tensor:
    return torch.randint(0, 9, (2, length), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("steps", "stride"), [(1, 2), (2, 2), (3, 2), (1, 4)])
def test_one_vector_for_each_position_below(steps: int, stride: int) -> None:
    module = build(dataclasses.replace(CONFIG, steps=steps, stride=stride))
    assert module(codes()).shape == (2, 5 * stride**steps, 8)


def test_the_residual_scale_is_the_root_of_the_depth() -> None:
    plain, scaled = build(), build(dataclasses.replace(CONFIG, residual_scale=True))
    scaled.load_state_dict(plain.state_dict())
    for name, parameter in plain.named_parameters():
        if ".pointwise." in name:
            parameter.data *= CONFIG.depth**-0.5
    torch.testing.assert_close(scaled(codes()), plain(codes()))


def test_dilations_begin_again_and_are_not_reversed() -> None:
    module = build(dataclasses.replace(CONFIG, dilation_growth=3, dilation_cycle=3))
    assert [[block.dilated.dilation[0] for block in step.blocks] for step in module.steps] == [[1, 3, 9, 1]] * 2


def test_recomputing_changes_neither_values_nor_gradients() -> None:
    gradients = []
    for recompute in (False, True):
        module = build()
        output = module(codes(), recompute=recompute)
        output.square().sum().backward()
        gradients.append([output.detach(), *(parameter.grad for parameter in module.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
