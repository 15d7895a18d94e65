"""Steps of a prior through fused kernels: five for each layer, one for the input, two for the token that comes out.

A sixth writes keys and values where these are kept in 8 bits, or where queries and keys are normalised or turned.

The residual stream is in float32 whatever the type of the matrices; products round their factors to that type.
"""

from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from jukebox.config import PriorConfig
from jukebox.errors import ConfigError
from jukebox.nn.quantised import rounded
from jukebox.prior.attention import CrossAttention, SelfAttention
from jukebox.prior.prior import Prior, PriorState
from jukebox.prior.runs import Runs
from jukebox.prior.transformer import Layer
from jukebox.sampling.engine import NoiseSource, Window
from jukebox.sampling.kernels import attention, linear, rules, tokens
from jukebox.sampling.kernels.attend import MOST_SPLITS
from jukebox.sampling.kernels.attention import Heads, Parts
from jukebox.sampling.kernels.linear import Matrix, aligned
from jukebox.sampling.noise import gumbel
from jukebox.sampling.reading import read_window, rows_of
from jukebox.sampling.stepper import CacheBits, Variant, draw
from jukebox.sampling.table import SlotTable

# An attention is divided until there are about so many programs.
_PROGRAMS = 128


@dataclass(frozen=True, kw_only=True)
class _Block:
    """A layer as kernels read it.

    Args:
        norm: before the attention; `mlp_norm` before the MLP: gain, shift and EPS.
        first: to queries, keys and values; to queries alone where `rule` sees everything.
        rule: constants of its pattern.
        cross: whether it looks at lyrics.
        cache: [slots, kept, 2, heads, width], of 8-bit integers where there are `scales`.
        scales: [slots, kept, 2, heads].
        heads: what is done to queries and keys; None for nothing.
        splits: parts of an attention.
        scale: of what is added to its input.
    """

    norm: dict[str, Any]
    first: Matrix
    rule: dict[str, Any]
    cross: bool
    cache: Tensor
    scales: Tensor | None
    heads: Heads | None
    splits: int
    projection: Matrix
    mlp_norm: dict[str, Any]
    inner: Matrix
    outer: Matrix
    scale: float


