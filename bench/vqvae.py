"""How fast the VQ-VAE is on this machine's cores: beside its peer and beside the physical limit.

The work is matrix products: the limit is the operations of the released shape over the rate at which this machine
multiplies large float32 matrices, measured in the same run. Rates are seconds of sound per CPU-second (they do not
depend on who else uses the machine's cores) and, beside them, per second of the clock.

The peer is the Jukebox port inside transformers 4.57.6 (`pip install 'jukebox[bench]'`), with the same random weights,
in fresh processes that alternate with ours. Memory is the peak of a fresh process that encodes and does nothing else.

    python bench/vqvae.py                    # the table: about ten minutes
    python bench/vqvae.py --quick            # ten seconds of sound, one round: about two minutes
    python bench/vqvae.py --hour             # peak memory of `jukebox encode` for an hour of sound: about 20 minutes
"""

import argparse
import contextlib
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

TASKS = ("encode", "decode_0", "decode_1", "decode_2")
NAMES = ("encode, three levels", "decode bottom", "decode middle", "decode top")
TARGETS = {"encode": 4.0, "decode_0": 3.0, "decode_1": 5.0, "decode_2": 4.0}


def operations_per_second(task: str) -> float:
    """Floating-point operations for one second of sound, released shape; products only."""
    from jukebox.config import VqvaeConfig

    config = VqvaeConfig()
    if task == "encode":
        return sum(_encoder_operations(config, level) for level in range(config.levels))
    return _decoder_operations(config, int(task[-1]))


def _stages(config, level: int):
    """(channels in, rate in, width, rate out, embedding) of every strided step of the levels' encoder."""
    width, rate, channels = config.width * config.multipliers[level], float(config.sample_rate), config.channels
    for stage in range(level + 1):
        for _ in range(config.steps[stage]):
            stride = config.strides[stage]
            yield stage, channels, width, rate / stride, stride
            channels, rate = width, rate / stride
        channels = config.embedding_width


def _encoder_operations(config, level: int) -> float:
    total, blocks, embedding = 0.0, config.depth * config.multipliers[level], config.embedding_width
    steps = list(_stages(config, level))
    for index, (stage, channels, width, rate, stride) in enumerate(steps):
        total += 2 * rate * (2 * stride * channels * width + blocks * 4 * width * width)
        if index + 1 == len(steps) or steps[index + 1][0] != stage:
            total += 2 * rate * 3 * width * embedding
    look_up = 2 * config.sample_rate / config.hops[level] * embedding * config.codebook.size
    return total + look_up


def _decoder_operations(config, level: int) -> float:
    total, blocks, embedding = 0.0, config.depth * config.multipliers[level], config.embedding_width
    steps = list(_stages(config, level))
    for index, (stage, _, width, rate, stride) in enumerate(steps):
        first_of_stage = index == 0 or steps[index - 1][0] != stage
        last_of_stage = index + 1 == len(steps) or steps[index + 1][0] != stage
        outputs = embedding if first_of_stage else width
        total += 2 * rate * (blocks * 4 * width * width + 2 * stride * width * outputs)
        if last_of_stage:
            total += 2 * rate * 3 * embedding * width
    return total + 2 * config.sample_rate * 3 * embedding * config.channels


def matrix_rate() -> float:
    """Operations per CPU-second of one thread on large float32 products, by the faster of PyTorch's two libraries."""
    import torch

    from jukebox.nn.linear import product

    torch.set_num_threads(1)
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)

    def rate(multiply: Callable[[object, object], object]) -> float:
        multiply(a, b)
        rates = []
        for _ in range(12):
            start = time.process_time()
            for _ in range(4):
                multiply(a, b)
            rates.append(4 * 2 * 1024**3 / (time.process_time() - start))
        return statistics.median(rates)

    return max(rate(torch.matmul), rate(product))


