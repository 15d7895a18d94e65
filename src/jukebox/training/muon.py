"""Which parameters Muon takes, and the optimisers of a recipe.

Muon orthogonalises the momentum of matrices inside a network; PyTorch has it. Tables, heads, norms and biases stay
with Adam, as is usual (facts 8.2).
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from jukebox.training.optim import AdamW, OptimizerConfig

Named = tuple[str, Parameter]


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
        found.append(
            torch.optim.Muon(
                matrices,
                lr=config.learning_rate,
                weight_decay=config.weight_decay,
                momentum=config.momentum,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    return [*found, AdamW(rest, config)] if rest else found


def inner_matrices(module: nn.Module) -> Iterable[Tensor]:
    """Weights of linear layers, but for output heads: what turns hidden states into hidden states."""
    for name, part in module.named_modules():
        head = name.rpartition(".")[2] == "output" and not any(word in name for word in ("attention", "mlp"))
        if isinstance(part, nn.Linear) and not head:
            yield part.weight
