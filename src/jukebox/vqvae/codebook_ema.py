"""Teaching a codebook by moving averages, with restart of unused codes: training only (facts 2.4)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from jukebox.config import CodebookConfig
from jukebox.vqvae.codebook import nearest_codes

Rows = Float[Tensor, "rows embedding"]
Vectors = Float[Tensor, "size embedding"]
Counts = Float[Tensor, " size"]
Reduce = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class CodebookState:
    """Vectors and their running sums, as values."""

    vectors: Vectors
    ema_sum: Vectors
    ema_count: Counts


@dataclass(frozen=True, kw_only=True)
class CodebookStatistics:
    """What to watch while a codebook learns.

    entropy: of this batch's histogram, in nats; used: codes above the threshold in this batch; alive: in the moving
    average; movement: root mean square change of the vectors; spread: root mean square of the latents about their
    mean; distance: mean squared distance of a latent to its vector.
    """

    entropy: float
    used: int
    alive: int
    movement: float
    spread: float
    distance: float


def draw_vectors(rows: Rows, count: int, generator: torch.Generator) -> Vectors:
    """`count` of the rows in random order; where there are fewer, copies with a little noise stand in."""
    if len(rows) < count:
        copies = -(-count // len(rows))
        noise = torch.randn(copies * len(rows), rows.shape[1], generator=generator).to(rows)
        rows = rows.repeat(copies, 1) + noise * (0.01 / rows.shape[1] ** 0.5)
    order = torch.randperm(len(rows), generator=generator)[:count]
    return rows[order.to(rows.device)]


def k_means(rows: Rows, count: int, generator: torch.Generator, iterations: int = 10) -> Vectors:
    """Centres of `count` clusters of the rows, from a random draw; an empty cluster is drawn anew."""
    centres = draw_vectors(rows, count, generator)
    for _ in range(iterations):
        sums, counts = _batch_sums(rows, nearest_codes(rows, centres), count)
        means = sums / counts.clamp_min(1.0)[:, None]
        centres = torch.where(counts[:, None] > 0, means, draw_vectors(rows, count, generator))
    return centres


def initial_state(vectors: Vectors) -> CodebookState:
    """A codebook with these vectors that has seen each of them once."""
    return CodebookState(vectors=vectors, ema_sum=vectors.clone(), ema_count=vectors.new_ones(len(vectors)))


def restored_state(vectors: Vectors, rows_per_step: int) -> CodebookState:
    """The original's start from a checkpoint, which lacks the sums: every code equally used (facts 2.4, item 6)."""
    count = vectors.new_full((len(vectors),), rows_per_step / len(vectors))
    return CodebookState(vectors=vectors, ema_sum=vectors * count[:, None], ema_count=count)


def first_vectors(rows: Rows, config: CodebookConfig, generator: torch.Generator) -> Vectors:
    """The first codebook, from the latents of the first batch."""
    draw = k_means if config.initialisation == "kmeans" else draw_vectors
    return draw(rows, config.size, generator)


@torch.no_grad()
def update(
    state: CodebookState,
    rows: Rows,
    codes: Int64[Tensor, " rows"],
    replacements: Vectors,
    config: CodebookConfig,
    all_reduce: Reduce = lambda tensor: tensor,
) -> tuple[CodebookState, CodebookStatistics]:
    """The codebook after one step.

    `rows` are this step's latents and `codes` their codes by the codebook before the step; `replacements` stand in
    for codes below the threshold and must be equal on all workers; `all_reduce` sums a tensor over the workers.
    """
    sums, counts = _batch_sums(rows, codes, config.size)
    sums, counts = all_reduce(sums), all_reduce(counts)
    keep = 1.0 - config.decay
    ema_sum = config.decay * state.ema_sum + keep * sums
    ema_count = config.decay * state.ema_count + keep * counts
    mean_use = counts.sum() / config.size
    threshold = config.restart_threshold * (mean_use if config.restart_unit == "mean_use" else 1.0)
    alive = ema_count >= threshold
    # A count can be zero only where the code is replaced.
    averages = ema_sum / torch.where(alive, ema_count, torch.ones_like(ema_count))[:, None]
    vectors = torch.where(alive[:, None], averages, replacements)
    if config.reset_restarted:
        fresh = torch.maximum(mean_use, torch.as_tensor(threshold).to(mean_use))
        ema_count = torch.where(alive, ema_count, fresh)
        ema_sum = torch.where(alive[:, None], ema_sum, replacements * fresh)
    share = counts / counts.sum()
    difference = rows - state.vectors[codes]
    statistics = CodebookStatistics(
        entropy=float(-(share * (share + 1e-8).log()).sum()),
        used=int((counts >= threshold).sum()),
        alive=int(alive.sum()),
        movement=float((vectors - state.vectors).square().mean().sqrt()),
        spread=float((rows - rows.mean()).square().mean().sqrt()),
        distance=float(difference.square().sum(1).mean()),
    )
    return CodebookState(vectors=vectors, ema_sum=ema_sum, ema_count=ema_count), statistics


def _batch_sums(rows: Rows, codes: Int64[Tensor, " rows"], size: int) -> tuple[Vectors, Counts]:
    """Sum of the rows of each code, and how many they are."""
    sums = rows.new_zeros(size, rows.shape[1]).index_add_(0, codes, rows)
    counts = torch.bincount(codes, minlength=size).to(rows.dtype)
    return sums, counts
