"""The steps of many windows in C: a prior described for `native/step.c`, with all that is kept of the windows.

One call writes many codes of many windows: what a step of a small prior costs around its products, in PyTorch, is gone.
It is `Prior.extend` but for rounding, and a window is the same bits in any company.
"""

import ctypes
from collections.abc import Sequence
from typing import Any, cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from jukebox.native.library import library
from jukebox.native.matrix import NativeMatrix, share
from jukebox.native.structures import Layer, Matrix, Norm, Stack, Window
from jukebox.nn import pages
from jukebox.nn.packed import PackedLinear
from jukebox.nn.quantised import Reduced
from jukebox.prior import transformer
from jukebox.prior.attention import SelfAttention, turns
from jukebox.prior.prior import Prior, PriorState
from jukebox.prior.runs import Runs

# Positions of a window that are read together: what lies between two layers of them stays in the processor's cache.
_AT_ONCE = 64

# Bytes of matrices that may stay in a processor's caches. Larger ones are read from memory by each thread for itself:
# with fewer rows it waits for that, and beside another one for longer.
_CACHED, _ROWS_OF_A_THREAD = 1 << 25, 4

# Positions of a call that reads.
_OF_A_CALL = 4 * _AT_ONCE


class NativeStep:
    """The steps of a prior for up to so many rows, two of which a guided window has.

    Args:
        prior: packed with `native`, on the CPU in float32, such as `fits` says yes to.
        rows: of all windows.
        rows_each: of a window.
    """

    def __init__(self, prior: Prior, rows: int, rows_each: int) -> None:
        config = prior.config.transformer
        self._rows_each = rows_each
        self._threads = torch.get_num_threads()  # others may be told to use fewer beside it
        found = library()
        assert found is not None
        self._library, self._held = found, cast(list[Any], [])
        conditioning = prior.empty_conditioning(rows)
        self._start, self._added = conditioning.start, conditioning.added
        width, lanes = config.head_width, found.lane_count()
        padded = -(-width // lanes) * lanes
        layers, self._kept, tables = cast(list[transformer.Layer], list(prior.transformer.layers)), [], {}
        lyrics = prior.config.lyrics.tokens if prior.config.lyrics is not None else 0
        for layer in layers:
            pattern = layer.attention.patterns[0] if isinstance(layer.attention, SelfAttention) else None
            if pattern is not None and pattern not in tables:
                tables[pattern] = _table(Runs.of(pattern, config.context), config.context)
            slots = lyrics if pattern is None else Runs.of(pattern, config.context).slots
            self._kept.append((pages.zeros(rows, config.heads, 2, slots, padded), tables.get(pattern)))
        products = [linear for layer in layers for linear in _products(layer)] + [prior.output]
        matrices = [cast(NativeMatrix, cast(PackedLinear, linear).multiply) for linear in products]
        self._large = sum(matrix.nbytes for matrix in matrices) > _CACHED
        described = [
            matrix.described(self._at_hand(cast(PackedLinear, linear).bias), after)
            for linear, matrix, after in zip(products, matrices, matrices[1:] + matrices[:1], strict=True)
        ]
        self._held += [matrices, self._kept]
        self._layers = (Layer * len(layers))(
            *(
                self._described(layer, described[4 * index : 4 * index + 4], *self._kept[index])
                for index, layer in enumerate(layers)
            )
        )
        positions = None if prior.position_embedding is None else prior.position_embedding.weight
        turned = None
        if config.position == "rotary":
            turned = torch.cat(turns(torch.arange(config.context), width), -1)
        self._stack = Stack(
            layers=self._layers, tokens=self._pointer(prior.token_embedding.weight),
            positions=self._pointer(positions), turns=self._pointer(turned), start=self._pointer(self._start),
            added=self._pointer(self._added), logits=described[-1], depth=len(layers), width=config.width,
            heads=config.heads, head_width=width, context=config.context, vocabulary=prior.layout.vocabulary,
            hidden=config.mlp_width, recondition=prior.config.recondition, shift=prior.layout.shift,
        )  # fmt: skip

    @staticmethod
    def fits(prior: Prior) -> bool:
        """Whether there is a library and a prior is of the kind that it writes: no layer sees a union of patterns.

        Its matrices are not yet packed, or packed for this.
        """
        weight = prior.token_embedding.weight
        single = all(len(letters) == 1 for letters in prior.config.transformer.layers)
        if weight.device.type != "cpu" or weight.dtype != torch.float32 or not single or library() is None:
            return False
        maps = [linear for layer in prior.transformer.layers for linear in _products(cast(transformer.Layer, layer))]
        return all(_suits(linear) for linear in (*maps, *([] if prior.output is None else [prior.output])))

    def condition(self, row: int, state: PriorState) -> None:
        """Take over what the windows of a state of one item are conditioned on, its lyrics among them."""
        self._start[row] = state.conditioning.start[0]
        if self._added is not None and state.conditioning.added is not None:
            self._added[row] = state.conditioning.added[0]
        for (kept, table), (cache,) in zip(self._kept, state.transformer.caches, strict=True):
            if table is None:
                kept[row, ..., : cache.shape[-1]] = cache[0].permute(2, 1, 0, 3)

    def read(self, known: Sequence[tuple[int, Int64[Tensor, "_"]]]) -> None:
        """Read the tokens that rows begin with, some in each thread; as steps would, bit for bit.

        Args:
            known: rows that are conditioned, and the tokens of each.
        """
        # The longest first, each to the thread that has least to do.
        threads = max(1, min(self._threads, len(known)))
        dealt: list[list[tuple[int, Tensor]]] = [[] for _ in range(threads)]
        for row, tokens in sorted(known, key=lambda each: len(each[1]), reverse=True):
            min(dealt, key=lambda own: sum(len(each) for _, each in own)).append((row, tokens.contiguous()))
        stack, library_ = ctypes.byref(self._stack), self._library

        def some(thread: int) -> None:
            room = torch.empty(library_.room(stack, _AT_ONCE))
            for row, tokens in dealt[thread]:
                # In calls that are not too long: who interrupts the program is heard between them.
                for first in range(0, len(tokens), _OF_A_CALL):
                    last = min(first + _OF_A_CALL, len(tokens))
                    library_.read_codes(
                        stack, ctypes.c_int64(row), _address(tokens), ctypes.c_int64(first), ctypes.c_int64(last),
                        _AT_ONCE, _address(room),
                    )  # fmt: skip

        share(some, threads)

    def move(self, row: int, to: int) -> None:
        """Copy a row to another place."""
        for tensor in (self._start, self._added, *(kept for kept, _ in self._kept)):
            if tensor is not None:
                tensor[to] = tensor[row]

    def write(
        self,
        windows: Sequence[Window],
        given: Int64[Tensor, "steps windows"],
        noise: Float[Tensor, "steps windows vocabulary"] | None,
        *,
        logits: Float[Tensor, "rows_of_all vocabulary"] | None = None,
    ) -> Int64[Tensor, "steps windows"]:
        """Write the next tokens of windows; several threads write windows of their own.

        Args:
            windows: where each is and how it is drawn, with `rows_each` rows from its first on. Where one follows
                another, `leader`, it reads the tokens of that; all are then written by one thread.
            given: tokens that are read instead of being drawn; negative where they are drawn.
            noise: added to the logits; None for Gumbel noise by each window's key and place.
            logits: where those of the last step are put.
        """
        steps, count = given.shape
        threads = min(self._threads, count)
        if self._large:
            threads = min(threads, max(1, count * self._rows_each // _ROWS_OF_A_THREAD))
        if any(window.leader >= 0 for window in windows):
            threads = 1
        tokens, array = torch.empty(steps, count, dtype=torch.int64), (Window * count)(*windows)
        stack, pointers = ctypes.byref(self._stack), [_address(each) for each in (given, noise, tokens, logits)]

        def some(thread: int) -> None:
            first, last = count * thread // threads, count * (thread + 1) // threads
            room = torch.empty(self._library.room(stack, (last - first) * self._rows_each))
            self._library.write_codes(
                stack, array, first, last, count, self._rows_each, steps, *pointers, _address(room)
            )

        share(some, threads)
        return tokens

    def _described(self, layer: transformer.Layer, matrices: list[Matrix], kept: Tensor, table: Tensor | None) -> Layer:
        project, output, inner, outer = matrices
        attention, query, key, epsilon = layer.attention, None, None, 0.0
        if isinstance(attention, SelfAttention) and attention.query_norm is not None and attention.key_norm is not None:
            query, key, epsilon = attention.query_norm.weight, attention.key_norm.weight, attention.query_norm.eps
        return Layer(
            norm=self._norm(layer.attention_norm), second_norm=self._norm(layer.mlp_norm), project=project,
            output=output, inner=inner, outer=outer, query_weight=self._pointer(query), key_weight=self._pointer(key),
            kept=kept.data_ptr(), places=self._pointer(table), slots=kept.shape[3],
            query_key_epsilon=epsilon or 0.0, branch=layer.scale,
        )  # fmt: skip

    def _norm(self, norm: nn.LayerNorm) -> Norm:
        return Norm(weight=self._pointer(norm.weight), bias=self._pointer(norm.bias), epsilon=norm.eps)

    def _pointer(self, tensor: Tensor | None) -> int | None:
        """The address of what is held from here on."""
        tensor = self._at_hand(tensor)
        return None if tensor is None else tensor.data_ptr()

    def _at_hand(self, tensor: Tensor | None) -> Tensor | None:
        """The same numbers, one after another, held as long as this is."""
        if tensor is None:
            return None
        self._held.append(tensor.detach().contiguous())
        return self._held[-1]


def _suits(linear: nn.Module) -> bool:
    """Whether a map can be packed for C, or is."""
    if isinstance(linear, PackedLinear):
        return isinstance(linear.multiply, NativeMatrix)
    return isinstance(linear, nn.Linear | Reduced)


def _products(layer: transformer.Layer) -> list[nn.Module]:
    """The linear maps of a layer, in the order in which they are used."""
    attention = layer.attention
    first = attention.qkv if isinstance(attention, SelfAttention) else attention.query
    return [first, attention.output, layer.mlp.input, layer.mlp.output]


def _table(rule: Runs, context: int) -> Tensor:
    """Where each position writes, and the run that it reads: its first slot and how many."""
    positions = torch.arange(context)
    table = torch.stack([rule.write(positions), rule.first(positions), rule.count(positions)], -1)
    return table.to(torch.int32).contiguous()


def _address(tensor: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())
