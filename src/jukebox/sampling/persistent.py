"""Steps of a prior whose layers are one kernel: for few rows, where what lies between kernels costs more than reading.

The input, the logits and the token that comes out are kernels of their own, as in `fused`.
"""

from typing import Any, cast

import torch
from torch import Tensor

from jukebox.config import PriorConfig
from jukebox.errors import ConfigError
from jukebox.prior.prior import Prior
from jukebox.sampling.engine import NoiseSource
from jukebox.sampling.fused import FusedStepper, unsupported
from jukebox.sampling.kernels.attend import MOST_SPLITS
from jukebox.sampling.kernels.attention import Parts
from jukebox.sampling.kernels.layers import MOST_ROWS, Buffers, LayerPlan, Layers, Shares, shares
from jukebox.sampling.noise import gumbel

__all__ = ["MOST_ROWS", "PersistentStepper", "unsupported_at_once"]

# Where there is no card to ask: in the interpreter, whose programs run one after the other.
_PROGRAMS = 4


class PersistentStepper(FusedStepper):
    """Steps of a prior with one kernel for all layers; caches are in the prior's own type.

    Args:
        prior: in evaluation mode, with matrices of any precision; the stepper's from now on.
        slots: how many windows are written at once.
        noise: what is added to logits; see `FusedStepper`.
        rows: of a step for each window; `MOST_ROWS` at most for all slots.
        programs: that share every stage; None for as many on each multiprocessor of the card as `divide` says. More
            than have room at once would wait for each other for ever: the card refuses to begin.
        divide: how each computes its share; None for a rule.

    Raises:
        ConfigError: the prior has something that this kernel does not compute; see `unsupported_at_once`.
    """

    def __init__(
        self,
        prior: Prior,
        slots: int,
        noise: NoiseSource = gumbel,
        *,
        rows: int = 1,
        programs: int | None = None,
        divide: Shares | None = None,
    ) -> None:
        reason = unsupported_at_once(prior.config)
        if reason is not None:
            raise ConfigError(f"One kernel for all layers does not compute {reason}; use the fused engine.")
        super().__init__(prior, slots, noise, rows=rows)
        device, config, blocks = self._x.device, self._config, self._blocks
        divide = divide or shares(len(self._x), blocks[0].first.bits)
        if programs is None and device.type == "cuda":
            programs = divide.programs * torch.cuda.get_device_properties(device).multi_processor_count
        plans = [
            LayerPlan(
                matrices=(block.first, block.projection, block.inner, block.outer),
                norms=(block.norm["gain"], block.norm["shift"], block.mlp_norm["gain"], block.mlp_norm["shift"]),
                cache=block.cache,
                rule=block.rule,
                splits=block.splits,
            )
            for block in blocks
        ]
        buffers = Buffers(
            x=self._x, y=self._y, hidden=self._hidden, queries=self._queries, attended=self._attended,
            parts=Parts.empty(len(self._x), config.heads, MOST_SPLITS.value, config.head_width, device),
        )  # fmt: skip
        eps, scale = cast(float, blocks[0].norm["EPS"]), blocks[0].scale
        self.layers = Layers(plans, buffers, config.heads, self._kind, eps, scale, programs or _PROGRAMS, divide)

    def with_rows(self, rows: int) -> FusedStepper:
        """The same with so many rows for each window, or a `FusedStepper` where they are too many together."""
        del self._state, self._blocks, self.layers  # room for the next
        kind: Any = PersistentStepper if rows * self._slots <= MOST_ROWS else FusedStepper
        return kind(self._prior, self._slots, self._noise, rows=rows)

    def _run_layers(self, positions: Tensor) -> None:
        self.layers.run(positions)


def unsupported_at_once(config: PriorConfig) -> str | None:
    """What of a prior one kernel for all layers does not compute, in words; None where it computes all of it."""
    transformer = config.transformer
    if transformer.query_key_norm or transformer.position == "rotary":
        return "queries and keys that are normalised or turned"
    return unsupported(config)
