import copy
import math
from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import Parameter

from jukebox.errors import ConfigError
from jukebox.training.optim import AdamW, LearningRateSchedule, OptimizerConfig, clip_gradients

CONFIG = OptimizerConfig(learning_rate=1e-2, beta1=0.8, beta2=0.9, weight_decay=0.3, epsilon=1e-3)


def gradients(step: int) -> torch.Tensor:
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(step), dtype=torch.float64)


def take_steps(optimizer: AdamW, parameter: Parameter, steps: range) -> None:
    for step in steps:
        parameter.grad = gradients(step)
        optimizer.step()


def test_steps_follow_the_formula() -> None:
    start = gradients(100)
    parameter = Parameter(start.clone())
    optimizer = AdamW([parameter], CONFIG)
    expected, mean, square = start, torch.zeros_like(start), torch.zeros_like(start)
    for step in range(1, 6):
        take_steps(optimizer, parameter, range(step, step + 1))
        mean = 0.8 * mean + 0.2 * gradients(step)
        square = 0.9 * square + 0.1 * gradients(step) ** 2
        rate = 1e-2 * math.sqrt(1 - 0.9**step) / (1 - 0.8**step)
        expected = expected - rate * (mean / (square.sqrt() + 1e-3) + 0.3 * expected)
        torch.testing.assert_close(parameter.detach(), expected, rtol=1e-12, atol=1e-12)


def test_without_decay_it_is_adam() -> None:
    config = OptimizerConfig(epsilon=1e-300)
    ours, theirs = Parameter(gradients(0)), Parameter(gradients(0))
    peer = torch.optim.Adam([theirs], lr=config.learning_rate, betas=(0.9, 0.999), eps=1e-300)
    take_steps(AdamW([ours], config), ours, range(1, 4))
    for step in range(1, 4):
        theirs.grad = gradients(step)
        peer.step()
    torch.testing.assert_close(ours, theirs)


def test_resumed_run_equals_the_whole() -> None:
    whole, half = Parameter(gradients(0)), Parameter(gradients(0))
    take_steps(AdamW([whole], CONFIG), whole, range(6))
    first = AdamW([half], CONFIG)
    take_steps(first, half, range(3))
    second = AdamW([half], CONFIG)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    take_steps(second, half, range(3, 6))
    assert torch.equal(whole, half)


def test_clipping_bounds_the_norm_and_returns_the_one_before() -> None:
    parameters = [Parameter(torch.zeros(3)), Parameter(torch.zeros(2))]
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, 2.0)
    assert clip_gradients(parameters, CONFIG) == pytest.approx(math.sqrt(20))
    joint = torch.cat([parameter.grad for parameter in parameters if parameter.grad is not None])
    assert joint.norm() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("learning_rate", 0.0, r"learning_rate is 0\.0; expected a number above 0"),
        ("epsilon", -1.0, r"epsilon is -1\.0; expected a number above 0"),
        ("clip_norm", math.nan, "clip_norm is nan; expected a number above 0"),
        ("beta1", 1.0, r"beta1 is 1\.0; expected a number in \[0, 1\)"),
        ("beta2", -0.1, r"beta2 is -0\.1; expected a number in \[0, 1\)"),
        ("weight_decay", -1.0, r"weight_decay is -1\.0; expected 0 or more"),
    ],
)
def test_bad_optimizer_settings_are_refused(field: str, value: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        OptimizerConfig(**{field: value})


@given(
    st.integers(0, 1000),
    st.integers(1, 2000),
    st.integers(0, 500),
    st.sampled_from(["exponential", "linear", "cosine"]),
)
def test_schedule_rises_then_never_rises_again(
    warmup: int, steps: int, start: int, decay: Literal["exponential", "linear", "cosine"]
) -> None:
    schedule = LearningRateSchedule(
        warmup_steps=warmup, decay=decay, decay_factor=0.5, decay_steps=steps, decay_start_step=warmup + start
    )
    values = [schedule.multiplier(step) for step in range(0, 4000, 37)]
    top = next((index for index, _ in enumerate(values) if index * 37 >= warmup), len(values))
    assert values[:top] == sorted(values[:top])
    assert values[top:] == sorted(values[top:], reverse=True)
    assert all(0 <= value <= 1 for value in values)
    assert schedule.multiplier(warmup) == 1


def test_schedule_examples() -> None:
    halving = LearningRateSchedule(scale=2.0, warmup_steps=10, decay_factor=0.5, decay_steps=100)
    assert [halving.multiplier(step) for step in (0, 5, 10, 99, 100, 250)] == [0, 1, 2, 2, 1, 0.5]
    linear = LearningRateSchedule(warmup_steps=0, decay="linear", decay_start_step=10, decay_steps=20)
    assert [linear.multiplier(step) for step in (0, 10, 20, 30, 99)] == [1, 1, 0.5, 0, 0]
    cosine = LearningRateSchedule(warmup_steps=0, decay="cosine", decay_start_step=10, decay_steps=20)
    assert [cosine.multiplier(step) for step in (0, 10, 20, 30, 99)] == pytest.approx([1, 1, 0.5, 0, 0])


def test_schedule_drives_torch() -> None:
    parameter = Parameter(torch.zeros(1))
    optimizer = AdamW([parameter], CONFIG)
    schedule = LearningRateSchedule(warmup_steps=4)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule.multiplier)
    parameter.grad = torch.ones(1)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == CONFIG.learning_rate / 4


def test_bad_schedules_are_refused() -> None:
    for numbers in ({"warmup_steps": -1}, {"decay_steps": 0}, {"decay_start_step": -1}):
        with pytest.raises(ConfigError, match="expected at least 0, 0 and 1"):
            LearningRateSchedule.from_dict(numbers)
    for factors in ({"scale": 0.0}, {"decay_factor": 0.0}, {"decay_factor": 1.5}):
        with pytest.raises(ConfigError, match="expected a scale above 0 and a factor in"):
            LearningRateSchedule.from_dict(factors)
