"""How the cost of attention grows with the window: time and memory from 1k to 64k positions, sparse and dense.

What is measured is attention itself (softmax over the keys each pattern sees, without the projections and the MLP,
whose cost is linear and would make the exponents look better), one layer of each pattern of a scheme added up.
Rows have about sqrt(T) positions. Time is CPU time of one thread; memory is the peak above what the inputs take, in a
process of its own. The exponents are fitted from 4k positions on, below which calls cost more than work.

    python bench/attention.py                                    # the tables: about four minutes
    python bench/attention.py --plot bench/results/attention.png # and a plot of time against T (needs matplotlib)
"""

import argparse
import json
import math
import multiprocessing
import os
import platform
import statistics
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from jukebox.config import TransformerConfig
from jukebox.prior.patterns import of_layer
from jukebox.prior.span import Span

WINDOWS = tuple(2**power for power in range(10, 17))
SCHEMES = ("RCP", "WS", "RF", "D")
HEADS, HEAD_WIDTH, TAIL = 1, 64, 4
FITTED_FROM = 4096
# Dense attention beyond these would take minutes; its exponent is 2 in any case.
DENSE_LONGEST = {"forward": 32768, "training": 16384}
LIMITS = {"time": 1.6, "memory": 1.5}


def config_of(scheme: str, window: int) -> TransformerConfig:
    """The scheme with rows of about sqrt(window)."""
    length = 2 ** math.ceil(math.log2(window) / 2)
    return TransformerConfig(
        context=window, width=HEADS * HEAD_WIDTH, attention=scheme, heads=HEADS, rows=window // length,
        attention_ratio=1.0, tail=TAIL, window=length, stride=length,
    )  # fmt: skip


def work(scheme: str, window: int, training: bool) -> None:
    """One layer of every pattern, on fresh noise."""
    config = config_of(scheme, window)
    for letter in config.layers:
        queries = torch.randn(1, window, HEADS, HEAD_WIDTH, requires_grad=training)
        pairs = torch.randn(1, window, 2, HEADS, HEAD_WIDTH, requires_grad=training)
        found = Span(0, window, window, queries.device).attend(of_layer(letter, config, 0), queries, pairs, ())
        if training:
            found.backward(torch.ones_like(found))


def seconds(scheme: str, window: int, training: bool) -> float:
    """CPU time: the median of as many runs as fit into a second, at least three short ones or one long one."""
    work(scheme, window, training)
    times: list[float] = []
    while sum(times) < 1.0 and len(times) < 15:
        start = time.process_time()
        work(scheme, window, training)
        times.append(time.process_time() - start)
    return statistics.median(times)


def peak_mib(scheme: str, window: int, training: bool) -> float:
    """Peak resident memory of the work, above that of the process before it."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measured, args=(sender, scheme, window, training))
    process.start()
    found = receiver.recv()
    process.join()
    return found


def _measured(sender, scheme: str, window: int, training: bool) -> None:
    work(scheme, WINDOWS[0], training)  # what is touched at first use is not memory of the work
    before = _status("VmRSS")
    work(scheme, window, training)
    sender.send((_status("VmHWM") - before) / 1024)


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def exponent(points: dict[int, float]) -> float:
    """Slope of the straight line through the logarithms, from FITTED_FROM on."""
    chosen = [(math.log(window), math.log(value)) for window, value in points.items() if window >= FITTED_FROM]
    middle, level = (statistics.fmean(values) for values in zip(*chosen, strict=True))
    return sum((x - middle) * (y - level) for x, y in chosen) / sum((x - middle) ** 2 for x, _ in chosen)


def table(what: str, training: bool) -> dict[str, dict[int, float]]:
    """Measure every scheme over all windows, and print a row for each."""
    mode = "training" if training else "forward"
    unit, measure = ("ms", seconds) if what == "time" else ("MiB", peak_mib)
    print(f"\n{what} of {mode} ({unit})")
    print("| scheme | " + " | ".join(f"{window // 1024}k" for window in WINDOWS) + " | exponent |")
    print("|---" * (len(WINDOWS) + 2) + "|", flush=True)
    found = {}
    for scheme in SCHEMES:
        windows = [w for w in WINDOWS if scheme != "D" or w <= DENSE_LONGEST[mode]]
        points = {window: measure(scheme, window, training) for window in windows}
        scale = 1000 if what == "time" else 1
        cells = [f"{points[w] * scale:.3g}" if w in points else "-" for w in WINDOWS]
        print(f"| {scheme} | " + " | ".join(cells) + f" | {exponent(points):.2f} |", flush=True)
        found[scheme] = points
    return found


def plot(path: Path, tables: dict[str, dict[str, dict[int, float]]]) -> None:
    """Time against T, both axes logarithmic."""
    from matplotlib import pyplot  # pyright: ignore[reportMissingImports]

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), sharey=True)
    for axis, mode in zip(axes, ("forward", "training"), strict=True):
        for scheme, points in tables[f"time {mode}"].items():
            axis.loglog(points.keys(), points.values(), "o-", label=f"{scheme}: T^{exponent(points):.2f}")
        axis.set(title=mode, xlabel="positions T")
        axis.legend()
    axes[0].set_ylabel("CPU seconds, one thread")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", type=Path, help="where to write a plot of time against T")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.machine()}, one thread, {HEADS} head of {HEAD_WIDTH}, rows of about sqrt(T), tails of {TAIL}")
    # Memory first: a process that has measured time has a heap that its children would use unseen.
    tables = {
        f"{what} {mode}": table(what, mode == "training")
        for what in ("memory", "time")
        for mode in ("forward", "training")
    }
    exponents = {
        name: {scheme: round(exponent(points), 3) for scheme, points in found.items()} for name, found in tables.items()
    }
    if arguments.plot:
        plot(arguments.plot, tables)
    holds = all(
        value <= LIMITS[name.split()[0]]
        for name, found in exponents.items()
        for scheme, value in found.items()
        if scheme != "D"
    )
    print(f"\nsparse schemes within T^{LIMITS['time']} time and T^{LIMITS['memory']} memory: {holds}")
    print(json.dumps({"tables": tables, "exponents": exponents, "limits": LIMITS, "holds": holds}))


if __name__ == "__main__":
    main()
