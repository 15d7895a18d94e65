"""What a step needs at least, by the sizes of the released priors."""

from pathlib import Path

import pytest

from jukebox import presets
from jukebox.errors import DataError
from jukebox.sampling.limits import (
    PUBLISHED,
    CardLimits,
    read_limits,
    step_bytes,
    step_limit,
    step_numbers,
    write_limits,
)


def test_an_upsampler() -> None:
    """801 million numbers and 7.4 MB of keys and values a step, computed from the hyper-parameters elsewhere."""
    config = presets.part_config("5b/prior_level_0")
    assert isinstance(config, presets.PriorConfig)
    assert step_numbers(config) == pytest.approx(801e6, rel=0.002)
    one, two = (step_bytes(config, slots, 16, 16) for slots in (1, 2))
    assert two - one == pytest.approx(7.4e6, rel=0.02)
    assert one == pytest.approx(2 * step_numbers(config) + 7.4e6, rel=0.001)
    least, expected = step_limit(PUBLISHED["H200"], config, 1, 16, 16)
    assert least == pytest.approx(0.374e-3, rel=0.01)
    assert expected - least == pytest.approx(363 * 1.3e-6)
    many, _ = step_limit(PUBLISHED["H200"], config, 4096, 8, 8)
    assert many == pytest.approx(2 * step_numbers(config) * 4096 / 790e12)


def test_a_table_of_cards(tmp_path: Path) -> None:
    table, card = tmp_path / "new" / "limits.json", "NVIDIA H200"
    assert read_limits(table, card) == (PUBLISHED["H200"], "published")
    assert read_limits(table, "another") is None
    mine = CardLimits(copy_bytes=4e12, flops=7e14, stage_s=1e-6)
    write_limits(table, card, mine)
    write_limits(table, "another", mine)
    assert read_limits(table, card) == read_limits(table, "another") == (mine, "measured")
    table.write_text("{")
    with pytest.raises(DataError, match="calibrate again"):
        read_limits(table, card)
