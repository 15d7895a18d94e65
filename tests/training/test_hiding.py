"""Hiding codes in training: which, what it changes, and that a run with it goes on bit for bit."""

from pathlib import Path

import pytest
import torch

from jukebox.errors import ConfigError
from jukebox.training.loop import Trainer
from jukebox.training.prior_task import hide
from jukebox.training.randomness import generator_for
from jukebox.training.recipe import HidingConfig
from tests.training.small import PRIOR_CONFIG, CodeWindow, Scales, digest, prior_trainer

CODES = 16


def drawn(config: HidingConfig, count: int) -> torch.Tensor:
    return torch.stack([hide(config, CODES, generator_for(3, "hide", index)) for index in range(count)])


def trainer(folder: Path, steps: int, hiding: HidingConfig | None) -> Trainer:
    return prior_trainer(folder, hiding=hiding, steps=steps)


def test_one_stretch_is_hidden_in_some_windows_of_every_length() -> None:
    hidden = drawn(HidingConfig(windows=0.5, longest=0.75), 2000)
    edges = (hidden[:, 1:] != hidden[:, :-1]).sum(1)
    counts = hidden.sum(1)
    assert (edges <= 2).all()
    assert set(counts.tolist()) == set(range(13))
    # Of half of the windows, lengths of 0 to 12 codes; 2000 draws are off by 0.033 at three deviations.
    assert abs(float((counts > 0).float().mean()) - 0.5 * (1 - 0.5 / 12)) < 0.034
    assert hidden.any(0).all()


def test_none_of_all_is_hidden_where_nothing_is_to_be() -> None:
    assert not drawn(HidingConfig(windows=0.0), 50).any()
    with pytest.raises(ConfigError, match=r"windows is 1\.5; expected a share"):
        HidingConfig(windows=1.5)
    with pytest.raises(ConfigError, match=r"longest is 0\.0; expected a share above 0"):
        HidingConfig(windows=0.5, longest=0.0)


def test_only_training_hides(tmp_path: Path) -> None:
    plain = trainer(tmp_path / "plain", 1, None).task
    hiding = trainer(tmp_path / "hiding", 1, HidingConfig(windows=1.0)).task
    hiding.model.load_state_dict(plain.model.state_dict())
    items: list[CodeWindow] = [Scales(PRIOR_CONFIG).take(index) for index in range(4)]
    same = [float(task.loss(items, 0, training=False).total.detach()) for task in (plain, hiding)]
    assert same[0] == same[1]
    other = [float(task.loss(items, 0, training=True).total.detach()) for task in (plain, hiding)]
    assert other[0] != other[1]


@pytest.mark.parametrize("change", [{"micro_batch": 1}, {"recompute": True}])
def test_a_run_goes_on_bit_for_bit_and_parts_hide_the_same(tmp_path: Path, change: dict[str, object]) -> None:
    config = HidingConfig(windows=0.7)
    whole = trainer(tmp_path / "whole", 6, config)
    whole.train()
    trainer(tmp_path / "parts", 3, config).train()
    parts = trainer(tmp_path / "parts", 6, config)
    parts.train()
    assert digest(parts) == digest(whole)
    other = prior_trainer(tmp_path / "other", hiding=config, steps=6, **change)
    other.train()
    for name, parameter in whole.task.model.state_dict().items():
        assert torch.allclose(other.task.model.state_dict()[name], parameter, atol=2e-4), name
