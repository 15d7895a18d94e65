"""What matrices in 8 and 4 bits bring the steps in C: time a step, beside half precision and the limits, and memory.

A step reads every matrix once and makes usual numbers of all weights. Three limits of one thread are measured in the
same run: bytes a second that are read from memory, numbers a second that one row makes of a matrix that stays in the
core's own cache (by kind), and operations a second of six rows of the same. Steps are those of 1b_lyrics' and of
mini's shapes with random weights, 100 codes after the beginning of a window; kinds alternate in one process, CPU time,
the least of some runs.

    python bench/bits.py                 # limits and steps: a minute, 5 GB
    python bench/bits.py --memory        # peaks of 5b_lyrics' shape: some minutes, 9 GB of memory and 6 of disk
    python bench/bits.py --threads 2     # steps by the clock
"""

import argparse
import ctypes
import json
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import prior as forward
from decode import read_rate

if TYPE_CHECKING:
    from jukebox.config import PriorConfig
    from jukebox.prior.prior import Prior

KINDS: Mapping[str, int | None] = {"half precision": None, "int8": 8, "int4": 4}
SHAPES = ("1b_lyrics", "mini")
ROWS = (1, 2, 4, 8, 16)
POSITION = 100
SMALL = 512  # a matrix of as many rows and columns is in the core's own cache


def config_of(shape: str) -> "PriorConfig":
    """The top prior of a model."""
    from jukebox import presets
    from jukebox.checkpoints.load import find_prior

    found = find_prior("mini").config if shape == "mini" else presets.part_config(f"{shape}/prior_level_2")
    assert isinstance(found, presets.PriorConfig)
    return found


