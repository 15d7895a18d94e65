"""The roofline of a run of `bench/gpu.py`: steps of every prior over how often a byte is used, as a PNG."""

from pathlib import Path

from gpu_report import Setting
from gpu_steps import PRECISIONS, config_of

from jukebox.sampling.limits import step_bytes, step_numbers


def roofline(setting: Setting, path: Path) -> None:
    """Measured rates under the limits of memory and arithmetic; nothing is drawn where nothing was measured."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 5))
    limits = setting.limits
    intensities = [0.5 * 2**step for step in range(12)]
    roof = [min(limits.copy_bytes * intensity, limits.flops) for intensity in intensities]
    axes.loglog(intensities, roof, color="black", label="memory and bf16 products, measured")
    bits_of = {name: (bits, cache) for name, bits, cache in PRECISIONS}
    for marker, prior in zip("os^", dict.fromkeys(name for name, _, _ in setting.steps), strict=False):
        xs, ys = [], []
        for (name, slots, precision), seconds in setting.steps.items():
            if name == prior:
                config = config_of(name, setting.smoke)
                operations = 2.0 * step_numbers(config) * slots
                xs.append(operations / step_bytes(config, slots, *bits_of[precision]))
                ys.append(operations / seconds)
        axes.loglog(xs, ys, marker, label=f"{prior}: steps")
    axes.set_xlabel("operations per byte")
    axes.set_ylabel("operations per second")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
