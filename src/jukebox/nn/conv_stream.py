"""The convolutions of `jukebox.nn.conv1d`, chunk by chunk: the same numbers in bounded memory, and faster.

A chain takes rows [time, channels] as they come and returns the rows that have become final; `finish` returns the
rest. Each layer keeps just the rows that its kernel still needs, so nothing is computed twice and the zeros beyond
the two ends of the signal enter where the whole-window form puts them. A convolution is one matrix product per tap on
slices of rows that are still in a cache: near the machine's matrix rate, against a third of it for full-length
intermediates that travel through main memory. Each layer writes straight into the window of the next.

Chains hold the state; the modules are read only.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from jukebox.nn.affine import AffineMap, convolution_map
from jukebox.nn.conv1d import ResidualBlock

# Inside a chain rows are plain tensors [time, channels]: checking each of them would slow the tests tenfold.
Rows = Tensor
Room = Callable[[int], Rows]

# Up to so many columns in all, a map's products are formed at once instead of tap by tap: a product of a few
# columns runs at the speed of memory.
_NARROW = 16

# Numbers in one activation of a residual block at a time: 2 MiB of float32.
_TILE_ELEMENTS = 1 << 19


class Window:
    """The rows that a layer still needs: appended at one end, dropped at the other, contiguous all the time."""

    def __init__(self, like: Tensor, width: int) -> None:
        self.rows = like.new_empty(0, width)
        self.start = self.end = 0

    def __len__(self) -> int:
        return self.end - self.start

    def grow(self, count: int) -> Rows:
        """Room for `count` rows at the end, to be written by the caller."""
        if self.end + count > len(self.rows):
            kept = self.rows[self.start : self.end]
            # Rows are moved to the front; with room for as many new ones as are kept, that is amortised.
            capacity = len(self) + max(count, len(self))
            if capacity > len(self.rows) or self.start < len(self):
                self.rows = self.rows.new_empty(max(capacity, len(self.rows)), self.rows.shape[1])
            self.rows[: len(kept)] = kept
            self.start, self.end = 0, len(kept)
        self.end += count
        return self.rows[self.end - count : self.end]

    def view(self, offset: int, count: int) -> Rows:
        """`count` rows, beginning `offset` rows after the oldest."""
        return self.rows[self.start + offset : self.start + offset + count]

    def drop(self, count: int) -> None:
        """Forget the oldest `count` rows."""
        self.start += count


@runtime_checkable
class Layer(Protocol):
    """A part of a chain."""

    def accept(self, count: int) -> Rows:
        """Room for the next `count` rows of input, to be written by the caller before `run`."""
        ...

    def end(self) -> None:
        """The signal has ended."""
        ...

    def run(self, room: Room) -> None:
        """Compute every row of output that is final, into the room that is asked for."""
        ...


class AffineLayer:
    """One `AffineMap`."""

    def __init__(self, affine: AffineMap) -> None:
        self.map = affine
        self.window = Window(affine.bias, affine.inputs)
        self.window.grow(affine.lead).zero_()
        self.begun = self.ended = False
        self.phases = [[tap for tap in affine.taps if tap.phase == p] for p in range(affine.phases)]
        contiguous = [tap.offset for tap in affine.taps] == list(range(-affine.lead, affine.reach - affine.lead))
        self.gathered = self.side_by_side = None
        if affine.phases == 1 and contiguous and len(affine.taps) * affine.inputs <= _NARROW:
            self.gathered = torch.stack([tap.matrix for tap in affine.taps], 1).flatten(0, 1)
        elif affine.stride == 1 and len(affine.taps) * affine.outputs <= _NARROW:
            self.side_by_side = torch.cat([tap.matrix for tap in affine.taps], 1)

    def accept(self, count: int) -> Rows:
        """Room for input."""
        return self.window.grow(count)

    def end(self) -> None:
        """Zeros follow the signal."""
        self.window.grow(self.map.trailing).zero_()
        self.ended = True

    def run(self, room: Room) -> None:
        """All complete steps."""
        count = max(0, (len(self.window) - self.map.reach) // self.map.stride + 1)
        if count == 0:
            return
        # One row per step, the phases side by side.
        result = room(count * self.map.phases).view(count, -1)
        if self.gathered is not None:
            self._gather(result)
        elif self.side_by_side is not None:
            self._side_by_side(result)
        else:
            self._tap_by_tap(result)
        self._edges(result)
        self.window.drop(count * self.map.stride)

    def _tap_by_tap(self, result: Rows) -> None:
        span = (len(result) - 1) * self.map.stride + 1
        for taps, part in zip(self.phases, result.split(self.map.outputs, 1), strict=True):
            for index, tap in enumerate(taps):
                rows = self.window.view(self.map.lead + tap.offset, span)[:: self.map.stride]
                if index == 0:
                    torch.addmm(self.map.bias, rows, tap.matrix, out=part)
                else:
                    part.addmm_(rows, tap.matrix)

    def _gather(self, result: Rows) -> None:
        assert self.gathered is not None
        rows = self.window.view(0, (len(result) - 1) * self.map.stride + self.map.reach)
        # [steps, channels, reach] -> [steps, channels * reach]
        torch.addmm(
            self.map.bias,
            rows.unfold(0, self.map.reach, self.map.stride).flatten(1),
            self.gathered,
            out=result,
        )

    def _side_by_side(self, result: Rows) -> None:
        assert self.side_by_side is not None
        products = self.window.view(0, len(result) + self.map.reach - 1) @ self.side_by_side
        parts = result.split(self.map.outputs, 1)
        for part in parts:
            part.copy_(self.map.bias.expand_as(part))
        for tap, product in zip(self.map.taps, products.split(self.map.outputs, 1), strict=True):
            first = self.map.lead + tap.offset
            parts[tap.phase].add_(product[first : first + len(result)])

    def _edges(self, result: Rows) -> None:
        if self.map.head is not None and not self.begun:
            first = self.window.view(self.map.lead, 1)
            result[:1, : self.map.outputs] -= first @ self.map.head.matrix + self.map.head.bias
        if self.map.tail is not None and self.ended:
            last = self.window.view(self.map.lead + len(result) - 1, 1)
            result[-1:, -self.map.outputs :] -= last @ self.map.tail.matrix + self.map.tail.bias
        self.begun = True


class Scratch:
    """Memory for intermediate rows that no layer keeps: shared by the layers of a chain, so it stays in the cache."""

    def __init__(self, like: Tensor) -> None:
        self.memory = like.new_empty(0)

    def take(self, *shape: tuple[int, int]) -> list[Rows]:
        """Unwritten rows of these shapes, which the next call may give away again."""
        sizes = [rows * width for rows, width in shape]
        if sum(sizes) > len(self.memory):
            self.memory = self.memory.new_empty(sum(sizes))
        parts = self.memory[: sum(sizes)].split(sizes)
        return [part.view(rows, width) for part, (rows, width) in zip(parts, shape, strict=True)]


class ResidualLayer:
    """A residual block: its window serves the identity and, rectified anew for each chunk, the dilated kernel."""

    def __init__(self, block: ResidualBlock, scratch: Scratch) -> None:
        dilated, pointwise = convolution_map(block.dilated), convolution_map(block.pointwise)
        self.dilation, self.width, self.hidden_width = dilated.lead, dilated.inputs, dilated.outputs
        self.taps, self.bias = [tap.matrix for tap in dilated.taps], dilated.bias
        self.pointwise, self.pointwise_bias = pointwise.taps[0].matrix, pointwise.bias
        self.scale, self.scratch = block.scale, scratch
        self.tile = max(1, _TILE_ELEMENTS // self.width)
        self.window = Window(self.bias, self.width)
        self.window.grow(self.dilation).zero_()

    def accept(self, count: int) -> Rows:
        """Room for input."""
        return self.window.grow(count)

    def end(self) -> None:
        """Zeros follow the signal."""
        self.window.grow(self.dilation).zero_()

    def run(self, room: Room) -> None:
        """The rows `dilation` before the newest."""
        count = len(self.window) - 2 * self.dilation
        if count <= 0:
            return
        result = room(count)
        for start in range(0, count, self.tile):
            self._block(start, result[start : start + self.tile])
        self.window.drop(count)

    def _block(self, start: int, result: Rows) -> None:
        count = len(result)
        span = count + 2 * self.dilation
        rectified, hidden = self.scratch.take((span, self.width), (count, self.hidden_width))
        torch.clamp_min(self.window.view(start, span), 0, out=rectified)
        torch.addmm(self.bias, rectified[:count], self.taps[0], out=hidden)
        hidden.addmm_(rectified[self.dilation : self.dilation + count], self.taps[1])
        hidden.addmm_(rectified[2 * self.dilation :], self.taps[2]).relu_()
        identity = self.window.view(start + self.dilation, count)
        torch.add(identity, self.pointwise_bias, alpha=self.scale, out=result)
        result.addmm_(hidden, self.pointwise, alpha=self.scale)


class Chain:
    """Layers one after another. The rows that a call returns may be overwritten by the next call."""

    def __init__(self, layers: Iterable[Layer], like: Tensor, outputs: int) -> None:
        self.layers = list(layers)
        self.output = Window(like, outputs)

    def push(self, rows: Float[Tensor, "time channels"]) -> Float[Tensor, "new_time width"]:
        """Take the next rows of the signal; return those of the output that are final now."""
        self.layers[0].accept(len(rows)).copy_(rows)
        for layer, room in self._connected():
            layer.run(room)
        return self._take()

    def finish(self) -> Float[Tensor, "new_time width"]:
        """The rest of the output: the signal has ended, and the chain cannot be used again."""
        for layer, room in self._connected():
            layer.end()
            layer.run(room)
        return self._take()

    def _connected(self) -> Iterator[tuple[Layer, Room]]:
        """Each layer with the room that the next one gives it."""
        return zip(self.layers, [*(layer.accept for layer in self.layers[1:]), self.output.grow], strict=True)

    def _take(self) -> Rows:
        rows = self.output.view(0, len(self.output))
        self.output.drop(len(rows))
        return rows
