"""Everything that is worth measuring on a GPU, in one command of less than ten minutes.

    python bench/gpu.py                  # a table on stdout, and gpu.json and gpu.md in $OUT (or here)
    python bench/gpu.py --device cpu --seconds 2    # the same code where there is no GPU

The VQ-VAE of the released shape, random weights, float32: encoding and decoding in streams of several chunk lengths,
beside the limit that the device's rate for large float32 products sets.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from vqvae import NAMES, TASKS, operations_per_second

from jukebox.config import VqvaeConfig
from jukebox.vqvae.streaming import decode_stream, encode_stream
from jukebox.vqvae.vqvae import VQVAE


def seconds_of(work: Callable[[], object], repeats: int = 3) -> float:
    """Median time of one call, the device's queue included."""

    def synchronise() -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    times = []
    for _ in range(repeats + 1):
        synchronise()
        start = time.perf_counter()
        work()
        synchronise()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def matrix_rate(device: torch.device) -> float:
    """Operations per second of large float32 products."""
    size = 8192 if device.type == "cuda" else 1024
    a, b = torch.randn(size, size, device=device), torch.randn(size, size, device=device)
    return 2 * size**3 / seconds_of(lambda: a @ b)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=int, default=60, help="of sound")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    torch.manual_seed(0)
    model = VQVAE(VqvaeConfig()).eval().to(device)
    for level in range(3):
        model.vectors(level).normal_()
    sound = 0.1 * torch.randn(1, arguments.seconds * 44100 // 128 * 128, device=device)
    codes = [torch.randint(0, 2048, (sound.shape[1] // hop,), device=device) for hop in model.config.hops]
    rate = matrix_rate(device)
    lines = [
        f"{name}, torch {torch.__version__}, float32; large products {rate / 1e12:.2f} TFLOP/s; "
        f"{arguments.seconds} s of sound; x real time",
        "| work | chunk 65536 | 262144 | 1048576 | limit | share of it |",
        "|---|---|---|---|---|---|",
    ]
    rows = []
    for task, title in zip(TASKS, NAMES, strict=True):
        speeds = []
        for chunk in (65536, 262144, 1048576):
            if task == "encode":

                def work(chunk: int = chunk) -> object:
                    return list(encode_stream(model, [sound], (0, 1, 2), chunk))
            else:

                def work(chunk: int = chunk, level: int = int(task[-1])) -> object:
                    return list(decode_stream(model, [codes[level]], level, chunk))

            speeds.append(arguments.seconds / seconds_of(work, 2))
        limit = rate / operations_per_second(task)
        rows.append({"work": title, "speeds": speeds, "limit": limit})
        shown = " | ".join(f"{speed:.1f}" for speed in speeds)
        lines.append(f"| {title} | {shown} | {limit:.0f} | {max(speeds) / limit:.0%} |")
        print("\n".join(lines) if len(rows) == 1 else lines[-1], flush=True)
    result = {"device": name, "torch": torch.__version__, "matrix_tflops": rate / 1e12, "rows": rows}
    folder = Path(os.environ.get("OUT", "."))
    (folder / "gpu.md").write_text("\n".join(lines) + "\n")
    (folder / "gpu.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
