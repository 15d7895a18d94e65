"""What is kept where follows from sizes alone."""

from dataclasses import replace

import pytest
import torch

from jukebox import presets
from jukebox.errors import DeviceError
from jukebox.labels.labels import Labels
from jukebox.pipeline import load
from jukebox.sampling.estimate import plan_needs
from jukebox.sampling.placement import Need, need, places

GB = 1 << 30


def test_sizes_are_those_of_the_hyper_parameters() -> None:
    """Four layers of 1b_lyrics in all precisions, in bytes."""
    config = presets.part_config("1b_lyrics/prior_level_2")
    assert isinstance(config, presets.PriorConfig)
    config = replace(config, transformer=replace(config.transformer, attention="RCPL"))
    width, inner, context = 2048, 512, 6528
    numbers, outputs = 4 * (4 * inner * width + 2 * width * width), 4 * (3 * inner + 3 * width)
    whole = need(config, 1, torch.bfloat16, None)
    norms = 2 * 4 * 4 * width
    assert whole.matrices == 2 * (numbers + outputs) + norms
    assert whole.largest == 2 * (width + 1) * width
    # A byte for each number and a scale in float32 for each output; half a byte, and two of 16 bits for each 128.
    assert need(config, 1, torch.bfloat16, 8).matrices == numbers + (2 + 4) * outputs + norms
    assert need(config, 1, torch.bfloat16, 4).matrices == numbers / 2 + numbers / 32 + 2 * outputs + norms
    assert need(config, 1, torch.float32, 16).matrices == 2 * numbers + 4 * outputs + 2 * norms  # stored, not widened
    # Of a row, all columns, two rows, the prefix and a slot that nobody reads; then a start, and one at each position.
    slots, conditions = 102 + context + 204 + 448 + 1, 2 * width * (1 + context)
    assert whole.state == slots * 2 * inner * 2 + conditions
    assert need(config, 3, torch.bfloat16, None, 8).state == 3 * (slots * 2 * (inner + 2 * 4) + conditions)


def test_what_has_room_stays() -> None:
    needs = {
        0: Need(weights=2 * GB, matrices=2 * GB, largest=GB // 64, state=GB),
        2: Need(weights=11 * GB, matrices=10 * GB, largest=GB // 32, state=2 * GB),
    }
    assert places(needs, 17 * GB) == {0: "device", 2: "device"}
    assert places(needs, 15 * GB) == {0: "host", 2: "host"}
    assert places(needs, 8 * GB) == {0: "host", 2: "streamed"}
    with pytest.raises(DeviceError, match=r"level 2 .* 4\.36 GB .* 4\.29 GB are free"):
        places(needs, 4 * GB)


def test_guided_windows_take_twice_the_room_of_caches_and_may_move_a_prior() -> None:
    jukebox = load(presets.TINY_RANDOM, "cpu")
    plan = jukebox.plan(jukebox.request(Labels(), seconds=1.0, takes=3))
    guided = replace(plan, levels=tuple(replace(p, sampling=replace(p.sampling, guidance=2.0)) for p in plan.levels))
    once, twice = (plan_needs(each, 4, jukebox.need) for each in (plan, guided))
    assert set(once) == {0, 1, 2}
    for level, found in twice.items():
        assert (found.weights, found.state) == (once[level].weights, 2 * once[level].state)
    room = GB + max(each.weights + each.state for each in twice.values())
    assert set(places(once, room).values()) == {"device"}
    assert set(places(twice, room).values()) == {"host"}
