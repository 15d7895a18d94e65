"""What a card can do at most, and how long a step takes there at least: known before anything is loaded."""

import functools
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from jukebox.checkpoints.files import replacing
from jukebox.config import PriorConfig
from jukebox.errors import DataError
from jukebox.nn.unallocated import unallocated
from jukebox.prior.lyrics import TokenLayout
from jukebox.prior.patterns import of_layer
from jukebox.prior.prior import Prior
from jukebox.prior.runs import Runs


@dataclass(frozen=True, kw_only=True)
class CardLimits:
    """Of one kind of card.

    Args:
        copy_bytes: bytes per second that a large copy reads and writes.
        flops: multiplications and additions per second of large products in bfloat16.
        stage_s: of one stage in a chain of dependent ones, in a captured graph.
    """

    copy_bytes: float
    flops: float
    stage_s: float


PUBLISHED = {
    "H200": CardLimits(copy_bytes=4.3e12, flops=790e12, stage_s=1.3e-6),
    "H100": CardLimits(copy_bytes=3.0e12, flops=790e12, stage_s=1.3e-6),
    "A100": CardLimits(copy_bytes=1.7e12, flops=250e12, stage_s=1.3e-6),
    "4090": CardLimits(copy_bytes=0.93e12, flops=150e12, stage_s=1.3e-6),
    "T4": CardLimits(copy_bytes=0.26e12, flops=40e12, stage_s=1.3e-6),
}
"""What others have measured, by a part of the card's name. The cost of a stage is that of one large card."""


def read_limits(table: Path, card: str) -> tuple[CardLimits, str] | None:
    """The limits of a card and where they are from: the table that `bench/gpu.py --calibrate` writes, or `PUBLISHED`.

    Raises:
        DataError: there is a table, and it cannot be read.
    """
    if table.is_file():
        try:
            known = json.loads(table.read_text(encoding="utf-8"))
            if card in known:
                return CardLimits(**known[card]), "measured"
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{table} cannot be read ({error}); remove it, or calibrate again.") from error
    return next(((limits, "published") for name, limits in PUBLISHED.items() if name in card), None)


def write_limits(table: Path, card: str, limits: CardLimits) -> None:
    """Put the limits of a card into the table, beside those of others."""
    known = json.loads(table.read_text(encoding="utf-8")) if table.is_file() else {}
    table.parent.mkdir(parents=True, exist_ok=True)
    with replacing(table) as temporary:
        temporary.write_text(json.dumps(known | {card: asdict(limits)}, indent=1) + "\n", encoding="utf-8")


@functools.cache
def step_numbers(config: PriorConfig) -> int:
    """Numbers of the matrices that a step reads."""
    with unallocated():
        prior = Prior(config)
    matrices = sum(p.numel() for name, p in prior.named_parameters() if name.startswith("transformer") and p.ndim == 2)
    return matrices + prior.layout.vocabulary * config.transformer.width


def step_bytes(config: PriorConfig, slots: int, bits: int, cache_bits: int) -> float:
    """What a step has to read on the average over a window: every matrix once, and of every slot what it sees.

    Args:
        config: of the prior.
        slots: windows that are written at once.
        bits: of the transformer's matrices; the last product is in 16, or in 32 as they are.
        cache_bits: of keys and values.
    """
    transformer, layout = config.transformer, TokenLayout.of(config)
    head = layout.vocabulary * transformer.width
    # Steps: those of 8 bits are few, one for each output; in 4 there are two of 16 bits for each 128 inputs.
    stored = (step_numbers(config) - head) * (bits / 8 + (4 / 128 if bits == 4 else 0)) + max(16, bits) / 8 * head
    positions, seen = torch.arange(transformer.context), 0.0
    for letters in transformer.layers:
        if letters == "X":
            assert config.lyrics is not None
            seen += config.lyrics.tokens
        else:
            for pattern in of_layer(letters, transformer, layout.prefix):
                seen += float(Runs.of(pattern, transformer.context).count(positions).float().mean())
    return stored + slots * seen * 2 * transformer.attention_width * cache_bits / 8


def step_limit(limits: CardLimits, config: PriorConfig, slots: int, bits: int, cache_bits: int) -> tuple[float, float]:
    """Seconds of a step: the larger of memory and arithmetic alone; and with what its dependent stages cost."""
    read = step_bytes(config, slots, bits, cache_bits) / limits.copy_bytes
    least = max(read, 2.0 * step_numbers(config) * slots / limits.flops)
    return least, least + (5 * config.transformer.depth + 3) * limits.stage_s
