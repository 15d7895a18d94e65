"""The losses of the VQ-VAE: on the waveform, on its spectrum, and on the latents (facts 2.3)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from jukebox.audio.spectral import spectral_distance
from jukebox.config import LossConfig

Audio = Float[Tensor, "batch channels samples"]
Scalar = Float[Tensor, ""]


@dataclass(frozen=True, kw_only=True)
class Bandwidth:
    """What makes the losses independent of loudness, measured on the training data.

    l1: mean absolute sample; l2: variance of the samples; spectral: mean Frobenius norm of an excerpt's magnitudes
    (n_fft 2048, hop 256, window 1536).
    """

    l1: float = 1.0
    l2: float = 1.0
    spectral: float = 1.0


def emphasised(audio: Audio, emphasis: float) -> Audio:
    """x[t] - emphasis x[t - 1], with silence before the first sample."""
    return audio - emphasis * F.pad(audio[..., :-1], (1, 0)) if emphasis else audio


def l1_loss(target: Audio, estimate: Audio, bandwidth: Bandwidth) -> Scalar:
    """Mean absolute error over the mean absolute sample."""
    return (target - estimate).abs().mean() / bandwidth.l1


def l2_loss(target: Audio, estimate: Audio, bandwidth: Bandwidth) -> Scalar:
    """Mean squared error over the variance."""
    return (target - estimate).square().mean() / bandwidth.l2


def linf_loss(target: Audio, estimate: Audio, bandwidth: Bandwidth, k: int) -> Scalar:
    """Mean of the `k` largest squared errors of each item over the variance."""
    errors = (target - estimate).square().flatten(1)
    return errors.topk(min(k, errors.shape[1]), 1).values.mean() / bandwidth.l2


def waveform_loss(target: Audio, estimate: Audio, config: LossConfig, bandwidth: Bandwidth) -> Scalar:
    """The term that `config.reconstruction` names."""
    if config.reconstruction == "l1":
        return l1_loss(target, estimate, bandwidth)
    if config.reconstruction == "l2":
        return l2_loss(target, estimate, bandwidth)
    if config.reconstruction == "linf":
        return linf_loss(target, estimate, bandwidth, config.linf_k)
    loss = torch.zeros((), device=target.device)
    if config.mix_l1:
        loss = loss + config.mix_l1 * l1_loss(target, estimate, bandwidth)
    if config.mix_l2:
        loss = loss + config.mix_l2 * l2_loss(target, estimate, bandwidth)
    if config.mix_linf:
        loss = loss + config.mix_linf * linf_loss(target, estimate, bandwidth, config.linf_k)
    return loss


def spectral_loss(target: Audio, estimate: Audio, config: LossConfig, bandwidth: Bandwidth) -> Scalar:
    """Distance of the magnitudes at one resolution (2048, hop 256, window 1536); relative if `config` says so."""
    distance, norm = _distance(target, estimate, (2048, 256, 1536))
    return (distance / norm).mean() if config.relative else distance.mean() / bandwidth.spectral


def multispectral_loss(target: Audio, estimate: Audio, config: LossConfig, bandwidth: Bandwidth) -> Scalar:
    """Mean of the distances of the magnitudes at every resolution of `config`."""
    resolutions = list(zip(config.n_ffts, config.hop_lengths, config.window_lengths, strict=True))
    distances = [_distance(target, estimate, resolution)[0] for resolution in resolutions]
    return torch.stack(distances).mean() / bandwidth.spectral


def _distance(
    target: Audio, estimate: Audio, resolution: tuple[int, int, int]
) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    n_fft, hop_length, window_length = resolution
    # Channels are mixed to one before the transform.
    return spectral_distance(
        target.mean(1), estimate.mean(1), n_fft=n_fft, hop_length=hop_length, window_length=window_length
    )


def commit_loss(latents: Tensor, quantised: Tensor) -> Scalar:
    """Mean over all elements of the squared distance of latents to their (constant) codes."""
    return (quantised.detach() - latents).square().mean()


def codebook_loss(latents: Tensor, quantised: Tensor) -> Scalar:
    """The same distance seen from the codes: their gradient where no moving average teaches them."""
    return (quantised - latents.detach()).square().mean()


def measure_bandwidth(audio: Audio, emphasis: float = 0.0) -> Bandwidth:
    """The bandwidth of an excerpt as the losses hear it, which training averages over many (facts 2.3)."""
    audio = emphasised(audio, emphasis)
    waves = audio.mean(1)
    _, norm = spectral_distance(waves, waves, n_fft=2048, hop_length=256, window_length=1536)
    return Bandwidth(l1=float(audio.abs().mean()), l2=float(audio.var(correction=0)), spectral=float(norm.mean()))
