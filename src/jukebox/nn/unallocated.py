"""Building modules for their names and shapes alone: no memory, no initialisation."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class _WithoutInitialisation(TorchFunctionMode):
    """Leaves out `torch.nn.init`: on the meta device it changes nothing, but its first call takes seconds."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else None
        return func(*args, **(kwargs or {}))


@contextmanager
def unallocated(device: str = "meta") -> Iterator[None]:
    """Modules built inside are on the meta device; give them tensors with `load_state_dict(..., assign=True)`.

    In a mode of fake tensors another device costs as little.
    """
    with torch.device(device), _WithoutInitialisation():
        yield
