"""Short-time Fourier transforms and what is measured on them: shared by the training losses and the metrics."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

Waves = Float[Tensor, "batch samples"]

_FLOOR = 1e-5


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


def stft_distance(target: Waves, estimate: Waves) -> Float[Tensor, " batch"]:
    """Distance of magnitudes at two resolutions, lower is better; as published for the DAC codec (facts 7).

    Sum over windows of 2048 and 512 samples, moved on by a quarter, of the mean absolute difference of the magnitudes
    and of the log10 of their squares, floored at 1e-5.
    """
    total = torch.zeros(len(target), device=target.device)
    for window in (2048, 512):
        spectra = [magnitudes(waves, window, window // 4, window) for waves in (target, estimate)]
        logs = [2 * spectrum.clamp_min(_FLOOR).log10() for spectrum in spectra]
        total = total + _mean_difference(*spectra) + _mean_difference(*logs)
    return total


def treble_level(target: Waves, estimate: Waves, sample_rate: int) -> Float[Tensor, " batch"]:
    """How loud the treble is in decibels beside that of the target, where it counts: 0 is right, less is lost.

    Mean difference of the levels of 3 to 10 kHz (or the highest quarter of the band, where that is all above 3 kHz) in
    the twentieth of frames of 2048 samples in which the target's is loudest: consonants, cymbals. What no mean over all
    sound shows: they are short, and as weak beside the rest as they are telling.
    """
    nyquist = sample_rate / 2
    hertz = torch.linspace(0, nyquist, 1025, device=target.device)
    treble = (hertz >= min(3000.0, 0.75 * nyquist)) & (hertz <= 10_000)
    levels = [magnitudes(waves, 2048, 512, 2048)[:, treble].square().mean(1) for waves in (target, estimate)]
    loudest = levels[0].topk(max(1, levels[0].shape[1] // 20), 1).indices
    first, second = (10 * level.gather(1, loudest).clamp_min(_FLOOR**2).log10() for level in levels)
    return (second - first).mean(1)


def log_mel_distance(target: Waves, estimate: Waves, sample_rate: int) -> Float[Tensor, " batch"]:
    """Distance of log10 mel magnitudes at seven resolutions, lower is better; as published for the DAC codec (facts 7).

    Sum over windows of 32 to 2048 samples with 5 to 320 bands, moved on by a quarter, of the mean absolute difference,
    magnitudes floored at 1e-5.
    """
    total = torch.zeros(len(target), device=target.device)
    for power in range(7):
        window, bands = 32 << power, 5 << power
        logs = [log_mel(waves, sample_rate, window, bands) for waves in (target, estimate)]
        total = total + _mean_difference(*logs)
    return total


def log_mel(waves: Waves, sample_rate: int, window: int, bands: int) -> Float[Tensor, "batch bands frames"]:
    """log10 of mel magnitudes, floored at 1e-5: window and transform of one length, moved on by a quarter of it."""
    filters = mel_filters(sample_rate, window, bands).to(waves.device)
    return (filters @ magnitudes(waves, window, window // 4, window)).clamp_min(_FLOOR).log10()


def mel_filters(sample_rate: int, n_fft: int, bands: int) -> Float[Tensor, "bands bins"]:
    """Triangular filters on Slaney's mel scale, each of unit area over frequency: the usual ones of audio libraries.

    The scale is linear below 1 kHz, 3 mel to 200 Hz, and logarithmic above, 27 mel to a factor of 6.4.
    """
    knee = 15.0
    top = knee + 27 * math.log(sample_rate / 2 / 1000) / math.log(6.4)
    mels = torch.linspace(0, top, bands + 2, dtype=torch.float64)
    edges = torch.where(mels < knee, mels * 200 / 3, 1000 * 6.4 ** ((mels - knee) / 27))
    frequencies = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    rising = (frequencies - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - frequencies) / (edges[2:] - edges[1:-1])[:, None]
    filters = torch.minimum(rising, falling).clamp_min(0)
    return (filters * (2 / (edges[2:] - edges[:-2]))[:, None]).float()


def _mean_difference(first: Float[Tensor, "batch a b"], second: Float[Tensor, "batch a b"]) -> Float[Tensor, " batch"]:
    return (first - second).abs().mean((1, 2))


def _frobenius(spectrum: Float[Tensor, "batch bins frames"]) -> Float[Tensor, " batch"]:
    return torch.linalg.vector_norm(spectrum, dim=(1, 2))
