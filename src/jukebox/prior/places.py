"""Where a step reads and writes, for many steps at once: everything that follows from positions alone.

Caches are [runs, kinds, items, heads, slots, head width], kinds being keys and values. A run is what one position looks
at; where all windows are at the same position, as they mostly are, theirs lie side by side and are read in one sweep.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from jukebox.prior.cache import Columns, Ends, Layout, Ring, layout
from jukebox.prior.patterns import Pattern, PreviousRow
from jukebox.prior.runs import Runs

Positions = Int64[Tensor, "steps items"]


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where a pattern writes and reads, by step.

    Args:
        write: the run and the slot in it of the new keys and values where they are the same for all items; else their
            places, counted through all dimensions of the cache but the last.
        read: the run that is looked at where it is the same for all items; else which, by kind, item and head, counted
            through all dimensions but the last two.
        mask: added to the logits.
        blind: items that see nothing; None where all see something.
    """

    write: Sequence[tuple[int, int] | Int64[Tensor, "items kinds heads"]]
    read: Sequence[int | Int64[Tensor, " kinds_items_heads"]]
    mask: Sequence[Float[Tensor, "items_heads 1 keys"]]
    blind: Sequence[Bool[Tensor, "items 1"] | None]


def runs_of(pattern: Pattern, context: int) -> tuple[int, int, int]:
    """How many runs a pattern's cache has, slots of each, and how many of them are looked at."""
    rule = Runs.of(pattern, context)
    if rule.kind in ("previous", "column"):
        runs = 2 if rule.kind == "previous" else rule.length
        return runs, rule.capacity // runs, rule.capacity // runs
    return 1, rule.slots, rule.empty + rule.capacity


def places_of(pattern: Pattern, context: int, positions: Positions, cache: Tensor) -> Places:
    """The places of a pattern for the first items of a cache.

    Args:
        pattern: of the cache.
        context: positions of a window.
        positions: of each item, by step.
        cache: [runs, kinds, items, heads, slots, head width], of as many items or more.
    """
    heads, items, slots = cache.shape[3], positions.shape[1], cache.shape[4]
    rule = Runs.of(pattern, context)
    # [kinds, items, heads], of the first run.
    one = cache[0, ..., 0, 0].numel()
    lines = torch.arange(one).view(cache.shape[1:4])[:, :items]
    written, read = rule.write(positions), rule.first(positions) // slots
    places = lines.transpose(0, 1) + (written // slots * one)[..., None, None]
    places = places * slots + (written % slots)[..., None, None]
    write: list[tuple[int, int] | Tensor] = [
        divmod(row[0], slots) if len(set(row)) == 1 else mixed
        for row, mixed in zip(written.tolist(), places.unbind(), strict=True)
    ]
    runs = (lines + (read * one)[:, None, :, None]).flatten(1).unbind()
    looked = [row[0] if len(set(row)) == 1 else mixed for row, mixed in zip(read.tolist(), runs, strict=True)]
    keys = _looked_at(pattern, layout(pattern, context), positions)
    queries = positions[..., None]
    visible = F.pad(pattern.sees(queries, keys) & (keys >= 0), (pattern.empty_keys, 0), value=True)
    blind = queries < pattern.blind
    # Softmax needs something to look at; what it finds is thrown away.
    visible = (visible | blind)[:, :, None].expand(-1, -1, heads, -1).flatten(1, 2)
    mask = torch.zeros(visible.shape).masked_fill_(~visible, -torch.inf)[:, :, None]
    some = blind.any(1).flatten().tolist()
    return Places(
        write=write,
        read=looked,
        mask=mask.unbind(),
        blind=[each if there else None for each, there in zip(blind.unbind(), some, strict=True)],
    )


def _looked_at(pattern: Pattern, kept: Layout, positions: Positions) -> Int64[Tensor, "#steps #items keys"]:
    """The positions of the keys that are looked at."""
    if isinstance(kept, Columns):
        return (positions % kept.stride)[..., None] + torch.arange(kept.rows) * kept.stride
    if isinstance(pattern, PreviousRow):
        row = positions // pattern.length - 1
        return (row * pattern.length)[..., None] + torch.arange(pattern.length)
    if isinstance(kept, Ring):
        return kept.position(torch.arange(kept.capacity), positions[..., None])
    assert isinstance(kept, Ends)
    # All of them wherever the items are: another number would round otherwise.
    return kept.position(torch.arange(kept.capacity))[None, None]
