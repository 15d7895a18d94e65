"""Sound to codes and codes to sound, chunk by chunk: any length in bounded memory, equal to the whole-window form.

Input is gathered into chunks of a fixed size, counted from the beginning of the sound, before anything is computed:
the same sound gives the same bytes however it arrives.
"""

from collections.abc import Iterable, Iterator
from typing import cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from jukebox.errors import AudioError
from jukebox.nn.affine import convolution_map, then, transposed_map
from jukebox.nn.conv1d import DownStep, ResidualBlock, UpStep
from jukebox.nn.conv_stream import AffineLayer, Chain, Layer, ResidualLayer, Scratch
from jukebox.vqvae.codebook import look_up, nearest_codes
from jukebox.vqvae.decoder import Decoder, DecoderStage
from jukebox.vqvae.encoder import Encoder, EncoderStage
from jukebox.vqvae.vqvae import VQVAE

# Fewer samples make the products too small for their overhead, more push a layer's rows out of the cache.
CHUNK_SAMPLES = 49152

# Rows of distances at once: 256 x 2048 float32 is 2 MiB.
_LOOK_UP_ROWS = 256


def encoder_chain(encoder: Encoder) -> Chain:
    """The stream of an encoder: rows [samples, channels] to rows [codes, embedding]."""
    stages = cast(list[EncoderStage], list(encoder.stages))
    scratch = Scratch(stages[0].output.weight.detach())
    layers: list[Layer] = []
    for stage in stages:
        for step in cast(list[DownStep], stage.steps):
            layers += [AffineLayer(convolution_map(step.downsample)), *_residuals(step, scratch)]
        layers.append(AffineLayer(convolution_map(stage.output)))
    last = stages[-1].output
    return Chain(layers, last.weight.detach(), last.out_channels)


def decoder_chain(decoder: Decoder) -> Chain:
    """The stream of a decoder: rows [codes, embedding] to rows [samples, channels]."""
    stages = cast(list[DecoderStage], list(decoder.stages))[::-1]
    scratch = Scratch(decoder.output.weight.detach())
    layers: list[Layer] = [AffineLayer(convolution_map(stages[0].input))]
    # What follows the last upsampling of each stage: the next stage's first convolution, or the output's.
    for stage, following in zip(stages, [*(s.input for s in stages[1:]), decoder.output], strict=True):
        steps = cast(list[UpStep], list(stage.steps))
        for step in steps:
            upsampling = transposed_map(step.upsample)
            if step is steps[-1]:
                upsampling = then(upsampling, convolution_map(following))
            layers += [*_residuals(step, scratch), AffineLayer(upsampling)]
    return Chain(layers, decoder.output.weight.detach(), decoder.output.out_channels)


def _residuals(step: DownStep | UpStep, scratch: Scratch) -> Iterator[ResidualLayer]:
    for block in step.blocks:
        yield ResidualLayer(cast(ResidualBlock, block), scratch)


