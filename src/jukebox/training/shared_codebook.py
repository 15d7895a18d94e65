"""A codebook that all workers teach together: it is the same in each, and does not depend on how many there are."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from jukebox.config import CodebookConfig
from jukebox.training.workers import Workers
from jukebox.vqvae.codebook_ema import (
    CodebookState,
    CodebookStatistics,
    draw_vectors,
    first_vectors,
    initial_state,
    update,
)
from jukebox.vqvae.vqvae import Codebook

Rows = Float[Tensor, "rows embedding"]

# k-means looks at so many rows per code of the first batch.
_POOL = 32


def draw_rows(rows: Rows, count: int, generator: torch.Generator, workers: Workers) -> Float[Tensor, "drawn embedding"]:
    """`count` rows (or all there are) of all workers in random order; every worker gives equally many.

    A row is chosen by its place among the rows of all workers, worker after worker, and sent by the one that has it.
    """
    total = len(rows) * workers.count
    places = _choice(total, min(count, total), generator)
    own = (places // len(rows)) == workers.rank
    drawn = rows.new_zeros(len(places), rows.shape[1])
    drawn[own.to(rows.device)] = rows[(places[own] % len(rows)).to(rows.device)]
    return workers.sum(drawn)


def _choice(total: int, count: int, generator: torch.Generator) -> Int64[Tensor, " count"]:
    """`count` different numbers below `total`, without a permutation of all where they are few of many."""
    if total < 8 * count:
        return torch.randperm(total, generator=generator)[:count]
    numbers: dict[int, None] = {}
    while len(numbers) < count:
        numbers.update(dict.fromkeys(torch.randint(total, (count,), generator=generator).tolist()))
    return torch.tensor(list(numbers)[:count])


def start(codebook: Codebook, rows: Rows, config: CodebookConfig, generator: torch.Generator, workers: Workers) -> None:
    """The first vectors, from the latents of the first batch of all workers."""
    pool = _POOL * config.size if config.initialisation == "kmeans" else config.size
    vectors = first_vectors(draw_rows(rows, pool, generator, workers), config, generator)
    write(codebook, initial_state(vectors))


def learn(
    codebook: Codebook,
    rows: Rows,
    codes: Int64[Tensor, " rows"],
    config: CodebookConfig,
    generator: torch.Generator,
    workers: Workers,
) -> CodebookStatistics:
    """The codebook after a step, from the latents of all workers in it."""
    pool = draw_rows(rows, config.size, generator, workers)
    replacements = draw_vectors(pool, config.size, generator)
    state = CodebookState(vectors=codebook.vectors, ema_sum=codebook.ema_sum, ema_count=codebook.ema_count)
    state, statistics = update(state, rows, codes, replacements, config, workers.sum)
    write(codebook, state)
    return statistics


@torch.no_grad()
def write(codebook: Codebook, state: CodebookState) -> None:
    """Give a codebook this state, in place."""
    codebook.vectors.copy_(state.vectors)
    codebook.ema_sum.copy_(state.ema_sum)
    codebook.ema_count.copy_(state.ema_count)
