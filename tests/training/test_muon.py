"""Muon on a processor: PyTorch's own but for rounding, with the same state."""

import copy

import torch
from torch.nn import Parameter

from jukebox.training.muon import Muon, orthogonal
from jukebox.training.optim import OptimizerConfig

CONFIG = OptimizerConfig(name="muon", learning_rate=2e-3, weight_decay=0.01, momentum=0.95)
LIBRARYS = {"lr": 2e-3, "weight_decay": 0.01, "momentum": 0.95, "adjust_lr_fn": "match_rms_adamw"}
LEAST_COSINE = 0.9995
"""Between updates in float32 and in bfloat16, PyTorch's; measured: 0.99993."""


def with_gradients(parameters: list[Parameter], seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=random)


def test_it_is_the_librarys_but_for_rounding_and_goes_on_from_its_state() -> None:
    random = torch.Generator().manual_seed(0)
    mine = [Parameter(torch.randn(shape, generator=random)) for shape in ((32, 64), (96, 32), (48, 48))]
    theirs = copy.deepcopy(mine)
    muon, librarys = Muon(mine, CONFIG), torch.optim.Muon(theirs, **LIBRARYS)
    for step in range(4):
        if step == 2:  # a run that was begun with the library's goes on
            muon.load_state_dict(copy.deepcopy(librarys.state_dict()))
        before = [parameter.detach().clone() for parameter in mine]
        for parameter, other in zip(mine, theirs, strict=True):
            other.data.copy_(parameter)
        with_gradients(mine, step)
        with_gradients(theirs, step)
        muon.step()
        librarys.step()
        for old, parameter, other in zip(before, mine, theirs, strict=True):
            update, expected = (parameter - old).flatten(), (other - old).flatten()
            assert torch.cosine_similarity(update, expected, 0) > LEAST_COSINE
            assert abs(update.norm() / expected.norm() - 1) < 1e-2  # measured: 2.3e-3


def test_what_has_no_gradient_stays() -> None:
    parameter = Parameter(torch.ones(4, 8))
    before = parameter.detach().clone()
    muon = Muon([parameter], CONFIG)
    assert muon.step(lambda: 3.0) == 3.0
    assert torch.equal(parameter, before)


def test_singular_values_come_near_one() -> None:
    matrix = torch.randn(24, 40, generator=torch.Generator().manual_seed(1))
    coefficients = torch.optim.Muon([Parameter(matrix)]).param_groups[0]["ns_coefficients"]
    for found in (orthogonal(matrix, coefficients, 5), orthogonal(matrix.T, coefficients, 5).T):
        values = torch.linalg.svdvals(found)
        assert 0.6 < values.min() <= values.max() < 1.3
        assert torch.equal(found, orthogonal(matrix, coefficients, 5))
