"""What torch.compile does in a run: it fuses the units of a model for their gradient, and for nothing else."""

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from jukebox.errors import ConfigError
from jukebox.training.recipe import RunConfig

# Units share their code: each letter, width and shape of theirs is a variant of it. Beyond so many PyTorch gives up.
_MOST_VARIANTS = 64


def compile_units(units: Sequence[nn.Module]) -> None:
    """Let torch.compile fuse each unit, when it is first used; parts that look alike are compiled once."""
    import torch._dynamo.config as compiler

    compiler.recompile_limit = max(compiler.recompile_limit, _MOST_VARIANTS)
    for unit in units:
        # Shapes are constant in training; if some were left open, what is compiled would depend on the order of units.
        unit.compile(dynamic=False)


def check_compiler(run: RunConfig, device: torch.device) -> None:
    """Find out whether torch.compile works where a recipe asks for it, by compiling a few operations.

    Raises:
        ConfigError: it does not, as without a C++ compiler.
    """
    if not run.compile:
        return
    try:
        torch.compile(_few_operations)(torch.ones(2, 8, device=device))
    except (RuntimeError, ImportError, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ConfigError(
            f"RunConfig.compile is true, and torch.compile does not work here ({reason}); install a C++ compiler such "
            "as g++, or leave compile out."
        ) from error


def _few_operations(x: Tensor) -> Tensor:
    return (x.sin() + 1).sum(1)


@contextlib.contextmanager
def plainly(run: RunConfig) -> Iterator[None]:
    """Inside, nothing is compiled: for what is computed now and then, without gradients, in other shapes."""
    if not run.compile:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