class FusedStepper:
    """Steps of a prior in Triton's kernels, on a CUDA device or in their interpreter.

    Args:
        prior: in evaluation mode, with matrices of any precision; the stepper's from now on.
        slots: how many windows are written at once.
        noise: what is added to logits; kernels make `noise.gumbel` themselves, any other is asked for.
        cache_bits: of keys and values.
        rows: of a step for each window.
        dependent: kernels begin while the one before still runs; only where `kernels.dependent.can_depend` says so.

    Raises:
        ConfigError: the prior has something that these kernels do not compute; see `unsupported`.
    """

    launches = (32, 8, 1)

    def __init__(
        self,
        prior: Prior,
        slots: int,
        noise: NoiseSource = gumbel,
        *,
        cache_bits: CacheBits = 16,
        rows: int = 1,
        dependent: bool = False,
    ) -> None:
        reason = unsupported(prior.config)
        if reason is not None:
            raise ConfigError(f"Fused kernels do not compute {reason}; this prior needs the plain engine.")
        self._prior, self._noise, self._config = prior, noise, prior.config.transformer
        self._slots, items = slots, rows * slots
        self._cache_bits: CacheBits = cache_bits
        self._dependent = dependent
        self._kind, device = prior.token_embedding.weight.dtype, prior.token_embedding.weight.device
        self._state, self._scratch = _states(prior, items, cache_bits)
        self.table = SlotTable.empty(slots, self.launches[0], prior.layout.vocabulary, device, rows)
        layers = cast(list[Layer], list(prior.transformer.layers))
        self._blocks = [
            self._block(layer, self._state.transformer.caches[index][0], cache_bits)
            for index, layer in enumerate(layers)
        ]
        weight = prior.token_embedding.weight if prior.output is None else cast(nn.Linear, prior.output).weight
        head = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
        head.weight = nn.Parameter(weight.detach(), requires_grad=False)
        self._head = Matrix.of(head)
        width, inner = self._config.width, self._config.attention_width
        self._x, self._y = (torch.zeros(items, width, device=device) for _ in range(2))
        self._hidden = torch.zeros(items, self._config.mlp_width, dtype=self._kind, device=device)
        self._queries = torch.zeros(items, inner, dtype=self._kind, device=device)
        self._made = torch.zeros(items, 3 * inner, dtype=self._kind, device=device)
        self._logits = torch.zeros(items, prior.layout.vocabulary, device=device)
        self._attended = torch.zeros(items, inner, dtype=self._kind, device=device)
        self._parts = {
            splits: Parts.empty(items, self._config.heads, splits, self._config.head_width, device)
            for splits in {block.splits for block in self._blocks}
        }

    @property
    def config(self) -> PriorConfig:
        """The prior that it runs."""
        return self._prior.config

    @property
    def prior(self) -> Prior:
        """The same with its weights."""
        return self._prior

    def with_rows(self, rows: int) -> "FusedStepper":
        """The same with so many rows for each window; this one is of no more use."""
        del self._state, self._scratch, self._blocks  # room for the next
        return FusedStepper(
            self._prior, self._slots, self._noise, cache_bits=self._cache_bits, rows=rows, dependent=self._dependent
        )

    def variant(self, furthest: int, top_k: bool, top_p: bool) -> Variant:
        """One graph serves all positions and settings, where kernels make the noise."""
        own = self._noise is gumbel
        return Variant(reach=self._config.context - 1, top_k=top_k and not own, top_p=top_p and not own)

    @torch.no_grad()
    def begin(self, slot: int, window: Window) -> tuple[int, list[Tensor | int]]:
        """Read what is known of a window; a cache of 8 bits is filled from one of the prior's own type."""
        rows = enumerate(rows_of(window, self.config), slot * self.table.rows)
        found = [self._read(item, each) for item, each in rows]
        return found[0][0], [previous for _, previous in found]

    def _read(self, item: int, window: Window) -> tuple[int, Tensor | int]:
        own = self._state.items(item, item + 1)
        if self._scratch is None:
            return read_window(self._prior, own, window)
        found = read_window(self._prior, replace(self._scratch, conditioning=own.conditioning), window)
        for block, (kept,) in zip(self._blocks, self._scratch.transformer.caches, strict=True):
            if block.scales is None:
                block.cache[item] = kept[0]
            else:
                block.cache[item], block.scales[item] = rounded(kept[0])
        return found

    def step(self, table: SlotTable, index: int, variant: Variant) -> None:
        """Write the next token of every slot."""
        self.compute_logits(table)
        if self._noise is gumbel:
            tokens.draw(table, self._logits, index, dependent=self._dependent)
        else:
            draw(table, index, self._logits, variant, self._noise)

    def compute_logits(self, table: SlotTable) -> Tensor:
        """The logits of every row's next token, [rows, vocabulary] in float32, in memory that the next step uses."""
        prior, conditioning = self._prior, self._state.conditioning
        places = None if prior.position_embedding is None else prior.position_embedding.weight
        tokens.embed(
            table, prior.token_embedding.weight, places, conditioning.start, conditioning.added, self._x,
            dependent=self._dependent,
        )  # fmt: skip
        self._run_layers(table.positions)
        again = conditioning.added if prior.config.recondition else None
        more = {} if again is None else {"added": again, "CONTEXT": again.shape[1], "positions": table.positions}
        before = linear.PLAIN if again is None else linear.ADD
        self._linear(self._x, self._head, self._logits, before=before, **more)
        return self._logits

    def _run_layers(self, positions: Tensor) -> None:
        for block in self._blocks:
            self._run(block, positions)

    def _run(self, block: _Block, positions: Tensor) -> None:
        queries, dependent = self._queries, self._dependent
        if block.cross:
            self._linear(self._x, block.first, queries, before=linear.NORM, **block.norm)
        elif block.scales is None and block.heads is None:
            self._linear(
                self._x, block.first, queries, before=linear.NORM, after=linear.PAIRS, **block.norm,
                cache=block.cache, positions=positions, QUERY=queries.shape[1], **block.rule,
            )  # fmt: skip
        else:
            queries = self._made
            self._linear(self._x, block.first, queries, before=linear.NORM, **block.norm)
            attention.store_pairs(
                queries, block.cache, block.scales, positions, block.rule, block.heads, dependent=dependent
            )
        attention.attention(
            queries, block.cache, block.scales, positions, self._attended, self._parts[block.splits], block.rule,
            heads=block.heads, dependent=dependent,
        )  # fmt: skip
        self._linear(self._attended, block.projection, self._y, after=linear.RESIDUAL, residual=self._x)
        self._linear(self._y, block.inner, self._hidden, before=linear.NORM, after=linear.GELU, **block.mlp_norm)
        self._linear(
            self._hidden, block.outer, self._x, after=linear.RESIDUAL,
            residual=self._y, base=self._x, SCALE=block.scale,
        )  # fmt: skip

    def _linear(self, x: Tensor, matrix: Matrix, out: Tensor, **more: Any) -> None:
        linear.linear(x, matrix, out, self._kind, dependent=self._dependent, **more)

    def _block(self, layer: Layer, cache: Tensor, cache_bits: CacheBits) -> _Block:
        inner, attention_, scales, heads = layer.mlp.input, layer.attention, None, None
        if isinstance(attention_, CrossAttention):
            first, constants, longest = attention_.query, rules.everything(cache.shape[1]), cache.shape[1]
        else:
            (pattern,) = attention_.patterns
            runs = Runs.of(pattern, self._config.context)
            first, constants, heads = attention_.qkv, rules.rule(runs), _heads(attention_)
            longest = runs.capacity // runs.length if runs.kind == "column" else runs.length
            if cache_bits == 8:
                scales = torch.zeros(cache.shape[:-1], device=cache.device)
                cache = torch.zeros_like(cache, dtype=torch.int8)
        programs = len(cache) * self._config.heads
        return _Block(
            norm=_norm(layer.attention_norm),
            first=Matrix.of(first),
            rule=constants,
            cross=isinstance(attention_, CrossAttention),
            cache=cache,
            scales=scales,
            heads=heads,
            splits=max(1, min(MOST_SPLITS.value, _PROGRAMS // programs, -(-longest // 32))),
            projection=Matrix.of(attention_.output),
            mlp_norm=_norm(layer.mlp_norm),
            inner=Matrix.of(inner),
            outer=Matrix.of(layer.mlp.output),
            scale=layer.scale,
        )


def unsupported(config: PriorConfig) -> str | None:
    """What of a prior the kernels do not compute, in words; None where they compute all of it."""
    unions = any(len(letters) > 1 for letters in config.transformer.layers)
    return "layers that see a union of patterns" if unions else None


def _heads(attention_: SelfAttention) -> Heads | None:
    query, key = attention_.query_norm, attention_.key_norm
    if query is None or key is None:
        return Heads(rotary=True) if attention_.rotary else None
    return Heads(
        query_gain=query.weight.detach(),
        key_gain=key.weight.detach(),
        eps=cast(float, key.eps),
        rotary=attention_.rotary,
    )


def _norm(norm: nn.LayerNorm) -> dict[str, Any]:
    return {"gain": aligned(norm.weight), "shift": aligned(norm.bias), "EPS": norm.eps}


def _states(prior: Prior, rows: int, cache_bits: CacheBits) -> tuple[PriorState, PriorState | None]:
    """The state of all rows; and one of a single item in the prior's own type, where the rows' caches are not.

    In 8 bits the rows' own caches are but views of that one item, for their shapes.
    """
    if cache_bits == 16:
        return prior.empty_state(rows), None
    scratch = prior.empty_state(1)
    one, kept = scratch.conditioning, scratch.transformer.caches
    wide = {
        name: None if tensor is None else tensor.new_zeros(rows, *tensor.shape[1:])
        for name, tensor in (("start", one.start), ("added", one.added), ("encoded_lyrics", one.encoded_lyrics))
    }
    letters = prior.config.transformer.layers
    caches = tuple(
        tuple(
            cache.new_zeros(rows, *cache.shape[1:]) if letters[index] == "X" else cache.expand(rows, *cache.shape[1:])
            for cache in layer
        )
        for index, layer in enumerate(kept)
    )
    conditioning = replace(one, **wide)
    positions = scratch.transformer.positions.new_zeros(rows)
    state = replace(scratch.transformer, positions=positions, caches=caches)
    return PriorState(conditioning=conditioning, transformer=state), scratch
