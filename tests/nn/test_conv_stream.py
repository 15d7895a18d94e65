"""Streaming is the whole window, however the rows arrive."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jukebox.nn.affine import convolution_map, then, transposed_map
from jukebox.nn.conv1d import Conv1d, ConvTranspose1d, ResidualBlock
from jukebox.nn.conv_stream import AffineLayer, Chain, ResidualLayer, Scratch, Window

TOLERANCE = 5e-6  # measured 1e-6 on values of order 1: another order of summation

lengths = st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(any)


def streamed(chain: Chain, x: torch.Tensor, pieces: list[int]) -> torch.Tensor:
    """The rows of `x` through the chain, in pieces of these lengths."""
    with torch.no_grad():
        return torch.cat([*(chain.push(piece).clone() for piece in x.split(pieces)), chain.finish()])


def assert_same(chain: Chain, module: torch.nn.Module, x: torch.Tensor, pieces: list[int]) -> None:
    with torch.no_grad():
        expected = module(x[None])[0]
    torch.testing.assert_close(streamed(chain, x, pieces), expected, atol=TOLERANCE, rtol=0)


@settings(max_examples=60, deadline=None)
@given(
    pieces=lengths,
    channels=st.sampled_from([1, 2, 5, 32]),
    outputs=st.sampled_from([1, 3, 32]),
    shape=st.sampled_from([(3, 1, 1), (3, 1, 9), (1, 1, 1), (4, 2, 1), (8, 4, 1)]),
)
def test_convolution(pieces: list[int], channels: int, outputs: int, shape: tuple[int, int, int]) -> None:
    kernel, stride, dilation = shape
    torch.manual_seed(0)
    padding = stride // 2 if stride > 1 else dilation * (kernel - 1) // 2
    conv = Conv1d(channels, outputs, kernel, stride, padding=padding, dilation=dilation)
    # Below one stride the whole-window form has no output and refuses.
    x = torch.randn(max(sum(pieces), stride), channels)
    pieces = [*pieces, len(x) - sum(pieces)]
    assert_same(Chain([AffineLayer(convolution_map(conv))], conv.weight, outputs), conv, x, pieces)


@settings(max_examples=30, deadline=None)
@given(pieces=lengths, stride=st.sampled_from([2, 4]), outputs=st.sampled_from([1, 7]))
def test_transposed_convolution(pieces: list[int], stride: int, outputs: int) -> None:
    torch.manual_seed(0)
    conv = ConvTranspose1d(5, outputs, 2 * stride, stride, padding=stride // 2)
    chain = Chain([AffineLayer(transposed_map(conv))], conv.weight, outputs)
    assert_same(chain, conv, torch.randn(sum(pieces), 5), pieces)


@settings(max_examples=40, deadline=None)
@given(pieces=lengths, stride=st.sampled_from([2, 4, 6]), outputs=st.sampled_from([1, 2, 7]))
def test_upsampling_then_convolution_as_one_map(pieces: list[int], stride: int, outputs: int) -> None:
    """Both ends included, where the second convolution sees zeros and not the first one's bias."""
    torch.manual_seed(0)
    up = ConvTranspose1d(5, 6, 2 * stride, stride, padding=stride // 2)
    conv = Conv1d(6, outputs, 3, padding=1)
    chain = Chain([AffineLayer(then(transposed_map(up), convolution_map(conv)))], conv.weight, outputs)
    assert_same(chain, torch.nn.Sequential(up, conv), torch.randn(sum(pieces), 5), pieces)


@settings(max_examples=40, deadline=None)
@given(pieces=lengths, dilations=st.lists(st.sampled_from([1, 3, 9, 27]), min_size=1, max_size=4))
def test_residual_blocks(pieces: list[int], dilations: list[int]) -> None:
    torch.manual_seed(0)
    blocks = [ResidualBlock(4, 6, dilation, scale=0.5) for dilation in dilations]
    scratch = Scratch(torch.empty(0))
    chain = Chain([ResidualLayer(block, scratch) for block in blocks], torch.empty(0), 4)
    assert_same(chain, torch.nn.Sequential(*blocks), torch.randn(sum(pieces), 4), pieces)


def test_a_window_keeps_its_rows_and_little_else() -> None:
    window = Window(torch.empty(0), 1)
    written, read = 0, 0
    for count in [3, 0, 5, 2, 8, 1] * 50:
        window.grow(count)[:, 0] = torch.arange(written, written + count)
        written += count
        if len(window) > 6:
            taken = len(window) - 6
            assert window.view(0, taken)[:, 0].tolist() == list(range(read, read + taken))
            window.drop(taken)
            read += taken
    assert len(window.rows) <= 4 * 14
