"""Where a step reads and writes, for many steps at once: everything that follows from positions alone.

Caches are [kinds, items, heads, slots, head width], kinds being keys and values; places in them are counted through
all of their dimensions but the last.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from jukebox.prior.cache import Columns, Ends, Layout, Ring, layout, slots_of
from jukebox.prior.patterns import Pattern, PreviousRow

Positions = Int64[Tensor, "steps items"]


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where a pattern writes and reads, by step.

    Args:
        write: slots of the new keys and values.
        count: how many slots of each item are looked at.
        read: the first of them where it is the same for all items; else which runs of so many, by kind, item and head.
        mask: added to the logits.
        blind: items that see nothing; None where all see something.
    """

    write: Sequence[Int64[Tensor, "items kinds heads"]]
    count: int
    read: Sequence[int | Int64[Tensor, " kinds_items_heads"]]
    mask: Sequence[Float[Tensor, "items_heads 1 keys"]]
    blind: Sequence[Bool[Tensor, "items 1"] | None]


def places_of(pattern: Pattern, context: int, positions: Positions, cache: Tensor) -> Places:
    """The places of a pattern for the first items of a cache.

    Args:
        pattern: of the cache.
        context: positions of a window.
        positions: of each item, by step.
        cache: [kinds, items, heads, slots, head width], of as many items or more.
    """
    kept, heads, items = layout(pattern, context), cache.shape[2], positions.shape[1]
    # [kinds, items, heads]: the number of each run of all slots.
    runs = torch.arange(cache[..., 0, 0].numel()).view(cache.shape[:3])[:, :items]
    slots = _slot(pattern, kept, positions)
    write = runs.transpose(0, 1) * slots_of(pattern, context) + slots[..., None, None]
    keys, groups, group = _looked_at(pattern, kept, positions)
    count = pattern.empty_keys + keys.shape[-1]
    read: list[int | Tensor] = [0] * len(positions)
    if groups > 1:
        each = (runs * groups + group[:, None, :, None]).flatten(1).unbind()
        same, first = (group == group[:, :1]).all(1).tolist(), (group[:, 0] * count).tolist()
        read = [begin if alike else mixed for begin, alike, mixed in zip(first, same, each, strict=True)]
    queries = positions[..., None]
    visible = F.pad(pattern.sees(queries, keys) & (keys >= 0), (pattern.empty_keys, 0), value=True)
    blind = queries < pattern.blind
    # Softmax needs something to look at; what it finds is thrown away.
    visible = (visible | blind)[:, :, None].expand(-1, -1, heads, -1).flatten(1, 2)
    mask = torch.zeros(visible.shape).masked_fill_(~visible, -torch.inf)[:, :, None]
    some = blind.any(1).flatten().tolist()
    return Places(
        write=write.unbind(),
        count=count,
        read=read,
        mask=mask.unbind(),
        blind=[each if there else None for each, there in zip(blind.unbind(), some, strict=True)],
    )


def _slot(pattern: Pattern, kept: Layout, positions: Positions) -> Positions:
    """The slot of each position; of one that is not kept the last, which nobody reads."""
    if isinstance(kept, Ends):
        inside = torch.where(kept.keeps(positions), kept.slot(positions), kept.capacity)
        return pattern.empty_keys + inside
    return kept.slot(positions)


def _looked_at(
    pattern: Pattern, kept: Layout, positions: Positions
) -> tuple[Int64[Tensor, "#steps #items keys"], int, Positions]:
    """The positions of the keys that are looked at, how many runs of slots there are, and which run holds them."""
    if isinstance(kept, Columns):
        column = positions % kept.stride
        return column[..., None] + torch.arange(kept.rows) * kept.stride, kept.stride, column
    if isinstance(pattern, PreviousRow):
        row = positions // pattern.length - 1
        return (row * pattern.length)[..., None] + torch.arange(pattern.length), 2, row % 2
    if isinstance(kept, Ring):
        return kept.position(torch.arange(kept.capacity), positions[..., None]), 1, positions
    assert isinstance(kept, Ends)
    # All of them wherever the items are: another number would round otherwise.
    return kept.position(torch.arange(kept.capacity))[None, None], 1, positions