def random_prior(config: "PriorConfig", bits: int | None) -> "Prior":
    """A prior of random weights as a file has them: half precision, or matrices in few bits."""
    import torch
    from torch import Tensor

    from jukebox.checkpoints.load import build_prior
    from jukebox.nn.unallocated import unallocated
    from jukebox.prior.prior import Prior

    config = replace(config, matrix_bits=bits)
    block = 0.02 * torch.randn(1 << 20, generator=torch.Generator().manual_seed(0))

    def filled(tensor: Tensor) -> Tensor:
        half = tensor.ndim > 1 and tensor.dtype == torch.float32
        numbers = (block if tensor.is_floating_point() else 2000 * block).to(torch.float16 if half else tensor.dtype)
        return numbers.repeat(-(-tensor.numel() // len(block)))[: tensor.numel()].view(tensor.shape)

    with unallocated():
        named = Prior(config).state_dict()
    return build_prior(config, {name: filled(tensor) for name, tensor in named.items()}, None)


def least_s(tasks: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """The least time of each task; they alternate."""
    found = dict.fromkeys(tasks, float("inf"))
    for _ in range(rounds):
        for name, task in tasks.items():
            start = clock()
            task()
            found[name] = min(found[name], clock() - start)
    return found


def widening() -> dict[str, dict[str, float]]:
    """Numbers a second that one row, and operations that six rows make of a matrix in the core's own cache."""
    import torch
    from torch import nn

    from jukebox.native.library import library
    from jukebox.native.matrix import NativeMatrix, panels, panels4, panels8
    from jukebox.nn.quantised import Linear4, Linear8

    made = nn.Linear(SMALL, SMALL, bias=False)
    made.weight.data = made.weight.detach().half().float()
    four, eight = Linear4(made), Linear8(made)
    matrices = {
        "half precision": NativeMatrix(panels(made.weight, half=True)),
        "int8": NativeMatrix(panels8(eight.weight, eight.scale)),
        "int4": NativeMatrix(panels4(four.weight, four.step, four.low, SMALL)),
    }
    multiply, times = library().multiply_matrix, 200  # pyright: ignore
    found: dict[str, dict[str, float]] = {name: {} for name in matrices}
    for rows, what, each in ((1, "numbers_per_s", 1), (6, "operations_per_s", 12)):
        x, out = torch.randn(rows, SMALL), torch.empty(rows, SMALL)

        def task(matrix: NativeMatrix, x=x, out=out, rows=rows) -> Callable[[], None]:
            described = ctypes.byref(matrix.described())
            places = ctypes.c_void_p(x.data_ptr()), ctypes.c_void_p(out.data_ptr())

            def product() -> None:
                for _ in range(times):
                    multiply(described, *places, rows)

            return product

        spent = least_s({name: task(matrix) for name, matrix in matrices.items()}, 10, time.process_time)
        for name, seconds in spent.items():
            found[name][what] = each * SMALL * SMALL * times / seconds
    return found


def steps(shape: str, rounds: int, threads: int) -> list[dict[str, float | str]]:
    """Milliseconds of a step with some windows, of each kind."""
    import torch

    from jukebox.engines import EngineSettings, prepared
    from jukebox.native.structures import Choice, Window
    from jukebox.prior.native import NativeStep

    cpu, priors = torch.device("cpu"), {name: random_prior(config_of(shape), bits) for name, bits in KINDS.items()}
    for name, prior in priors.items():
        precision = "float32" if prior.config.matrix_bits is None else name
        prepared(prior, EngineSettings(engine="native", precision=precision), cpu).pack(native=True)  # pyright: ignore
    count, found = {"1b_lyrics": 2, "mini": 40}[shape], []
    choice = Choice(temperature=1.0, guidance=1.0, top_p=2.0, top_k=1 << 20)
    clock = time.process_time if threads == 1 else time.perf_counter

    def written(prior: "Prior", rows: int) -> Callable[[], object]:
        assert NativeStep.fits(prior)
        step, position = NativeStep(prior, rows, 1), prior.layout.prefix + POSITION
        windows = [Window(position=position, leader=-1, row=row, previous=(5, 0), choice=choice) for row in range(rows)]
        return lambda: step.write(windows, torch.full((count, rows), -1), None)

    for rows in ROWS:
        spent = least_s({name: written(prior, rows) for name, prior in priors.items()}, rounds, clock)
        cells = " | ".join(f"{1e3 * seconds / count:.2f}" for seconds in spent.values())
        print(f"| {shape}, {rows} | {cells} |", flush=True)
        found.append({"shape": shape, "windows": rows, **{name: each / count for name, each in spent.items()}})
    return found


def peak(folder: str, precision: str) -> dict[str, float]:
    """One process: a prior from its file to a few steps, the peak of memory that is no file's."""
    import torch
    from gpu_models import some_conditions

    from jukebox.checkpoints.load import build_prior, find_prior
    from jukebox.engines import EngineSettings, make_engine, prepared
    from jukebox.sampling.engine import Window
    from jukebox.sampling.token import SamplingConfig

    torch.set_num_threads(1)
    most, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            lines = Path("/proc/self/status").read_text().splitlines()
            most[0] = max(most[0], next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024)

    watcher = threading.Thread(target=watch)
    watcher.start()
    stored, cpu = find_prior(folder), torch.device("cpu")
    config = stored.config
    settings = EngineSettings(engine="native", precision=precision).on(cpu, config)  # pyright: ignore
    start = time.perf_counter()
    prior = build_prior(config, dict(stored.tensors), None)  # pyright: ignore
    del stored
    engine = make_engine(prepared(prior, settings, cpu), 1, settings)
    made_s, none = time.perf_counter() - start, torch.zeros(0, dtype=torch.int64)
    conditions = some_conditions(config, 1, cpu)  # pyright: ignore
    engine.begin(
        0, Window(conditions=conditions, known=none, replay=none, start=0, key=0, sampling=SamplingConfig())
    )  # fmt: skip
    engine.run(2)
    start = time.process_time()
    engine.run(4)
    step_s = (time.process_time() - start) / 4
    ended.set()
    watcher.join()
    return {"peak_gb": most[0] / 1e9, "made_s": made_s, "step_s": step_s}


def peaks(shape: str) -> list[dict[str, float | str]]:
    """Peaks of a prior in few bits with one window, from its file."""
    import torch

    from jukebox.checkpoints import store
    from jukebox.engines import EngineSettings
    from jukebox.sampling.placement import need

    found: list[dict[str, float | str]] = []
    print(f"| {shape}, 1 window | file | computed | peak | made in | ms a step |\n|---|---|---|---|---|---|")
    for name in ("int8", "int4"):
        settings = EngineSettings(engine="native", precision=name)  # pyright: ignore
        needed = need(config_of(shape), 1, torch.float32, settings.bits)
        with tempfile.TemporaryDirectory() as folder:
            prior = random_prior(config_of(shape), settings.bits)
            path, tensors = Path(folder) / "top", prior.state_dict()
            store.save(path, tensors, prior.config, source={"origin": "benchmark"})
            size = sum(tensor.nbytes for tensor in tensors.values())
            del prior, tensors
            row = forward.run("--peak", str(path), "--precision", name, file=__file__)
        computed = (needed.weights + needed.state) / 1e9
        print(
            f"| {name} | {size / 1e9:.2f} GB | {computed:.2f} GB | {row['peak_gb']:.2f} GB | {row['made_s']:.0f} s "
            f"| {1e3 * row['step_s']:.0f} |",
            flush=True,
        )
        found.append({"shape": shape, "kind": name, "file_gb": size / 1e9, "computed_gb": computed, **row})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", action="store_true", help="peaks instead")
    parser.add_argument("--shape", default="5b_lyrics", help="whose peaks (default: 5b_lyrics)")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    parser.add_argument("--precision", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print(json.dumps(peak(arguments.peak, arguments.precision)))
        return
    if arguments.memory:
        print(json.dumps({"peaks": peaks(arguments.shape)}))
        return
    import torch

    torch.set_num_threads(1)
    read, limits = read_rate(), widening()
    print(f"one thread reads {read / 1e9:.1f} GB/s\n\n| in a cache | one row, 1e9 numbers/s | six rows, GFLOP/s |")
    print("|---|---|---|")
    for name, rates in limits.items():
        print(f"| {name} | {rates['numbers_per_s'] / 1e9:.1f} | {rates['operations_per_s'] / 1e9:.0f} |")
    torch.set_num_threads(arguments.threads)
    print(f"\n| ms a step, windows | {' | '.join(KINDS)} |\n|---|---|---|---|")
    rows = [row for shape in SHAPES for row in steps(shape, arguments.rounds, arguments.threads)]
    print(json.dumps({"read_gb_s": read / 1e9, "limits": limits, "threads": arguments.threads, "steps": rows}))


if __name__ == "__main__":
    main()
