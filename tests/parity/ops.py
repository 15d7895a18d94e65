"""Small functions, the optimiser and the learning-rate schedule against the recorded ones."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from jukebox.nn.basics import activation
from jukebox.sampling.token import filter_logits
from jukebox.training.optim import AdamW, LearningRateSchedule, OptimizerConfig, clip_gradients
from tests.parity.report import Check, close, equal

ABSOLUTE = 2e-6  # float32 results of order 1 after at most four steps
MULTIPLIER = 1e-12


def run(case: Path) -> Iterator[Check]:
    """All checks of a folder with the recorded small functions."""
    config = json.loads((case / "config.json").read_text(encoding="utf-8"))
    recorded = load_file(case / "io.safetensors")
    for name, tensor in recorded.items():
        if name.startswith("top_k_"):
            found = filter_logits(recorded["logits"], top_k=int(name.removeprefix("top_k_")))
            yield close(name, found, tensor, absolute=0.0, relative=1e-7)
        elif name.startswith("top_p_"):
            found = filter_logits(recorded["logits"], top_p=float(name.removeprefix("top_p_")))
            yield close(name, found, tensor, absolute=0.0, relative=1e-7)
        elif name in ("quick_gelu", "gelu", "swish"):
            yield close(name, activation(name)(recorded["act_in"]), tensor, absolute=ABSOLUTE)
    if "adam" in config:
        yield from _adam(config["adam"], recorded)
    for index, record in enumerate(config.get("lr_schedule", [])):
        yield from _schedule(f"lr_schedule[{index}]", record)


def _adam(recorded: dict[str, Any], tensors: dict[str, Tensor]) -> Iterator[Check]:
    config = OptimizerConfig(
        learning_rate=recorded["lr"],
        beta1=recorded["betas"][0],
        beta2=recorded["betas"][1],
        epsilon=recorded["eps"],
        weight_decay=recorded["weight_decay"],
        clip_norm=recorded["clip"],
    )
    parameter = torch.nn.Parameter(tensors["adam.p0"].clone())
    optimizer = AdamW([parameter], config)
    for index, step in enumerate(recorded["steps"]):
        gradient = tensors[f"adam.grad{index}"]
        parameter.grad = gradient.clone()
        norm = clip_gradients([parameter], config)
        yield close(f"adam.norm{index}", norm, torch.tensor(step["grad_norm"]), relative=1e-6)
        yield close(f"adam.clipped{index}", parameter.grad, gradient / step["scale"], absolute=ABSOLUTE)
        optimizer.step()
        yield close(f"adam.p{index + 1}", parameter.detach(), tensors[f"adam.p{index + 1}"], absolute=ABSOLUTE)
    for key in recorded["state_keys"]:
        if f"adam.state.{key}" in tensors:
            found = optimizer.state[parameter][key]
            yield close(f"adam.state.{key}", found, tensors[f"adam.state.{key}"], absolute=ABSOLUTE)


def _schedule(name: str, record: dict[str, Any]) -> Iterator[Check]:
    original = record["h"]
    linear = original["lr_use_linear_decay"]
    schedule = LearningRateSchedule(
        scale=original["lr_scale"],
        warmup_steps=int(original["lr_warmup"]),
        decay="linear" if linear else "exponential",
        decay_factor=original["lr_gamma"],
        decay_steps=int(original["lr_decay"]),
        decay_start_step=original["lr_start_linear_decay"] if linear else 0,
    )
    yield equal(f"{name}.steps", len(record["steps"]), len(record["multiplier"]))
    found = torch.tensor([schedule.multiplier(step) for step in record["steps"]], dtype=torch.float64)
    expected = torch.tensor(record["multiplier"], dtype=torch.float64)
    yield close(f"{name}.multiplier", found, expected, absolute=MULTIPLIER)
