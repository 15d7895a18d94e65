"""Layouts: everything a query may see is kept, in its own slot, and not more than that needs."""

from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jukebox.config import TransformerConfig
from jukebox.prior.cache import Columns, Ends, Ring, TransformerState, empty_cache, layout
from jukebox.prior.patterns import of_layer
from tests.prior.reference import sizes, visible


@settings(max_examples=60, deadline=None)
@given(sizes(tuple("RCPDLWSFET")), st.integers(0, 20))
def test_visible_keys_are_in_their_slots(fields: dict[str, Any], prefix: int) -> None:
    config = TransformerConfig(**fields)
    (pattern,) = of_layer(config.attention, config, prefix)
    kept = layout(pattern, config.context)
    slots: dict[int, int] = {}
    for query in range(config.context):
        if kept.keeps(query):
            assert 0 <= kept.slot(query) < kept.capacity
            slots[kept.slot(query)] = query
        for key in visible((pattern,), query, config.context):
            assert slots[kept.slot(key)] == key
        for slot, position in slots.items():
            if isinstance(kept, Ring):
                assert kept.position(slot, query) == position
            else:
                assert isinstance(kept, Columns | Ends)
                assert kept.position(slot) == position


def test_capacities_of_the_released_shape() -> None:
    """Facts: the layouts of a row of 64 in a window of 8192, beside 8192 for what the original keeps."""
    config = TransformerConfig(
        context=8192, width=8, attention="RPCDWSFET", heads=1, rows=128, tail=2, window=100, stride=8
    )
    patterns = [of_layer(letter, config, 0)[0] for letter in config.layers]
    assert [layout(p, 8192).capacity for p in patterns] == [64, 128, 8192, 8192, 100, 8192, 256, 127, 254]


def test_a_column_is_contiguous() -> None:
    config = TransformerConfig(context=12, width=8, attention="C", heads=1, rows=3)
    kept = layout(of_layer("C", config, 0)[0], 12)
    assert [kept.slot(position) for position in (1, 5, 9)] == [3, 4, 5]


def test_positions_are_the_same_for_tensors() -> None:
    config = TransformerConfig(context=24, width=8, attention="PCF", heads=1, rows=4, tail=2)
    for letter in config.layers:
        kept = layout(of_layer(letter, config, 0)[0], 24)
        positions = torch.arange(24)
        assert kept.slot(positions).tolist() == [kept.slot(p) for p in range(24)]
        assert kept.keeps(positions).tolist() == [kept.keeps(p) for p in range(24)]


def state(batch: int) -> TransformerState:
    config = TransformerConfig(context=12, width=8, attention="R", heads=1, rows=3)
    cache = empty_cache(of_layer("R", config, 0)[0], 12, torch.zeros(batch, 2, 1, 2))
    return TransformerState(positions=torch.zeros(batch, dtype=torch.int64), furthest=0, caches=((cache,),))


def test_items_share_memory() -> None:
    whole = state(3)
    whole.items(1, 2).caches[0][0].fill_(1.0)
    assert whole.caches[0][0].sum((1, 2, 3, 4)).tolist() == [0.0, 16.0, 0.0]


def test_moving_and_advancing_leave_the_state_alone() -> None:
    whole = state(3)
    moved = whole.at([4, 0, 7]).advanced(2)
    assert (moved.positions.tolist(), moved.furthest) == ([6, 2, 9], 9)
    assert (whole.positions.tolist(), whole.furthest) == ([0, 0, 0], 0)
    assert moved.caches[0][0] is whole.caches[0][0]
