"""Other modules in the place of some."""

from collections.abc import Callable
from typing import TypeVar

from torch import nn

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def replace_each(module: nn.Module, kind: type[AnyModule], make: Callable[[AnyModule], nn.Module]) -> None:
    """Replace every module of a kind below `module` by what `make` makes of it; each that was replaced is let go."""
    for name, child in list(module.named_children()):
        if isinstance(child, kind):
            setattr(module, name, make(child))
        else:
            replace_each(child, kind, make)
