"""Which parameters Muon takes, and the optimisers of a recipe.

Muon orthogonalises the momentum of matrices inside a network. Tables, heads, norms and biases stay with Adam, as is
usual (facts 8.2).
"""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from jukebox.training.optim import AdamW, OptimizerConfig


class Muon(torch.optim.Muon):
    """PyTorch's, with the products of matrices on a processor in float32.

    There PyTorch's own take bfloat16, for which many processors have no instructions: a step of a small prior took
    six times as long as with these. State and settings are the same, so a run may go on with either. Source: the
    iteration, its coefficients and the scale of the update are PyTorch's (Jordan 2024; Liu et al. 2025 for the scale).
    """

    def __init__(self, matrices: Iterable[Parameter], config: OptimizerConfig) -> None:
        super().__init__(
            matrices,
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            momentum=config.momentum,
            adjust_lr_fn="match_rms_adamw",
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Update every matrix from its gradient; the loss when a closure computes it."""
        if any(p.device.type != "cpu" for group in self.param_groups for p in group["params"]):
            return super().step(closure)
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            decay, momentum = 1 - group["lr"] * group["weight_decay"], group["momentum"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(p.grad)
                kept = state["momentum_buffer"]
                kept.lerp_(p.grad, 1 - momentum)
                update = orthogonal(p.grad.lerp(kept, momentum), group["ns_coefficients"], group["ns_steps"])
                p.mul_(decay).add_(update, alpha=-0.2 * group["lr"] * math.sqrt(max(p.shape)))
        return loss


def orthogonal(matrix: Tensor, coefficients: tuple[float, float, float], steps: int) -> Tensor:
    """Nearly the orthogonal matrix next to one: singular values between some 0.7 and 1.2, by Newton and Schulz."""
    a, b, c = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    found = matrix.T if tall else matrix
    found = found / found.norm().clamp_min(1e-7)
    for _ in range(steps):
        square = found @ found.T
        found = a * found + (b * square + c * square @ square) @ found
    return found.T if tall else found


def optimizers(module: nn.Module, config: OptimizerConfig) -> list[torch.optim.Optimizer]:
    """The optimisers of all parameters that are trained: Adam, and Muon before it where the recipe asks for it."""
    trained = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    if config.name == "adamw":
        return [AdamW([p for _, p in trained], config)]
    inner = {id(p) for p in inner_matrices(module)}
    matrices = [p for _, p in trained if id(p) in inner]
    rest = [p for _, p in trained if id(p) not in inner]
    found: list[torch.optim.Optimizer] = []
    if matrices:
        found.append(Muon(matrices, config))
    return [*found, AdamW(rest, config)] if rest else found


def inner_matrices(module: nn.Module) -> Iterable[Tensor]:
    """Weights of linear layers, but for output heads: what turns hidden states into hidden states."""
    for name, part in module.named_modules():
        head = name.rpartition(".")[2] == "output" and not any(word in name for word in ("attention", "mlp"))
        if isinstance(part, nn.Linear) and not head:
            yield part.weight
