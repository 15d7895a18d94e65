"""The VQ-VAE: one encoder, codebook and decoder per level, each fed with the waveform (facts 2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from jukebox.config import CodebookConfig, VqvaeConfig
from jukebox.vqvae.codebook import look_up, nearest_codes, rotation_trick, straight_through
from jukebox.vqvae.decoder import Decoder
from jukebox.vqvae.encoder import Encoder
from jukebox.vqvae.losses import (
    Bandwidth,
    codebook_loss,
    commit_loss,
    emphasised,
    multispectral_loss,
    spectral_loss,
    waveform_loss,
)

Audio = Float[Tensor, "batch channels samples"]
Latents = Float[Tensor, "batch codes embedding"]
Codes = Int64[Tensor, "batch codes"]
Scalar = Float[Tensor, ""]


class Codebook(nn.Module):
    """The vectors of one level, and the running sums that teach them.

    `ema_sum` and `ema_count` are saved with the model, so that training resumes exactly. They are updated by
    `jukebox.vqvae.codebook_ema`, never by a forward pass.
    """

    def __init__(self, config: CodebookConfig, embedding_width: int) -> None:
        super().__init__()
        vectors = torch.zeros(config.size, embedding_width)
        if config.learning == "gradient":
            self.vectors = nn.Parameter(vectors)
        else:
            self.register_buffer("vectors", vectors)
        self.register_buffer("ema_sum", torch.zeros(config.size, embedding_width))
        self.register_buffer("ema_count", torch.zeros(config.size))

    vectors: Tensor
    ema_sum: Tensor
    ema_count: Tensor

    @property
    def initialised(self) -> bool:
        """Whether the vectors have been set, by a first batch or from a file."""
        return bool(self.ema_count.any())


@dataclass(frozen=True, kw_only=True)
class LevelOutput:
    """What a forward pass computed at one level."""

    latents: Latents
    codes: Codes | None
    reconstruction: Audio
    waveform_loss: Scalar
    spectral_loss: Scalar
    multispectral_loss: Scalar
    commit_loss: Scalar
    codebook_loss: Scalar


@dataclass(frozen=True, kw_only=True)
class VqvaeOutput:
    """The total loss, and the part of each level that was computed, in the order that was asked for."""

    loss: Scalar
    levels: tuple[LevelOutput, ...]


class VQVAE(nn.Module):
    """Sound to codes and back at every level; parameters only, nothing changes in a forward pass."""

    def __init__(self, config: VqvaeConfig) -> None:
        super().__init__()
        self.config = config
        self.encoders = nn.ModuleList(Encoder(config, level) for level in range(config.levels))
        self.codebooks = nn.ModuleList(Codebook(config.codebook, config.embedding_width) for _ in range(config.levels))
        self.decoders = nn.ModuleList(Decoder(config, level) for level in range(config.levels))

    def latents(self, audio: Audio, level: int, recompute: bool = False) -> Latents:
        """The encoder's output of one level: floor(samples / hop) vectors."""
        return self.encoders[level](audio.transpose(1, 2).contiguous(), recompute)

    def encode(self, audio: Audio) -> list[Codes]:
        """Codes of every level, finest first: floor(samples / hop) of each.

        The whole window at once; for files and long sound use `jukebox.vqvae.streaming`.
        """
        return [nearest_codes(self.latents(audio, level), self.vectors(level)) for level in range(self.config.levels)]

    def decode(self, codes: Codes, level: int) -> Audio:
        """The sound that the codes of one level stand for: codes * hop samples."""
        return self.decode_latents(look_up(codes, self.vectors(level)), level)

    def decode_latents(self, latents: Latents, level: int, recompute: bool = False) -> Audio:
        """The decoder of one level."""
        return self.decoders[level](latents, recompute).transpose(1, 2)

    def vectors(self, level: int) -> Float[Tensor, "size embedding"]:
        """The codebook of one level."""
        return cast(Codebook, self.codebooks[level]).vectors

    def forward(
        self, audio: Audio, bandwidth: Bandwidth, *, levels: Sequence[int] | None = None, recompute: bool = False
    ) -> VqvaeOutput:
        """Reconstructions and losses of some levels.

        Args:
            audio: of a length that is a multiple of the coarsest hop, so that each level gives the whole of it back.
            bandwidth: of the training data.
            levels: which ones; None for all, finest first.
            recompute: keep only the inputs of residual blocks and compute these again for the gradient: less memory,
                a third more time.
        """
        chosen = range(self.config.levels) if levels is None else levels
        outputs = tuple(self._level(audio, bandwidth, level, recompute) for level in chosen)
        weights, total = self.config.loss, torch.zeros((), device=audio.device)
        for output in outputs:
            total = total + output.waveform_loss + weights.commit * output.commit_loss
            total = total + weights.spectral * output.spectral_loss
            total = total + weights.multispectral * output.multispectral_loss
            total = total + weights.codebook * output.codebook_loss
        return VqvaeOutput(loss=total, levels=outputs)

    def _level(self, audio: Audio, bandwidth: Bandwidth, level: int, recompute: bool) -> LevelOutput:
        latents = self.latents(audio, level, recompute)
        zero = torch.zeros((), device=audio.device)
        codes, commit, codebook, decoded = None, zero, zero, latents
        if self.config.quantise:
            vectors = self.vectors(level)
            codes = nearest_codes(latents, vectors)
            quantised = look_up(codes, vectors)
            commit = commit_loss(latents, quantised)
            if self.config.loss.codebook:
                codebook = codebook_loss(latents, quantised)
            rotate = self.config.codebook.gradient == "rotation"
            decoded = (rotation_trick if rotate else straight_through)(latents, quantised)
        reconstruction = self.decode_latents(decoded, level, recompute)
        config = self.config.loss
        target, estimate = (emphasised(each, config.emphasis) for each in (audio, reconstruction))
        spectral, multispectral = zero, zero
        if config.spectral:
            spectral = spectral_loss(target, estimate, config, bandwidth)
        if config.multispectral:
            multispectral = multispectral_loss(target, estimate, config, bandwidth)
        return LevelOutput(
            latents=latents,
            codes=codes,
            reconstruction=reconstruction,
            waveform_loss=waveform_loss(target, estimate, config, bandwidth),
            spectral_loss=spectral,
            multispectral_loss=multispectral,
            commit_loss=commit,
            codebook_loss=codebook,
        )
