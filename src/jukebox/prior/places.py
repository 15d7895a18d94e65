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

from jukebox.prior.cache import Columns, Ends, Layout, Ring, layout
from jukebox.prior.patterns import Pattern, PreviousRow
from jukebox.prior.runs import Runs

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
    heads, items, rule = cache.shape[2], positions.shape[1], Runs.of(pattern, context)
    # [kinds, items, heads]: the number of each run of all slots.
    runs = torch.arange(cache[..., 0, 0].numel()).view(cache.shape[:3])[:, :items]
    write = runs.transpose(0, 1) * rule.slots + rule.write(positions)[..., None, None]
    keys = _looked_at(pattern, layout(pattern, context), positions)
    count = pattern.empty_keys + keys.shape[-1]
    read: list[int | Tensor] = [0] * len(positions)
    if rule.kind in ("previous", "column"):
        first = rule.first(positions)
        each = (runs * (rule.capacity // count) + first[:, None, :, None] // count).flatten(1).unbind()
        same, begins = (first == first[:, :1]).all(1).tolist(), first[:, 0].tolist()
        read = [begin if alike else mixed for begin, alike, mixed in zip(begins, same, each, strict=True)]
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
