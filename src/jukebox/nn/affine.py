"""Convolutions as lists of matrices: what a chunk of time-major rows is multiplied with.

A convolution, strided or transposed, maps rows `stride * t + offset` of its input to rows `phases * t + phase` of
its output, by one matrix per tap. Two of them with nothing between are one again, with fewer operations: a decoder's
last upsampling and its output convolution shrink from 64 channels at the full rate to six columns at half of it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from jukebox.nn.conv1d import Conv1d, ConvTranspose1d

Matrix = Float[Tensor, "input output"]


@dataclass(frozen=True, kw_only=True)
class Tap:
    """Input row `stride * t + offset` times `matrix` enters output row `phases * t + phase`."""

    phase: int
    offset: int
    matrix: Matrix


@dataclass(frozen=True, kw_only=True)
class Edge:
    """What to take away at an end of the signal: the product of the outermost input row, and a constant."""

    matrix: Matrix
    bias: Float[Tensor, " output"]


@dataclass(frozen=True, kw_only=True)
class AffineMap:
    """A convolution of rows: `trailing` zero rows follow the signal, `-min(offset)` precede it."""

    stride: int
    phases: int
    taps: tuple[Tap, ...]
    bias: Float[Tensor, " output"]
    trailing: int
    head: Edge | None = None
    tail: Edge | None = None

    @property
    def lead(self) -> int:
        """Zero rows before the signal."""
        return -min(tap.offset for tap in self.taps)

    @property
    def reach(self) -> int:
        """Rows of input that one step looks at."""
        return max(tap.offset for tap in self.taps) + self.lead + 1

    @property
    def inputs(self) -> int:
        """Channels of the input."""
        return self.taps[0].matrix.shape[0]

    @property
    def outputs(self) -> int:
        """Channels of the output."""
        return self.taps[0].matrix.shape[1]


def convolution_map(conv: Conv1d) -> AffineMap:
    """The map of a convolution with any kernel, stride and dilation."""
    (stride,), (dilation,), (padding,) = conv.stride, conv.dilation, conv.padding
    matrices = conv.weight.detach().permute(2, 1, 0).contiguous()
    taps = [Tap(phase=0, offset=k * dilation - int(padding), matrix=m) for k, m in enumerate(matrices)]
    return AffineMap(stride=stride, phases=1, taps=tuple(taps), bias=_bias(conv), trailing=int(padding))


def transposed_map(conv: ConvTranspose1d) -> AffineMap:
    """The map of a transposed convolution whose kernel is twice its stride.

    Output row o receives tap k of input row i where o = stride * i - padding + k.
    """
    (stride,), (padding,) = conv.stride, conv.padding
    assert conv.kernel_size == (2 * stride,)
    taps = []
    for k, matrix in enumerate(conv.weight.detach().permute(2, 0, 1).contiguous()):
        phase = (k - int(padding)) % stride
        taps.append(Tap(phase=phase, offset=(phase + int(padding) - k) // stride, matrix=matrix))
    trailing = max(tap.offset for tap in taps)
    return AffineMap(stride=1, phases=stride, taps=tuple(taps), bias=_bias(conv), trailing=trailing)


def then(first: AffineMap, second: AffineMap) -> AffineMap:
    """An upsampling followed by a convolution of kernel 3 without stride or dilation, as one map.

    The convolution sees zeros just beyond the upsampled signal, where the combined map would see the upsampling's
    bias and outermost row: `head` and `tail` take those away again.
    """
    offsets = sorted(tap.offset for tap in second.taps)
    assert first.stride == second.stride == second.phases == 1
    assert offsets == [-1, 0, 1]
    # Products of weights are formed in float64, so that the combined weights are as exact as the parts.
    matrices: dict[tuple[int, int], Tensor] = {}
    for outer in second.taps:
        for phase in range(first.phases):
            shift, inner_phase = divmod(phase + outer.offset, first.phases)
            for inner in first.taps:
                if inner.phase == inner_phase:
                    key = (phase, shift + inner.offset)
                    product = inner.matrix.double() @ outer.matrix.double()
                    matrices[key] = matrices[key] + product if key in matrices else product
    kind = first.bias.dtype
    by_offset = {tap.offset: tap.matrix.double() for tap in second.taps}
    bias = first.bias.double() @ sum(by_offset.values(), torch.zeros_like(by_offset[0])) + second.bias.double()

    def edge(inner_phase: int, inner_offset: int, outer_offset: int) -> Edge:
        beyond = [t for t in first.taps if (t.phase, t.offset) == (inner_phase, inner_offset)]
        matrix = sum((t.matrix.double() for t in beyond), torch.zeros(first.inputs, first.outputs).to(bias))
        outer = by_offset[outer_offset]
        return Edge(matrix=(matrix @ outer).to(kind), bias=(first.bias.double() @ outer).to(kind))

    taps = [Tap(phase=p, offset=o, matrix=m.to(kind)) for (p, o), m in sorted(matrices.items(), key=lambda i: i[0])]
    return AffineMap(
        stride=1,
        phases=first.phases,
        taps=tuple(taps),
        bias=bias.to(kind),
        trailing=max(tap.offset for tap in taps),
        head=edge(first.phases - 1, 1, -1),
        tail=edge(0, -1, 1),
    )


def _bias(conv: Conv1d | ConvTranspose1d) -> Tensor:
    assert conv.bias is not None
    return conv.bias.detach()
