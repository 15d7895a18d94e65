import json

import pytest

from jukebox.checkpoints import orders
from jukebox.errors import CheckpointError
from tests.checkpoints.cases import GOLDEN

KINDS = "DRCPETXL"


def test_every_order_is_the_recorded_one():
    recorded = json.loads((GOLDEN / "manifest" / "attn_orders.json").read_text())
    assert len(recorded) == len(orders.ORDERS)
    for number, order in recorded.items():
        kinds = "".join(KINDS[kind] for kind in order["pattern_160"])
        assert orders.letters(int(number), len(kinds)) == kinds


@pytest.mark.parametrize("number", range(13))
@pytest.mark.parametrize("depth", [1, 5, 47, 48, 79, 100])
def test_the_way_back_gives_the_same_letters(number, depth):
    attention = orders.letters(number, depth)
    assert orders.letters(orders.order(attention), depth) == attention


def test_unknown_orders_and_patterns_are_refused():
    with pytest.raises(CheckpointError, match="order 13"):
        orders.letters(13, 4)
    with pytest.raises(CheckpointError, match="'PCR' is none"):
        orders.order("PCR")
