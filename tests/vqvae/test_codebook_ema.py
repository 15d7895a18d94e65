"""Moving averages and restarts; equality with the original is in tests/parity/vqvae.py."""

import dataclasses

import torch

from jukebox.config import CodebookConfig
from jukebox.vqvae.codebook import nearest_codes
from jukebox.vqvae.codebook_ema import (
    draw_vectors,
    first_vectors,
    initial_state,
    k_means,
    restored_state,
    update,
)

CONFIG = CodebookConfig(size=16)


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows_and_state(count: int = 200):
    torch.manual_seed(0)
    rows = torch.randn(count, 4)
    state = initial_state(draw_vectors(rows, CONFIG.size, random()))
    return rows, state


def test_two_workers_learn_what_one_learns() -> None:
    """The all-reduced sums of two halves give the state of the whole batch."""
    rows, state = rows_and_state()
    codes = nearest_codes(rows, state.vectors)
    replacements = draw_vectors(rows, CONFIG.size, random(1))
    whole, _ = update(state, rows, codes, replacements, CONFIG)
    sums: list[torch.Tensor] = []
    update(state, rows[100:], codes[100:], replacements, CONFIG, lambda t: sums.append(t.clone()) or t)
    other = iter(sums)
    half, _ = update(state, rows[:100], codes[:100], replacements, CONFIG, lambda t: t + next(other))
    for name in ("vectors", "ema_sum", "ema_count"):
        torch.testing.assert_close(getattr(half, name), getattr(whole, name))


def test_an_update_leaves_its_arguments_alone() -> None:
    rows, state = rows_and_state()
    before = dataclasses.replace(state, vectors=state.vectors.clone(), ema_sum=state.ema_sum.clone())
    update(state, rows, nearest_codes(rows, state.vectors), rows[:16], CONFIG)
    assert torch.equal(state.vectors, before.vectors)
    assert torch.equal(state.ema_sum, before.ema_sum)


def test_repeated_updates_find_the_means() -> None:
    rows, state = rows_and_state()
    config = dataclasses.replace(CONFIG, decay=0.0, restart_threshold=0.5)
    for _ in range(30):
        codes = nearest_codes(rows, state.vectors)
        state, seen = update(state, rows, codes, rows[:16], config)
    assert seen.alive >= 15
    assert seen.movement < 0.2


def unused_code():
    """A state whose last code lies far from every row."""
    rows, state = rows_and_state()
    vectors = state.vectors.clone()
    vectors[-1] = 100.0
    count = torch.ones(16)
    count[-1] = 0.5
    state = dataclasses.replace(state, vectors=vectors, ema_sum=vectors * count[:, None], ema_count=count)
    return rows, state, nearest_codes(rows, vectors)


def test_the_original_redraws_an_unused_code_and_keeps_its_statistics() -> None:
    rows, state, codes = unused_code()
    after, _ = update(state, rows, codes, rows[:16], CONFIG)
    assert torch.equal(after.vectors[-1], rows[15])
    torch.testing.assert_close(after.ema_count[-1], torch.tensor(0.5 * 0.99))


def test_the_corrected_restart_begins_anew() -> None:
    rows, state, codes = unused_code()
    after, _ = update(state, rows, codes, rows[:16], dataclasses.replace(CONFIG, reset_restarted=True))
    mean_use = len(rows) / 16
    torch.testing.assert_close(after.ema_count[-1], torch.tensor(mean_use))
    torch.testing.assert_close(after.ema_sum[-1], rows[15] * mean_use)
    again, _ = update(after, rows, nearest_codes(rows, after.vectors), rows[16:32], dataclasses.replace(
        CONFIG, reset_restarted=True))  # fmt: skip
    assert not torch.equal(again.vectors[-1], rows[31]), "a code that was just restarted is not redrawn at once"


def test_the_threshold_can_be_a_share_of_the_mean_use() -> None:
    rows, state, codes = unused_code()
    relative = dataclasses.replace(CONFIG, restart_unit="mean_use", restart_threshold=0.01)
    after, seen = update(state, rows, codes, rows[:16], relative)
    assert seen.alive == 16, "0.495 is above 0.01 of 12.5"
    assert not torch.equal(after.vectors[-1], rows[15])


def test_drawing_gives_rows_and_stands_in_with_noisy_copies() -> None:
    rows = torch.randn(5, 3)
    drawn = draw_vectors(rows, 4, random())
    assert all(any(torch.equal(vector, row) for row in rows) for vector in drawn)
    copies = draw_vectors(rows, 23, random())
    nearest = torch.cdist(copies, rows).amin(1)
    assert copies.shape == (23, 3)
    assert 0 < nearest.max() < 0.05


def test_k_means_comes_closer_than_a_draw() -> None:
    torch.manual_seed(0)
    centres = torch.randn(8, 4) * 10
    rows = centres[torch.randint(0, 8, (400,))] + 0.1 * torch.randn(400, 4)

    def distance(vectors: torch.Tensor) -> float:
        return float(torch.cdist(rows, vectors).amin(1).square().mean())

    config = CodebookConfig(size=8, initialisation="kmeans")
    steps = [distance(k_means(rows, 8, random(3), iterations)) for iterations in (0, 1, 10)]
    assert steps[0] > 1.2 * steps[1] > steps[2]
    assert distance(first_vectors(rows, config, random(3))) == steps[2]


def test_a_restored_state_has_used_every_code_equally() -> None:
    vectors = torch.randn(16, 4)
    state = restored_state(vectors, rows_per_step=160)
    assert torch.equal(state.ema_count, torch.full((16,), 10.0))
    torch.testing.assert_close(state.ema_sum / state.ema_count[:, None], vectors)