@torch.no_grad()
def encode_stream(
    model: VQVAE,
    blocks: Iterable[Float[Tensor, "channels _"]],
    levels: tuple[int, ...],
    chunk_samples: int = CHUNK_SAMPLES,
) -> Iterator[dict[int, Int64[Tensor, " _"]]]:
    """Codes of the given levels as they become final, from sound in blocks of any size.

    The sound is followed by silence up to a multiple of the coarsest level's hop, so that the last samples have codes
    too: level k gives ceil(samples / coarsest hop) * coarsest hop / hop[k] codes in all.

    Args:
        model: in evaluation mode; the blocks are on its device.
        blocks: sound with the model's sample rate and channels.
        levels: which levels to encode.
        chunk_samples: samples computed at once, rounded up to the coarsest hop.

    Yields:
        For each level the codes that follow those already given; perhaps none.

    Raises:
        AudioError: the sound has other channels than the model.
    """
    coarsest = model.config.hops[-1]
    chunk = -(-chunk_samples // coarsest) * coarsest
    chains = {level: encoder_chain(cast(Encoder, model.encoders[level])) for level in levels}
    vectors = {level: model.vectors(level) for level in levels}
    rows = rechunk((_rows(block, model.config.channels) for block in blocks), chunk)
    for piece in rows:
        missing = -len(piece) % coarsest
        if missing:
            piece = torch.cat([piece, piece.new_zeros(missing, piece.shape[1])])
        # Latents leave a chain in a window that its next call writes to again; codes are new memory.
        yield {level: nearest_codes(chains[level].push(piece), vectors[level], _LOOK_UP_ROWS) for level in levels}
    yield {level: nearest_codes(chains[level].finish(), vectors[level], _LOOK_UP_ROWS) for level in levels}


@torch.no_grad()
def decode_stream(
    model: VQVAE,
    blocks: Iterable[Int64[Tensor, " _"]],
    level: int,
    chunk_samples: int = CHUNK_SAMPLES,
) -> Iterator[Float[Tensor, "channels _"]]:
    """The sound of one level's codes as it becomes final: codes * hop samples in all.

    Args:
        model: in evaluation mode; the blocks are on its device.
        blocks: codes of the level, in pieces of any size.
        level: which level they belong to.
        chunk_samples: samples computed at once, rounded up to the coarsest hop.
    """
    decoder = StreamDecoder(model, level, chunk_samples)
    for codes in blocks:
        yield from decoder.push(codes)
    yield decoder.finish()


class StreamDecoder:
    """The same as `decode_stream`, bit for bit, for codes that are pushed as they come."""

    def __init__(self, model: VQVAE, level: int, chunk_samples: int = CHUNK_SAMPLES) -> None:
        coarsest = model.config.hops[-1]
        self._chunk = -(-chunk_samples // coarsest) * coarsest // model.config.hops[level]
        self._chain = decoder_chain(cast(Decoder, model.decoders[level]))
        self._vectors = model.vectors(level)
        self._waiting: list[Int64[Tensor, " _"]] = []

    @torch.no_grad()
    def push(self, codes: Int64[Tensor, " _"]) -> Iterator[Float[Tensor, "channels _"]]:
        """The sound that becomes final with these codes, in pieces; perhaps none."""
        self._waiting.append(codes)
        if sum(map(len, self._waiting)) < self._chunk:
            return
        whole = torch.cat(self._waiting)
        end = len(whole) - len(whole) % self._chunk
        self._waiting = [whole[end:]]
        for piece in whole[:end].split(self._chunk):
            yield self._sound(piece)

    @torch.no_grad()
    def finish(self) -> Float[Tensor, "channels _"]:
        """The sound that is left after the last codes."""
        rest = torch.cat(self._waiting) if self._waiting else None
        ends = [self._sound(rest)] if rest is not None and len(rest) else []
        return torch.cat([*ends, self._chain.finish().t().clone()], 1)

    def _sound(self, codes: Int64[Tensor, " _"]) -> Float[Tensor, "channels _"]:
        return self._chain.push(look_up(codes, self._vectors)).t().clone()


def rechunk(pieces: Iterable[Tensor], length: int) -> Iterator[Tensor]:
    """The same entries in pieces of `length` along the first axis; the last may be shorter."""
    waiting: list[Tensor] = []
    count = 0
    for piece in pieces:
        while len(piece):
            taken = piece[: length - count]
            waiting.append(taken)
            count += len(taken)
            piece = piece[len(taken) :]
            if count == length:
                yield waiting[0] if len(waiting) == 1 else torch.cat(waiting)
                waiting, count = [], 0
    if waiting:
        yield torch.cat(waiting)


def _rows(block: Float[Tensor, "channels samples"], channels: int) -> Float[Tensor, "samples channels"]:
    if block.shape[0] != channels:
        raise AudioError(f"The sound has {block.shape[0]} channels; the model takes {channels}: mix it down first.")
    return block.t()
