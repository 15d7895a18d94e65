"""Layers that are widened when their turn comes are those of a model that was widened at once."""

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
