"""Pictures of what was measured, as PNG files; matplotlib is imported when the first is drawn."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int64
from torch import Tensor

from jukebox.audio.spectral import magnitudes
from jukebox.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jukebox.evaluation.distribution import Embeddings
    from jukebox.evaluation.likelihood import Likelihood


def require_matplotlib() -> None:
    """Raise ConfigError where no picture can be drawn: before the work, not after it."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ConfigError("Plots need matplotlib: pip install 'jukebox[evaluate]', or give --no-plots.") from error


def convergences(ratios: Mapping[int, Float[Tensor, " segments"]], path: Path) -> None:
    """How spectral convergence in decibels is distributed over segments, a line for each level."""
    figure, axes = _figure(1)
    for level, values in ratios.items():
        decibels = np.sort(20 * np.log10(np.maximum(values.double().numpy(), 1e-6)))
        share = np.arange(1, len(decibels) + 1) / len(decibels)
        axes[0].step(decibels, share, where="post", label=f"level {level}, mean {decibels.mean():.1f} dB")
    axes[0].set(xlabel="spectral convergence (dB), lower is better", ylabel="share of the segments", ylim=(0, 1))
    _save(figure, axes, path)


def spectrograms(sounds: Mapping[str, Float[Tensor, "1 samples"]], sample_rate: int, path: Path) -> None:
    """The same piece of sound from each source, one below the other."""
    figure, axes = _figure(len(sounds), height=2.2)
    for ax, (name, sound) in zip(axes, sounds.items(), strict=True):
        decibels = 20 * magnitudes(sound, 2048, 512, 2048)[0].clamp_min(1e-5).log10().numpy()
        extent = (0, sound.shape[1] / sample_rate, 0, sample_rate / 2000)
        ax.imshow(decibels, origin="lower", aspect="auto", extent=extent, vmin=-60, vmax=50, cmap="magma")
        ax.set(title=name, ylabel="kHz")
    axes[-1].set(xlabel="seconds")
    figure.savefig(path)


def bits_by_position(likelihoods: Sequence["Likelihood"], hop_s: float, size: int, path: Path) -> None:
    """Bits per token along the window, a line for each predictor; `hop_s` is the seconds of a code."""
    figure, axes = _figure(1)
    for likelihood in likelihoods:
        firsts, means = likelihood.by_position()
        axes[0].plot(np.array(firsts) * hop_s, means, label=f"{likelihood.name}, mean {likelihood.mean:.3f}")
    axes[0].axhline(np.log2(size), color="grey", linestyle=":", label=f"ceiling, log2 of {size}")
    axes[0].set(xlabel="place in the window (s)", ylabel="bits per token", ylim=(0, None))
    _save(figure, axes, path)


def attention(
    weights: Float[Tensor, "codes lyrics"], sung: Int64[Tensor, "codes 2"], lyrics: str, hop_s: float, path: Path
) -> None:
    """What one head looks at along a window, and the words that are sung there, in white."""
    figure, axes = _figure(1, height=7.0)
    extent = (0, len(weights) * hop_s, len(lyrics) - 0.5, -0.5)
    axes[0].imshow(weights.T.numpy() ** 0.5, aspect="auto", extent=extent, cmap="magma", interpolation="nearest")
    times = np.arange(len(sung)) * hop_s
    for edge in (sung[:, 0], sung[:, 1] - 1):
        axes[0].plot(times, np.where(edge < 0, np.nan, edge), color="white", linewidth=0.8)
    axes[0].set_yticks(range(len(lyrics)), list(lyrics), fontsize=min(8.0, 400 / len(lyrics)))
    axes[0].set(xlabel="place in the window (s)", ylabel="lyrics; in white the words that are sung")
    figure.savefig(path)


def code_shares(counts: Sequence[np.ndarray], path: Path) -> None:
    """How often each code occurs, the most frequent first; beside it an even use."""
    figure, axes = _figure(1)
    for level, found in enumerate(counts):
        shares = np.sort(found[found > 0] / found.sum())[::-1]
        axes[0].loglog(
            np.arange(1, len(shares) + 1), shares, label=f"level {level}, {len(shares)} of {len(found)} used"
        )
    axes[0].axhline(1 / len(counts[0]), color="grey", linestyle=":", label="even use")
    axes[0].set(xlabel="rank of the code", ylabel="share of all codes")
    _save(figure, axes, path)


def embedding_maps(collections: Mapping[str, "Embeddings"], path: Path) -> None:
    """The clips of each collection on the two main directions of the first one."""
    reference = next(iter(collections.values()))
    mean, scale = reference.mean(0), np.where(reference.std(0) > 0, reference.std(0), 1.0)
    directions = np.linalg.svd((reference - mean) / scale, full_matrices=False)[2][:2]
    figure, axes = _figure(1)
    for name, embeddings in collections.items():
        x, y = directions @ ((embeddings - mean) / scale).T
        axes[0].scatter(x, y, s=8, alpha=0.5, label=f"{name}, {len(embeddings)} clips")
    axes[0].set(xlabel="first direction", ylabel="second direction")
    _save(figure, axes, path)


def _figure(rows: int, height: float = 5.0) -> tuple["Figure", list]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, height * rows), layout="constrained", dpi=120)
    return figure, list(figure.subplots(rows, 1, squeeze=False)[:, 0])


def _save(figure: "Figure", axes: list, path: Path) -> None:
    for ax in axes:
        ax.grid(alpha=0.3)
        ax.legend()
    figure.savefig(path)
