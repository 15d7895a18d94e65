"""The run of slots that a position reads holds exactly the keys that its pattern sees; for every position."""

import pytest
import torch

from jukebox.config import TransformerConfig
from jukebox.prior.patterns import Tails, of_layer
from jukebox.prior.runs import Runs

CONFIG = TransformerConfig(
    context=42, width=4, attention="RCPDLWSFET", heads=1, rows=6, tail=2, window=9, stride=5, attention_ratio=1.0
)


@pytest.mark.parametrize("letter", CONFIG.layers)
def test_runs_hold_what_is_seen(letter: str) -> None:
    """A cache of positions: each writes its own number into its slot, then looks at what its run holds."""
    (pattern,) = of_layer(letter, CONFIG, prefix=8)
    runs = Runs.of(pattern, CONFIG.context)
    cache = [-1] * runs.slots
    for position in range(CONFIG.context):
        cache[runs.write(position)] = position
        first, count = runs.first(position), runs.count(position)
        held = cache[first : first + count]
        assert len(held) == count
        assert held[: runs.empty] == [-1] * runs.empty
        seen = [key for key in range(CONFIG.context) if pattern.sees(position, key)]
        assert sorted(held[runs.empty :]) == seen, (position, held)
        assert (count == 0) == (position < pattern.blind)
    assert runs.empty == (pattern.empty_keys if isinstance(pattern, Tails) else 0)


@pytest.mark.parametrize("letter", CONFIG.layers)
def test_tensors_of_positions_have_the_same_runs(letter: str) -> None:
    (pattern,) = of_layer(letter, CONFIG, prefix=8)
    runs, positions = Runs.of(pattern, CONFIG.context), torch.arange(CONFIG.context)
    for rule in (runs.write, runs.first, runs.count):
        assert rule(positions).tolist() == [int(rule(p)) for p in range(CONFIG.context)]
