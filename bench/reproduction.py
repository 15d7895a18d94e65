"""The trends of the paper's tables 1 to 3 in small: variants of the VQ-VAE within one budget of steps.

    jukebox data prepare MUSIC -o DATASET --require artist
    python bench/reproduction.py DATASET -o FOLDER          # about half an hour of one core; goes on where it stopped
    python bench/reproduction.py DATASET -o FOLDER --plot docs/reproduction.png

Every variant is `jukebox train vqvae recipes/tiny_vqvae.yaml` with a few fields set, in stages; after each stage the
exported model reconstructs the same three-second segments of songs that no variant has heard. Spectral convergence is
20 log10 of the mean ratio over segments (facts 2.6). A finished stage is not run again.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

RECIPE = Path(__file__).parent.parent / "recipes" / "tiny_vqvae.yaml"
LEARNING = ["model.codebook.initialisation=random", "model.codebook.decay=0.98", "optimizer.learning_rate=2e-3"]
BOTTOM = ["model.steps=[1]", "model.strides=[8]", "model.multipliers=[1]"]
VARIANTS = {
    "all levels, restart": [],
    "all levels, no restart": ["model.codebook.restart_threshold=0.0"],
    "all levels, no spectral loss": ["model.loss.multispectral=0.0"],
    "bottom, 2048 codes": BOTTOM,
    "bottom, 256 codes": [*BOTTOM, "model.codebook.size=256"],
    "bottom, no quantisation": [*BOTTOM, "model.quantise=false"],
}


def settings(variant: str, dataset: Path, steps: int, budget: int) -> list[str]:
    fields = [f"data.path={dataset}", f"run.steps={steps}", f"schedule.decay_steps={budget}"]
    quiet = ["run.log_every_steps=20", f"run.save_every_steps={budget}", "run.sample_every_steps=1000000"]
    return [*LEARNING, *VARIANTS[variant], *fields, *quiet, "run.evaluate_every_steps=1000000"]


def train(folder: Path, variant: str, dataset: Path, steps: int, budget: int) -> float:
    """CPU-seconds of training up to a step."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "jukebox.cli.main", "train", "vqvae", str(RECIPE), "-o", str(folder)]
    command += ["--threads", "1", "--device", "cpu", *settings(variant, dataset, steps, budget)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{variant} failed:\n{done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(model_folder: Path, dataset: Path, segments: int) -> list[dict[str, float]]:
    """Per level: spectral convergence in dB, SI-SDR, and the codes used."""
    import torch

    from jukebox.checkpoints.load import load_vqvae
    from jukebox.data.crops import AudioCrops, CropConfig
    from jukebox.data.dataset import Dataset
    from jukebox.evaluation.reconstruction import ReconstructionMeter
    from jukebox.vqvae.codebook import look_up, nearest_codes

    torch.set_num_threads(1)
    model = load_vqvae(model_folder)
    config = model.config
    length = 3 * config.sample_rate // config.hops[-1] * config.hops[-1]
    crops = AudioCrops(
        Dataset.open(dataset), CropConfig(length_samples=length, shift=False, blend="mean"), "validation"
    )
    sounds = [crops.take(index).sound for index in range(min(segments, len(crops)))]
    found = []
    for level in range(config.levels):
        meter, used = ReconstructionMeter(config.sample_rate, length / config.sample_rate), torch.zeros(0)
        used = torch.zeros(config.codebook.size)
        with torch.no_grad():
            for sound in sounds:
                latents = model.latents(sound[None], level)
                if config.quantise:
                    codes = nearest_codes(latents, model.vectors(level))
                    latents = look_up(codes, model.vectors(level))
                    used += torch.bincount(codes.flatten(), minlength=len(used))
                meter.add(sound, model.decode_latents(latents, level)[0])
        result, share = meter.result(), used / used.sum().clamp_min(1)
        found.append(
            {
                "hop": config.hops[level],
                "db": result.spectral_convergence_db,
                "si_sdr_db": result.si_sdr_db,
                "codes_used": int((used > 0).sum()),
                "perplexity": float((-(share * share.clamp_min(1e-12).log()).sum()).exp()) if config.quantise else 0.0,
            }
        )
    return found


def run(arguments: argparse.Namespace) -> dict[str, list[dict]]:
    """Every stage of every variant that has not been run."""
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "results.json"
    results: dict[str, list[dict]] = json.loads(path.read_text()) if path.is_file() else {}
    for variant in VARIANTS:
        stages = results.setdefault(variant, [])
        folder = arguments.output / variant.replace(",", "").replace(" ", "_")
        for steps in range(arguments.stage, arguments.steps + 1, arguments.stage):
            if any(stage["steps"] == steps for stage in stages):
                continue
            spent = train(folder, variant, arguments.dataset, steps, arguments.steps)
            levels = measure(folder / "model", arguments.dataset, arguments.segments)
            stages.append({"steps": steps, "cpu_s": spent, "levels": levels})
            path.write_text(json.dumps(results, indent=1))
            shown = "  ".join(f"hop {level['hop']}: {level['db']:.2f} dB" for level in levels)
            print(f"{variant}, step {steps}, {spent:.0f} CPU-s: {shown}", flush=True)
    return results


def table(results: dict[str, list[dict]]) -> None:
    print("\n| variant | hop | dB | SI-SDR | codes used | perplexity | CPU-minutes |\n|---|---|---|---|---|---|---|")
    for variant, stages in results.items():
        minutes = sum(stage["cpu_s"] for stage in stages) / 60
        for level in stages[-1]["levels"]:
            print(
                f"| {variant} | {level['hop']} | {level['db']:.2f} | {level['si_sdr_db']:.2f} | "
                f"{level['codes_used']} | {level['perplexity']:.0f} | {minutes:.1f} |"
            )


def plot(results: dict[str, list[dict]], path: Path) -> None:
    """Spectral convergence over steps, one panel for each hop."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    hops = sorted({level["hop"] for stages in results.values() for stage in stages for level in stage["levels"]})
    size = (13 * len(hops) / 3, 4)
    figure, panels = pyplot.subplots(1, len(hops), figsize=size, constrained_layout=True, squeeze=False)
    for panel, hop in zip(panels[0], hops, strict=True):
        for index, (variant, stages) in enumerate(results.items()):
            points = [(s["steps"], level["db"]) for s in stages for level in s["levels"] if level["hop"] == hop]
            if points:
                panel.plot(*zip(*points, strict=True), marker="o", color=f"C{index}", label=variant)
        panel.set(title=f"hop {hop}", xlabel="steps", ylabel="spectral convergence, dB (lower is better)")
        panel.grid(alpha=0.3)
        panel.legend(fontsize=7)
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--stage", type=int, default=200)
    parser.add_argument("--segments", type=int, default=40)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    results = run(arguments)
    table(results)
    if arguments.plot is not None:
        plot(results, arguments.plot)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
