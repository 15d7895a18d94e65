"""Short-time Fourier transforms and what is measured on them: shared by the training losses and the metrics."""

import torch
from jaxtyping import Float
from torch import Tensor

Waves = Float[Tensor, "batch samples"]


def magnitudes(waves: Waves, n_fft: int, hop_length: int, window_length: int) -> Float[Tensor, "batch bins frames"]:
    """Linear magnitudes of the transform: Hann window, centred frames, reflected ends (facts 2.3)."""
    # float32 whatever the model's precision: the transform has no half-precision form, and losses need its range.
    waves = waves.float()
    window = torch.hann_window(window_length, device=waves.device)
    spectrum = torch.stft(waves, n_fft, hop_length, window_length, window, center=True, return_complex=True)
    return spectrum.abs()


def spectral_distance(
    target: Waves, estimate: Waves, *, n_fft: int, hop_length: int, window_length: int
) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    """Frobenius norms over bins and frames: of the difference of the magnitudes, and of the target's magnitudes."""
    reference = magnitudes(target, n_fft, hop_length, window_length)
    difference = reference - magnitudes(estimate, n_fft, hop_length, window_length)
    return _frobenius(difference), _frobenius(reference)


def spectral_convergence(target: Waves, estimate: Waves, epsilon: float = 2e-3) -> Float[Tensor, " batch"]:
    """|S - S'| / max(|S|, epsilon) of each item, 0 for silence (facts 2.6); 20 log10 of it is in decibels."""
    difference, norm = spectral_distance(target, estimate, n_fft=2048, hop_length=256, window_length=1536)
    return torch.where(norm > epsilon, difference / norm.clamp_min(epsilon), torch.zeros_like(norm))


def scale_invariant_ratio(target: Waves, estimate: Waves) -> Float[Tensor, " batch"]:
    """SI-SDR in decibels, higher is better: both without their mean, the estimate projected on the target."""
    target = target - target.mean(1, keepdim=True)
    estimate = estimate - estimate.mean(1, keepdim=True)
    scale = (target * estimate).sum(1, keepdim=True) / target.square().sum(1, keepdim=True).clamp_min(1e-20)
    projection = scale * target
    noise = (projection - estimate).square().sum(1).clamp_min(1e-20)
    return 10 * torch.log10(projection.square().sum(1).clamp_min(1e-20) / noise)


def log_mel_distance(target: Waves, estimate: Waves, sample_rate: int, bands: int = 80) -> Float[Tensor, " batch"]:
    """Mean absolute difference of log10 mel magnitudes: 80 bands, window 2048, hop 512, floor 1e-5 (facts 7)."""
    n_fft = 2048
    filters = mel_filters(sample_rate, n_fft, bands).to(target.device)
    logs = [
        (filters @ magnitudes(waves, n_fft, n_fft // 4, n_fft)).clamp_min(1e-5).log10() for waves in (target, estimate)
    ]
    return (logs[0] - logs[1]).abs().mean((1, 2))


def mel_filters(sample_rate: int, n_fft: int, bands: int) -> Float[Tensor, "bands bins"]:
    """Triangular filters, equally spaced in mel = 2595 log10(1 + Hz / 700), each of unit sum."""
    top = 2595 * torch.log10(torch.tensor(1 + sample_rate / 2 / 700))
    edges = 700 * (10 ** (torch.linspace(0, float(top), bands + 2) / 2595) - 1)
    frequencies = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1)
    rising = (frequencies - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - frequencies) / (edges[2:] - edges[1:-1])[:, None]
    filters = torch.minimum(rising, falling).clamp_min(0)
    return filters / filters.sum(1, keepdim=True).clamp_min(1e-10)


def _frobenius(spectrum: Float[Tensor, "batch bins frames"]) -> Float[Tensor, " batch"]:
    return torch.linalg.vector_norm(spectrum, dim=(1, 2))