def ours(seconds: int) -> dict[str, Callable[[], object]]:
    """Our tasks, on `seconds` of noise."""
    import torch

    from jukebox.vqvae.streaming import decode_stream, encode_stream

    model, sound = _model_and_sound(seconds)

    def encode():
        return list(encode_stream(model, [sound], (0, 1, 2)))

    codes = {k: torch.cat([p[k] for p in encode_stream(model, [sound[:, : 44100 * 2]], (0, 1, 2))]) for k in range(3)}
    codes = {k: c.repeat(seconds // 2 + 1)[: sound.shape[1] // (8, 32, 128)[k]] for k, c in codes.items()}
    tasks = {f"decode_{k}": lambda k=k: list(decode_stream(model, [codes[k]], k)) for k in range(3)}
    return {"encode": encode, **tasks}


def peer(seconds: int) -> dict[str, Callable[[], object]]:
    """The same by the peer, with the same weights."""
    import torch
    from transformers.models.deprecated.jukebox.configuration_jukebox import JukeboxVQVAEConfig
    from transformers.models.deprecated.jukebox.modeling_jukebox import JukeboxVQVAE

    from jukebox.checkpoints import huggingface, names

    model, sound = _model_and_sound(seconds)
    other = JukeboxVQVAE(JukeboxVQVAEConfig())
    tensors = names.to_theirs(model.state_dict(), huggingface.name_table(model.config))
    other.load_state_dict({name: tensor.clone() for name, tensor in tensors.items()})
    other.eval()
    waves = sound.t()[None].contiguous()

    @torch.no_grad()
    def encode():
        return other.encode(waves)

    with torch.no_grad():
        short = other.encode(waves[:, : 44100 * 2 // 128 * 128])
    codes = [c.repeat(1, seconds // 2 + 1)[:, : waves.shape[1] // h] for c, h in zip(short, (8, 32, 128), strict=True)]
    found = model.encode(sound[None, :, : 44100 * 2 // 128 * 128])
    for level, (theirs, mine) in enumerate(zip(short, found, strict=True)):
        differing = int((theirs != mine).sum())
        assert differing <= 2, f"{differing} codes of level {level} differ from the peer's"

    @torch.no_grad()
    def decode(level: int):
        return other.decode(codes[level:], start_level=level)

    return {"encode": encode, **{f"decode_{k}": lambda k=k: decode(k) for k in range(3)}}


def _model_and_sound(seconds: int):
    import torch

    from jukebox.config import VqvaeConfig
    from jukebox.vqvae.vqvae import VQVAE

    torch.manual_seed(0)
    model = VQVAE(VqvaeConfig()).eval()
    random = torch.Generator().manual_seed(0)
    sound = 0.1 * torch.randn(1, seconds * 44100 // 128 * 128, generator=random)
    with torch.no_grad():  # vectors among the latents, so that look-ups are those of a trained model
        for level in range(3):
            rows = model.latents(sound[None, :, : 2**18], level)[0]
            model.vectors(level).copy_(rows[torch.randint(len(rows), (2048,), generator=random)])
    return model, sound


def peak_gib(process: int | str = "self") -> float:
    """Peak of a process's resident memory; what its parent used before starting it is not counted, as rusage would."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20


def worker(arguments: argparse.Namespace) -> dict[str, float]:
    """One process: rates of every task, or the peak memory of encoding alone."""
    import torch

    torch.set_num_threads(arguments.threads)
    tasks = (ours if arguments.worker == "ours" else peer)(arguments.seconds)
    if arguments.memory:
        before = peak_gib()
        tasks["encode"]()
        return {"before_gib": before, "peak_gib": peak_gib()}
    found: dict[str, float] = {}
    with torch.no_grad():
        for name, task in tasks.items():
            cpu, clock = time.process_time(), time.perf_counter()
            task()
            found[name] = arguments.seconds / (time.process_time() - cpu)
            found[f"{name}_clock"] = arguments.seconds / (time.perf_counter() - clock)
    return found


def measure(side: str, seconds: int, threads: int, *, memory: bool = False) -> dict[str, float]:
    """The numbers of a fresh process."""
    command = [sys.executable, __file__, "--worker", side, "--seconds", str(seconds), "--threads", str(threads)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command + ["--memory"] * memory, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"the {side} process failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def table(seconds: int, threads: int, rounds: int, rate: float) -> list[dict[str, float | str]]:
    """Rows of medians over alternating rounds."""
    runs: dict[str, list[dict[str, float]]] = {"ours": [], "peer": []}
    for _ in range(rounds):
        for side, found in runs.items():
            found.append(measure(side, seconds, threads))
    rows: list[dict[str, float | str]] = []
    print(f"\n{seconds} s of sound, {threads} thread(s), median of {rounds} rounds, x real time per CPU-second")
    print("| work | peer | ours | ratio (asked) | limit | share of it | ours by the clock |")
    print("|---|---|---|---|---|---|---|")
    for task, name in zip(TASKS, NAMES, strict=True):
        theirs, mine = (statistics.median(run[task] for run in runs[side]) for side in ("peer", "ours"))
        clock = statistics.median(run[f"{task}_clock"] for run in runs["ours"])
        limit = rate / operations_per_second(task)
        print(
            f"| {name} | {theirs:.2f} | {mine:.2f} | {mine / theirs:.2f} ({TARGETS[task]:.0f}) | {limit:.1f} "
            f"| {mine / limit:.0%} | {clock:.2f} |",
            flush=True,
        )
        rows.append(
            {"work": name, "seconds": seconds, "threads": threads, "peer": theirs, "ours": mine,
             "ratio": mine / theirs, "limit": limit, "clock": clock}
        )  # fmt: skip
    return rows


def hour(threads: int) -> dict[str, float]:
    """Peak memory and speed of the command line on an hour of stereo FLAC at 48 kHz."""
    import torch

    from jukebox.audio.io import Writer
    from jukebox.checkpoints import store

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, _ = _model_and_sound(10)
        store.save(
            folder / "model", model.state_dict(), model.config, source={"origin": "random weights for the benchmark"}
        )
        random = torch.Generator().manual_seed(0)
        with Writer(folder / "hour.flac", channels=2, sample_rate=48000) as writer:
            for _ in range(360):
                writer.write(0.1 * torch.randn(2, 480000, generator=random))
        found = {}
        for verb, origin, result in (("encode", "hour.flac", "hour.codes"), ("decode", "hour.codes", "hour.flac")):
            command = ["jukebox", verb, str(folder / origin), "-o", str(folder / result)]
            command += ["--model", str(folder / "model"), "--threads", str(threads)]
            command += ["--level", "2"] * (verb == "decode")
            start = time.perf_counter()
            process = subprocess.Popen([sys.executable, "-m", "jukebox.cli.main", *command[1:]])
            peak = 0.0
            while process.poll() is None:
                with contextlib.suppress(StopIteration, OSError):  # it has just ended
                    peak = max(peak, peak_gib(process.pid))
                time.sleep(0.2)
            assert process.returncode == 0, f"jukebox {verb} failed"
            clock = time.perf_counter() - start
            found[f"{verb}_peak_gib"] = peak
            found[f"{verb}_clock"] = 3600 / clock
            print(f"jukebox {verb}, one hour: peak {found[f'{verb}_peak_gib']:.2f} GiB, {3600 / clock:.2f} x real time")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--hour", action="store_true")
    parser.add_argument("--worker", choices=("ours", "peer"), help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=int, help="only this length of sound")
    parser.add_argument("--threads", type=int, help="only so many threads")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(worker(arguments)))
        return
    if arguments.hour:
        print(json.dumps(hour(arguments.threads or os.cpu_count() or 1)))
        return
    rate = matrix_rate()
    print(f"{platform.machine()}, {os.cpu_count()} cores; one core multiplies at {rate / 1e9:.0f} GFLOP/s (float32)")
    for task, name in zip(TASKS, NAMES, strict=True):
        print(f"  {name}: {operations_per_second(task) / 1e9:.2f} GFLOP per second of sound")
    lengths = [arguments.seconds] if arguments.seconds else [10] if arguments.quick else [10, 60]
    threads = [arguments.threads] if arguments.threads else [1, 2]
    rounds = 1 if arguments.quick else arguments.rounds
    rows = [row for n in threads for s in lengths for row in table(s, n, rounds, rate)]
    peaks = {f"{side}_{s}": measure(side, s, 1, memory=True) for s in lengths for side in ("ours", "peer")}
    for name, found in peaks.items():
        side, seconds = name.split("_")
        print(
            f"peak memory, {side}, encoding {seconds} s: {found['peak_gib']:.2f} GiB ({found['before_gib']:.2f} before)"
        )
    geometric = math.exp(statistics.fmean(math.log(float(row["ratio"])) for row in rows))
    print(f"geometric mean of the ratios: {geometric:.2f}")
    print(json.dumps({"matrix_gflops": rate / 1e9, "rows": rows, "peaks": peaks, "geometric_mean": geometric}))


if __name__ == "__main__":
    main()
