"""Queries and keys of one new position of many windows, normalised and turned by its position, for processors."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from jukebox.config import TransformerConfig
from jukebox.prior.attention import SelfAttention, turns

Turn = tuple[Any, Any]
"""What the halves of the heads are multiplied by at one step, and what the other halves are, for NumPy."""

Turns = tuple[Float[Tensor, "steps items 1 1 2 half"], Float[Tensor, "steps items 1 1 2 half"]]


def all_turns(config: TransformerConfig) -> tuple[Float[Tensor, "context 1 1 2 half"], ...]:
    """What the halves of a head are multiplied by at every position, and what the other halves are."""
    cosine, sine = turns(torch.arange(config.context), config.head_width)
    return torch.stack([cosine, cosine], 1)[:, None, None], torch.stack([-sine, sine], 1)[:, None, None]


class Turned:
    """What one layer does with its queries and keys before they meet; by NumPy, whose calls are shorter than PyTorch's.

    Args:
        attention: of the layer.
    """

    def __init__(self, attention: SelfAttention) -> None:
        self._heads, self._width = attention.heads, attention.head_width
        self._weights, self._epsilon = None, 0.0
        if attention.query_norm is not None and attention.key_norm is not None:
            weights = torch.stack([attention.query_norm.weight.detach(), attention.key_norm.weight.detach()])
            self._weights, self._epsilon = weights.view(2, 1, 2, -1), float(attention.query_norm.eps or 0.0)

    def bind(self, items: int, projected: Float[Tensor, "rows queries_keys_values"]) -> None:
        """Look at the rows of so many items."""
        inner, width = self._heads * self._width, self._width
        strides = (3 * inner, inner, width, width // 2, 1)
        both = projected.as_strided((items, 2, self._heads, 2, width // 2), strides)
        self._both = both.numpy()
        self._other = np.empty_like(self._both)

    def plan(self, turns: Turns | None, steps: int) -> Sequence[Turn | None]:
        """What each of some steps multiplies by; None where heads do not turn.

        Args:
            turns: those of the positions alone.
            steps: how many.
        """
        if turns is None:
            return [None] * steps
        own, other = turns
        if self._weights is not None:
            own, other = own * self._weights, other * self._weights.flip(-2)
        return list(zip(own.numpy(), other.numpy(), strict=True))

    def __call__(self, turn: Turn | None) -> None:
        """Do it in place."""
        both, other = self._both, self._other
        if self._weights is not None:
            squares = np.einsum("...i,...i->...", both, both).sum(-1)
            both *= (1.0 / np.sqrt(squares / np.float32(self._width) + np.float32(self._epsilon)))[..., None, None]
            if turn is None:
                both *= self._weights.numpy()
        if turn is not None:
            np.multiply(both[..., ::-1, :], turn[1], out=other)
            both *= turn[0]
            both += other
