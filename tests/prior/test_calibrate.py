"""A prior whose 4 bits are chosen layer by layer is the one whose layers were observed all at once."""

import copy

import pytest
import torch
from torch import nn

from jukebox.config import PriorConfig
from jukebox.nn.calibrated import Observed, calibrated
from jukebox.nn.quantised import Linear4
from jukebox.nn.replacing import replace_each
from jukebox.prior.calibrate import calibrate
from tests.prior import models


@pytest.mark.parametrize("config", models.ALL.values(), ids=list(models.ALL))
@pytest.mark.parametrize("kind", [torch.float32, torch.float16])
def test_layer_by_layer_is_all_at_once(config: PriorConfig, kind: torch.dtype) -> None:
    prior = models.build(config).to(kind)
    windows = [(models.codes(1, seed), models.conditions(config, 1, seed)) for seed in range(5)]
    whole = copy.deepcopy(prior).float()
    replace_each(whole.transformer, nn.Linear, Observed)
    with torch.no_grad():
        for codes, told in windows:
            whole(codes, told)
    expected = {
        name: Linear4(module.linear, calibrated(module.linear.weight, module.moments))
        for name, module in whole.transformer.named_modules()
        if isinstance(module, Observed)
    }
    layers = []
    calibrate(prior, windows, torch.device("cpu"), layers.append)
    assert len(layers) == config.transformer.depth
    assert prior.config.matrix_bits == 4
    found = {name: module for name, module in prior.transformer.named_modules() if isinstance(module, Linear4)}
    assert found.keys() == expected.keys()
    assert not any(isinstance(module, nn.Linear) for module in prior.transformer.modules())
    for name, module in found.items():
        # What lies between two of the sixteen values may fall to either, for sums in another order.
        torch.testing.assert_close(module.matrix(), expected[name].matrix(), atol=1e-3, rtol=1e-3)
    assert {tensor.dtype for tensor in prior.parameters()} == {torch.float32}
    with torch.no_grad():
        assert bool(prior(*windows[0]).logits.isfinite().all())
