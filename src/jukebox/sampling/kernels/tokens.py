"""The two ends of a step: a token and its position become an input, and logits become the next token."""

from typing import no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

from jukebox.sampling.kernels.dependent import launched, wait_for_the_kernel_before
from jukebox.sampling.kernels.rules import over
from jukebox.sampling.table import DRAW, SlotTable


def embed(
    table: SlotTable,
    tokens: Tensor,
    places: Tensor | None,
    start: Tensor,
    added: Tensor | None,
    out: Tensor,
    *,
    dependent: bool = False,
) -> None:
    """Launch the inputs of every row.

    Args:
        table: which token each reads, at which position.
        tokens: the table of tokens [vocabulary, width].
        places: the table of positions [context, width].
        start: [rows, width], in the place of a token before the first.
        added: [rows, context, width], added at each position.
        out: [rows, width] in float32.
        dependent: begins while the kernel before still runs.
    """
    rows, width = out.shape
    block = min(1024, triton.next_power_of_2(width))
    over(embed_kernel, rows, triton.cdiv(width, block))(
        table.previous, table.positions, tokens, places, start, added, out,
        CONTEXT=1 if added is None else added.shape[1], WIDTH=width, BLOCK=block, **launched(dependent),
    )  # fmt: skip


@triton.jit
@no_type_check
def embed_kernel(
    previous, positions, tokens, places, start, added, out,
    CONTEXT: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    """See `embed`."""
    wait_for_the_kernel_before(DEPENDENT)
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    here = columns < WIDTH
    position, token = tl.load(positions + row), tl.load(previous + row)
    own = tl.load(tokens + token * WIDTH + columns, mask=here, other=0.0).to(tl.float32)
    first = tl.load(start + row * WIDTH + columns, mask=here, other=0.0).to(tl.float32)
    x = tl.where(position == 0, first, own)
    if places is not None:
        x += tl.load(places + position * WIDTH + columns, mask=here, other=0.0).to(tl.float32)
    if added is not None:
        x += tl.load(added + (row * CONTEXT + position) * WIDTH + columns, mask=here, other=0.0).to(tl.float32)
    tl.store(out + row * WIDTH + columns, x, mask=here)


def draw(table: SlotTable, logits: Tensor, index: int, *, dependent: bool = False) -> None:
    """Launch the choice of every slot's next token into column `index`, and move on: what `stepper.draw` does.

    Of tokens that are equally probable at the border of a share all are kept.

    Args:
        table: settings and places of the slots; changed.
        logits: [rows, vocabulary] in float32.
        index: column of `written` and `replayed`.
        dependent: begins while the kernel before still runs.
    """
    slots, vocabulary = len(table.places), logits.shape[1]
    over(draw_kernel, slots)(
        logits, table.temperature, table.noisy, table.top_k, table.top_p, table.guidance, table.keys, table.places,
        table.positions, table.moves, table.previous, table.replayed, table.written, index, table.written.shape[1],
        ROWS=table.rows, VOCABULARY=vocabulary, DRAW=DRAW, BLOCK=triton.next_power_of_2(vocabulary), num_warps=8,
        **launched(dependent),
    )  # fmt: skip


@triton.jit
@no_type_check
def mixed_bits(key, position, tokens):
    """The 32 random bits of `noise.gumbel` for each token."""
    counters = (position.to(tl.uint64) << 20) + tokens.to(tl.uint64)
    bits = key.to(tl.uint64) + counters * 0x9E3779B97F4A7C15
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB
    bits = bits ^ (bits >> 31)
    return bits >> 32


@triton.jit
@no_type_check
def gumbel_of(bits):
    """Gumbel noise of 32 random bits, as `noise.gumbel` makes it; log1p by its series where it would lose digits."""
    uniform = (bits.to(tl.float32) + 0.5) * 2.3283064365386963e-10
    uniform = tl.minimum(uniform, 1.0 - 5.960464477539063e-08)
    series = uniform * (1.0 + uniform * (0.5 + uniform * (0.3333333333333333 + uniform * 0.25)))
    return -tl.log(tl.where(uniform < 0.01, series, -tl.log(1.0 - uniform)))


@triton.jit(do_not_specialize=["index"])
@no_type_check
def draw_kernel(
    logits, temperature, noisy, top_k, top_p, guidance, keys, places, positions, moves, previous, replayed, written,
    index, columns, ROWS: tl.constexpr, VOCABULARY: tl.constexpr, DRAW: tl.constexpr, BLOCK: tl.constexpr,
    DEPENDENT: tl.constexpr,
):  # fmt: skip
    """See `draw`."""
    wait_for_the_kernel_before(DEPENDENT)
    row = tl.program_id(0)
    tokens = tl.arange(0, BLOCK)
    here = tokens < VOCABULARY
    x = tl.load(logits + row * ROWS * VOCABULARY + tokens, mask=here, other=0.0)
    if ROWS == 2:
        less = tl.load(logits + (row * ROWS + 1) * VOCABULARY + tokens, mask=here, other=0.0)
        x = less + (x - less) * tl.load(guidance + row)
    x = tl.where(here, x / tl.load(temperature + row), -float("inf"))
    # Integers in the order of the numbers: a border is then found bit by bit, in 32 steps.
    bits = x.to(tl.int32, bitcast=True)
    order = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).to(tl.int64)
    most = tl.load(top_k + row)
    if most < VOCABULARY:
        low = tl.full((), -(1 << 31), tl.int64)
        high = tl.full((), (1 << 31) - 1, tl.int64)
        for _ in range(32):
            middle = (low + high + 1) >> 1
            enough = tl.sum((order >= middle).to(tl.int64), 0) >= most
            low = tl.where(enough, middle, low)
            high = tl.where(enough, high, middle - 1)
        x = tl.where(order >= low, x, -float("inf"))
    share = tl.load(top_p + row)
    if share <= 1.0:
        weights = tl.exp(x - tl.max(x, 0))
        weights = weights / tl.sum(weights, 0)
        low = tl.full((), -(1 << 31), tl.int64)
        high = tl.full((), (1 << 31) - 1, tl.int64)
        for _ in range(32):
            # The lowest border above which there is no more than the share.
            middle = (low + high) >> 1
            little = tl.sum(tl.where(order > middle, weights, 0.0), 0) <= share
            high = tl.where(little, middle, high)
            low = tl.where(little, low, middle + 1)
        x = tl.where(order >= low, x, -float("inf"))
    place = tl.load(places + row)
    noise = gumbel_of(mixed_bits(tl.load(keys + row), place, tokens))
    x = tl.where(here, x + noise * tl.load(noisy + row), -float("inf"))
    token = tl.argmax(x, 0).to(tl.int64)
    given = tl.load(replayed + row * columns + index)
    token = tl.where(given == DRAW, token, given)
    tl.store(written + row * columns + index, token)
    moved = tl.load(moves + row)
    position = tl.load(positions + row * ROWS) + moved
    for each in tl.static_range(ROWS):
        tl.store(previous + row * ROWS + each, token)
        tl.store(positions + row * ROWS + each, position)
    tl.store(places + row, place + moved)


def noise(keys: Tensor, positions: Tensor, count: int) -> Tensor:
    """`noise.gumbel` as kernels make it, for tests: [slots, count] in float32."""
    out = torch.empty(len(keys), count, device=keys.device)
    over(noise_kernel, len(keys))(keys, positions, out, COUNT=count, BLOCK=triton.next_power_of_2(count))
    return out


@triton.jit
@no_type_check
def noise_kernel(keys, positions, out, COUNT: tl.constexpr, BLOCK: tl.constexpr):
    """See `noise`."""
    row = tl.program_id(0)
    tokens = tl.arange(0, BLOCK)
    bits = mixed_bits(tl.load(keys + row), tl.load(positions + row), tokens)
    tl.store(out + row * COUNT + tokens, gumbel_of(bits), mask=tokens < COUNT)
