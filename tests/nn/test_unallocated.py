import torch
from torch import nn

from jukebox.nn.unallocated import unallocated


def test_modules_have_shapes_and_no_memory() -> None:
    with unallocated():
        module = nn.Sequential(nn.Linear(10**6, 10**6), nn.Conv1d(3, 4, 5), nn.Embedding(7, 8), nn.LayerNorm(9))
    assert module[0].weight.shape == (10**6, 10**6)
    assert all(parameter.is_meta for parameter in module.parameters())


def test_they_take_given_tensors() -> None:
    with unallocated():
        module = nn.Linear(2, 3)
    weight = torch.ones(3, 2)
    module.load_state_dict({"weight": weight, "bias": torch.zeros(3)}, assign=True)
    assert module.weight.data_ptr() == weight.data_ptr()
    assert module(torch.ones(1, 2)).tolist() == [[2.0, 2.0, 2.0]]


def test_afterwards_modules_are_initialised_again() -> None:
    with unallocated():
        pass
    assert nn.Linear(4, 4).weight.std() > 0
