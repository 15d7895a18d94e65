"""Usage, entropy and perplexity, by their definitions."""

import math

import numpy as np
import pytest

from jukebox.evaluation.codebook_use import total_efficiency, use_of


def test_even_use_of_a_part_is_a_codebook_of_that_size() -> None:
    use = use_of(np.array([5, 0, 5, 5, 5, 0, 0, 0]))
    assert (use.codes, use.size, use.used, use.most_used) == (20, 8, 4, 0.25)
    assert use.entropy_bits == pytest.approx(2)
    assert use.perplexity == pytest.approx(4)
    assert use.efficiency == pytest.approx(2 / 3)


def test_a_single_code_says_nothing() -> None:
    use = use_of(np.array([0, 7]))
    assert (use.entropy_bits, use.perplexity, use.efficiency) == (0, 1, 0)
    assert math.copysign(1, use.entropy_bits) == 1
    assert total_efficiency([use, use_of(np.array([1, 1]))]) == pytest.approx(0.5)
