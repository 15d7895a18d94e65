"""Where a step reads and writes, for many steps at once: everything that follows from positions alone.

Caches are [runs, kinds, items, heads, slots, head width], kinds being keys and values. A run is what one position looks
at; where all windows are at the same position, as they mostly are, theirs lie side by side and are read in one sweep.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from jukebox.prior.cache import Columns, Ends, Layout, Ring, layout
from jukebox.prior.patterns import Pattern, PreviousRow
from jukebox.prior.runs import Runs

Positions = Int64[Tensor, "steps items"]


class Place(NamedTuple):
    """Where all items write and read at one step, and what they see of it, by one pattern.

    Args:
        write: the run and the slot in it of the new keys and values where they are the same for all items; else their
            places, counted through all dimensions of the cache but the last.
        read: the run that is looked at where it is the same for all items; else which, by kind, item and head, counted
            through all dimensions but the last two.
        reach: how many slots of a run are looked at; 0 where no item sees anything.
        mask: added to the logits of so many; of one item where it is the same for all, None where all is seen.
        blind: items that see nothing; None where all see something.
    """

    write: tuple[int, int] | Int64[Tensor, "items kinds heads"]
    read: int | Int64[Tensor, " kinds_items_heads"]
    reach: int
    mask: Float[Tensor, "#items 1 1 keys"] | None
    blind: Bool[Tensor, "#items 1"] | None


def runs_of(pattern: Pattern, context: int) -> tuple[int, int, int]:
    """How many runs a pattern's cache has, slots of each, and how many of them are looked at."""
    rule = Runs.of(pattern, context)
    if rule.kind in ("previous", "column"):
        runs = 2 if rule.kind == "previous" else rule.length
        return runs, rule.capacity // runs, rule.capacity // runs
    return 1, rule.slots, rule.empty + rule.capacity


def places_of(pattern: Pattern, context: int, positions: Positions, cache: Tensor, *, piece: int | None) -> list[Place]:
    """The places of a pattern for the first items of a cache, by step.

    Args:
        pattern: of the cache.
        context: positions of a window.
        positions: of each item, by step.
        cache: [runs, kinds, items, heads, slots, head width], of as many items or more.
        piece: runs are read from their beginning in pieces of so many slots; None for whole ones.
    """
    rule, slots = Runs.of(pattern, context), cache.shape[4]
    together = bool((positions == positions[:, :1]).all())
    if together:
        positions = positions[:, :1]
    written, read = rule.write(positions), rule.first(positions) // slots
    keys = _looked_at(pattern, layout(pattern, context), positions)
    queries = positions[..., None]
    visible = F.pad(pattern.sees(queries, keys) & (keys >= 0), (pattern.empty_keys, 0), value=True)
    blind = queries < pattern.blind
    # Softmax needs something to look at; what it finds is thrown away.
    visible[..., :1] |= blind
    whole = visible.shape[-1]
    if piece is None:
        reach = torch.full((len(positions),), whole)
    else:
        last = (visible * torch.arange(1, whole + 1)).amax((1, 2))
        reach = (-(-last // piece) * piece).clamp_max(whole)
    reach = reach.masked_fill(blind.all(1).flatten(), 0).tolist()
    masks = torch.zeros(visible.shape).masked_fill_(~visible, -torch.inf)[:, :, None, None].unbind()
    masked, some = (~visible.all(2).all(1)).tolist(), blind.any(1).flatten().tolist()
    write = [divmod(at, slots) for at in written.flatten().tolist()] if together else _mixed_writes(written, cache)
    return [
        Place(
            write=write[step],
            read=looked,
            reach=reach[step],
            mask=masks[step][..., : reach[step]] if masked[step] else None,
            blind=blind[step] if some[step] else None,
        )
        for step, looked in enumerate(read.flatten().tolist() if together else _mixed_reads(read, cache))
    ]


def _mixed_writes(written: Positions, cache: Tensor) -> list[Int64[Tensor, "items kinds heads"]]:
    """Places of slots, counted through a cache, of items at different positions."""
    lines, slots = _lines(cache, written.shape[1]), cache.shape[4]
    places = lines.transpose(0, 1) + (written // slots * cache[0, ..., 0, 0].numel())[..., None, None]
    return list((places * slots + (written % slots)[..., None, None]).unbind())


def _mixed_reads(read: Positions, cache: Tensor) -> list[int | Int64[Tensor, " kinds_items_heads"]]:
    """Runs, counted through a cache, of items at different positions, which may yet look at the same."""
    runs = (_lines(cache, read.shape[1]) + (read * cache[0, ..., 0, 0].numel())[:, None, :, None]).flatten(1).unbind()
    return [row[0] if len(set(row)) == 1 else mixed for row, mixed in zip(read.tolist(), runs, strict=True)]


def _lines(cache: Tensor, items: int) -> Int64[Tensor, "kinds items heads"]:
    """The numbers of the first items' lines of slots in a run."""
    return torch.arange(cache[0, ..., 0, 0].numel()).view(cache.shape[1:4])[:, :items]


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
