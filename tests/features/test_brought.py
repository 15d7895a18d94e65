"""Layers that are widened when their turn comes are those of a model that was widened at once."""

from dataclasses import replace

import pytest
import torch

from jukebox.checkpoints.load import build_prior, first_layers
from jukebox.checkpoints.openai import Imported
from jukebox.config import PriorConfig
from jukebox.features.brought import bring_layers
from jukebox.prior.transformer import Wanted
from tests.prior import models


@pytest.mark.parametrize("config", models.ALL.values(), ids=models.ALL.keys())
@pytest.mark.parametrize("keep", [False, True])
def test_stored_in_half_precision(config: PriorConfig, keep: bool) -> None:
    stored = {
        name: tensor.half() if tensor.ndim > 1 else tensor for name, tensor in models.build(config).state_dict().items()
    }
    depth = config.transformer.depth
    codes, given = models.codes(batch=1), models.conditions(config, batch=1)
    with torch.no_grad():
        wanted = Wanted(layers=frozenset(range(depth)))
        whole = build_prior(config, stored)(codes, given, wanted=wanted).layers
    for layer in range(depth + 1):
        part = first_layers(Imported(config=config, tensors=stored, source={}), layer)
        bring_layers(part, torch.device("cpu"), torch.float32, keep=keep)
        found = part.hidden_states(codes, given, frozenset({layer}))
        assert set(found) == {layer}
        if layer:
            assert torch.equal(found[layer], whole[layer - 1][:, -codes.shape[1] :])
        assert keep or all(p.dtype != torch.float32 for p in part.transformer.parameters() if p.ndim > 1)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("keep", [False, True])
def test_matrices_in_few_bits_stay_so(bits: int, keep: bool) -> None:
    whole = models.build(models.ENCODER)
    whole.reduce(bits)
    assert whole.config == replace(models.ENCODER, matrix_bits=bits)
    codes, given = models.codes(batch=1), models.conditions(models.ENCODER, batch=1)
    with torch.no_grad():
        expected = whole(codes, given, wanted=Wanted(layers=frozenset({3}))).layers[3]
    part = first_layers(Imported(config=whole.config, tensors=whole.state_dict(), source={}), 4)
    bring_layers(part, torch.device("cpu"), torch.float32, keep=keep)
    assert torch.equal(part.hidden_states(codes, given, frozenset({4}))[4], expected)
