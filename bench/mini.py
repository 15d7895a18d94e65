"""A song by one command: how long it takes, what it needs, and whether what comes out is sound.

The command runs as a user runs it, in a process of its own; the time from its start to its end, to the first preview
that can be heard, and its peak of memory are taken from outside. Several takes are then measured: loudness (EBU R 128),
samples at full scale, and clicks at seams. A click is a bend of the wave (second difference) that is large beside its
surroundings; the share of seams with one stands beside the share of places inside windows, where it is 1 % by the
choice of what counts as large.

    python bench/mini.py                               # mini, ten seconds, two threads
    python bench/mini.py --model tiny-random --seconds 3
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

AIMS = {"wall_s": 60.0, "first_preview_s": 15.0, "peak_gib": 2.0}
LUFS = (-24.0, -12.0)
# Around a seam, and what it is compared with, in samples.
NEAR, AROUND = 128, 2048
LARGE = 0.99


@dataclass
class Command:
    """What was seen of a command from outside; levels by number: when it was first heard, and when it was whole."""

    wall_s: float
    cpu_s: float
    peak_gib: float
    first_preview_s: float
    levels: dict[int, tuple[float, float]]


def generate(folder: Path, arguments: argparse.Namespace, *words: str) -> Command:
    """Run `jukebox generate` and watch."""
    command = [sys.executable, "-m", "jukebox.cli.main", "generate", "--model", arguments.model]
    if arguments.parallel_windows is not None:
        command += ["--parallel-windows", str(arguments.parallel_windows)]
    command += ["--seconds", str(arguments.seconds), "--threads", str(arguments.threads), "-o", str(folder), *words]
    began, clock = time.time(), time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    first: dict[int, float] = {}
    while True:
        for path in folder.glob("previews/*.level_*.flac"):
            first.setdefault(int(path.stem.rpartition("_")[2]), time.perf_counter() - clock)
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        time.sleep(0.02)
    wall = time.perf_counter() - clock
    assert process.stderr is not None
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(process.stderr.read().decode())
    last = {int(p.stem.rpartition("_")[2]): p.stat().st_mtime - began for p in folder.glob("previews/*.level_*.flac")}
    return Command(
        wall_s=wall,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_gib=usage.ru_maxrss / 2**20,
        first_preview_s=min(first.values(), default=wall),
        levels={level: (first.get(level, at), at) for level, at in sorted(last.items(), reverse=True)},
    )


def seams(folder: Path, model: str) -> dict[str, list[int]]:
    """The samples of each song of a session at which a window, or a part that is written by itself, begins."""
    from jukebox.pipeline import load
    from jukebox.sampling.request import SongRequest

    jukebox = load(model, "cpu")
    plan, found = jukebox.plan(SongRequest.read(folder / "request.yaml")), {}
    for index, item in enumerate(plan.items):
        places = set()
        for level in plan.levels:
            hop = jukebox.model.grid.hops[level.level]
            for chain in level.chains[index]:
                places |= {max(window.first, chain.kept) * hop for window in chain.windows}
        found[item.name] = sorted(places - {0})
    return found


def bends(wave: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The largest second difference near each place, over the root mean square of those around it."""
    found = []
    second = np.abs(np.diff(wave, 2))
    for place in places:
        around = second[max(0, place - AROUND) : place + AROUND]
        near = second[max(0, place - NEAR) : place + NEAR]
        spread = np.sqrt(np.mean(around**2))
        found.append(near.max() / spread if len(near) and spread > 0 else 0.0)
    return np.array(found)


def measure(folder: Path, model: str) -> dict[str, float]:
    """Loudness, peaks and clicks of every song of a session."""
    from jukebox.audio.io import read
    from jukebox.data.measure import Loudness

    loudness, peaks, full, at_seams, inside, samples = [], [], 0, [], [], 0
    for name, places in seams(folder, model).items():
        sound, rate = read(folder / f"{name}.flac"), 44_100
        meter = Loudness(sound.shape[0], rate)
        meter.add(sound)
        loudness.append(meter.integrated_lufs() or float("-inf"))
        peaks.append(float(sound.abs().max()))
        full, samples = full + int((sound.abs() >= 1 - 2**-15).sum()), samples + sound.numel()
        wave = sound.mean(0).double().numpy()
        at_seams.append(bends(wave, np.array(places, dtype=int)))
        others = np.arange(AROUND, len(wave) - AROUND, 2 * NEAR)
        far = [other for other in others if not places or np.abs(np.array(places) - other).min() > 2 * NEAR]
        inside.append(bends(wave, np.array(far, dtype=int)))
    seam, other = np.concatenate(at_seams), np.concatenate(inside)
    limit = float(np.quantile(other, LARGE)) if len(other) else float("inf")
    share = float((seam > limit).mean()) if len(seam) else 0.0
    return {
        "lufs_least": min(loudness), "lufs_most": max(loudness), "peak": max(peaks), "full_scale": full / samples,
        "seams": len(seam), "clicks_at_seams": share, "clicks_inside": 1 - LARGE,
        "clicks_allowed": 1 - LARGE + 2 * (LARGE * (1 - LARGE) / max(1, len(seam))) ** 0.5,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--takes", type=int, default=4, help="measured takes (default 4)")
    parser.add_argument("--parallel-windows", type=int, metavar="N", help="as of the command (default: the model's)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, help="keep the songs there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = arguments.output or Path(temporary)
        seen = generate(place / "timed", arguments)
        generate(place / "takes", arguments, "--takes", str(arguments.takes))
        found = measure(place / "takes", arguments.model)
    print(f"{arguments.model}, {arguments.seconds:g} seconds of song, {arguments.threads} threads, one command\n")
    print("| level | first heard after | whole after |\n|---|---|---|")
    for level, (first, whole) in seen.levels.items():
        print(f"| {level} | {first:.1f} s | {whole:.1f} s |")
    faster = arguments.seconds / seen.wall_s
    print("\n| what | measured | asked |\n|---|---|---|")
    print(f"| start to end | {seen.wall_s:.1f} s | at most {AIMS['wall_s']:.0f} s |")
    print(f"| time of the processor | {seen.cpu_s:.1f} s | |")
    print(f"| seconds of song per second | {faster:.2f} (real-time factor {1 / faster:.2f}) | |")
    print(f"| first preview | {seen.first_preview_s:.1f} s | at most {AIMS['first_preview_s']:.0f} s |")
    print(f"| peak memory | {seen.peak_gib:.2f} GiB | at most {AIMS['peak_gib']:.0f} GiB |")
    print(f"| loudness | {found['lufs_least']:.1f} to {found['lufs_most']:.1f} LUFS | {LUFS[0]:.0f} to {LUFS[1]:.0f} |")
    print(f"| peak, samples at full scale | {found['peak']:.3f}, {found['full_scale']:.2%} | none clipped |")
    print(f"| clicks at {found['seams']} seams | {found['clicks_at_seams']:.1%} "
          f"| at most {found['clicks_allowed']:.1%} (inside 1 %, two standard errors) |")  # fmt: skip
    seen_values = {name: getattr(seen, name) for name in ("cpu_s", *AIMS)}
    print(json.dumps({"model": arguments.model, "seconds": arguments.seconds, "threads": arguments.threads,
                      **seen_values, "levels": seen.levels, **found}))  # fmt: skip


if __name__ == "__main__":
    main()
