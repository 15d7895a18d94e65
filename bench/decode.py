"""How fast a prior writes codes, one step after another: beside its peer and beside the physical limit.

A step reads every matrix once: the limit is the bytes of the matrices and caches over the rate at which one core reads
memory, or the operations over the rate at which it multiplies, whichever takes longer; both are measured in the same
run. The peer is the Jukebox port inside transformers 4.57.6 (`pip install 'jukebox[bench]'`), which keeps growing
caches as the original does, with the same random weights, in fresh processes that alternate with ours. Rates are tokens
per CPU-second of one thread. `start` is at the beginning of a window, `end` the last tokens of a full context.

The weights have the precision of the released files: matrices in half precision. Ours keeps such matrices as they are
(`nn.packed`), sums in float32; the column "float32 weights" is ours with matrices that need more than that.

    python bench/decode.py            # the tables: about fifteen minutes
    python bench/decode.py --quick    # without the larger model: about six minutes
    python bench/decode.py --only "MINI 16 end"    # one row
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import prior as forward
from vqvae import matrix_rate, peak_gib

Task = tuple[str, int, str, float]
# Shape, slots, place, and the ratio that was asked for; targets were set on cores with AVX-512.
TASKS: tuple[Task, ...] = (
    ("MINI", 1, "start", 2.2), ("MINI", 1, "end", 2.5), ("MINI", 4, "end", 3.5), ("MINI", 16, "start", 2.0),
    ("MINI", 16, "end", 8.0), ("MID", 1, "start", 1.4), ("MID", 1, "end", 2.0), ("MID", 8, "start", 2.0),
    ("MID", 8, "end", 10.0),
)  # fmt: skip
STEPS = {"MINI": 24, "MID": 8}
# Shape, slots, and whether all numbers of the matrices are in half precision.
MEMORY = (
    ("MINI", 16, True),
    ("MINI", 16, False),
    ("MINI", 1, True),
    ("MINI", 1, False),
    ("MID", 8, True),
    ("MID", 1, False),
)


def read_rate() -> float:
    """Bytes per second of reading memory that no cache holds."""
    import torch

    values = torch.ones(1 << 26)
    times = []
    for _ in range(6):
        start = time.process_time()
        values.sum()
        times.append(time.process_time() - start)
    return values.nbytes / min(times)


def saved_prior(folder: Path, name: str, half: bool) -> str:
    """A prior with random weights as a file, of half precision as the released ones or of full; returns its folder."""
    from jukebox.checkpoints import store

    prior, _ = forward.random_prior(name)
    tensors = {key: tensor.half() if half else tensor for key, tensor in prior.state_dict().items()}
    store.save(folder / f"{name}-{half}", tensors, prior.config, source={"origin": "benchmark"})
    return str(folder / f"{name}-{half}")


def ours(name: str, slots: int, place: str, model: str) -> Callable[[int], object]:
    """Steps of our engine, with the prior in a folder."""
    import torch

    from jukebox.checkpoints.load import load_prior
    from jukebox.prior.conditions import Conditions
    from jukebox.sampling.engine import Window
    from jukebox.sampling.native import NativeEngine
    from jukebox.sampling.token import SamplingConfig

    engine, context = NativeEngine(load_prior(model), slots), forward.SHAPES[name][3]
    codes = torch.randint(0, forward.CODES, (context,), generator=torch.Generator().manual_seed(1))
    known = 0 if place == "start" else context - 3 * STEPS[name]
    window = Window(
        conditions=Conditions(), known=codes[:known], replay=torch.zeros(0, dtype=torch.int64), start=0, key=0,
        sampling=SamplingConfig(temperature=0.99),
    )  # fmt: skip
    engine.begin(0, window)
    engine.read()
    for slot in range(1, slots):
        # What is known is read once: the other slots have the same caches, which costs their steps the same.
        engine._step.move(0, slot)  # pyright: ignore
        engine._items.append(replace(engine._items[0], slot=slot, key=slot))
    return engine.run


def peer(name: str, batch: int, place: str) -> Callable[[int], object]:
    """Steps of the peer: its own sampling, resumed where its caches are."""
    import torch

    task = forward.peer(name, batch)
    variables = dict(zip(task.__code__.co_freevars, task.__closure__ or (), strict=True))
    other = variables["other"].cell_contents
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.copy_(parameter.half().float())
    context = forward.SHAPES[name][3]
    known = 1 if place == "start" else context - 3 * STEPS[name]
    codes = torch.randint(0, forward.CODES, (1, known))
    state = {"t": 0, "token": None, "batch": 1}

    def embedded():
        condition = torch.zeros(state["batch"], 1, other.width)
        return other.get_emb(state["t"], state["batch"], state["token"], condition, None)[0]

    def read(tokens) -> None:
        """What its `primed_sample` does for given tokens, 512 at a time to bound its memory; once for the batch."""
        for part in tokens.split(512, 1):
            inputs = []
            for index in range(part.shape[1]):
                inputs.append(embedded())
                state["t"], state["token"] = state["t"] + 1, part[:, index : index + 1]
            other.transformer(torch.cat(inputs, 1), sample=True)

    def steps(count: int) -> None:
        from transformers.models.deprecated.jukebox.modeling_jukebox import filter_logits

        for _ in range(count):
            logits = other.fc_proj_out(other.transformer(embedded(), sample=True)) / 0.99
            token = torch.distributions.Categorical(logits=filter_logits(logits, top_k=0, top_p=0.0)).sample()
            state["t"], state["token"] = state["t"] + 1, token

    with torch.no_grad():
        read(codes)
        for layer in other.transformer._attn_mods:
            layer.attn.cache = {name: kept.expand(batch, -1, -1).clone() for name, kept in layer.attn.cache.items()}
    state["batch"], state["token"] = batch, state["token"].expand(batch, -1)
    return steps


def worker(arguments: argparse.Namespace) -> dict[str, float]:
    """One process: tokens per CPU-second, and the peak of memory over weights and caches."""
    import torch

    torch.set_num_threads(arguments.threads)
    name, slots, side = arguments.shape, arguments.slots, arguments.worker
    with torch.no_grad():
        if side == "peer":
            run = peer(name, slots, arguments.place)
        else:
            run = ours(name, slots, arguments.place, arguments.model)
        steps = STEPS[name]
        run(steps // 2)
        spent_s, clock_s = [], []
        for _ in range(4):
            start, clock = time.process_time(), time.perf_counter()
            run(steps // 2)
            spent_s.append(time.process_time() - start)
            clock_s.append(time.perf_counter() - clock)
    tokens = slots * (steps // 2)
    return {"per_cpu_s": tokens / min(spent_s), "per_s": tokens / min(clock_s), "peak_gib": peak_gib()}


def step_bytes(name: str, slots: int, half: bool) -> float:
    """What a step has to read: every matrix once, and of every slot the keys and values that its patterns see."""
    width, layers, _, context, rows = forward.SHAPES[name]
    inner, length = width // 4, context // rows
    matrices = layers * (3 * width * inner + inner * width + 2 * width * width) + width * forward.CODES
    seen = layers / 3 * (length / 2 + rows / 2 + length)
    return matrices * (2 if half else 4) + slots * seen * 2 * inner * 4


def run(*words: str, threads: int = 1) -> dict[str, float]:
    """The JSON that a fresh process of this file prints."""
    return forward.run(*words, "--threads", str(threads), file=__file__, threads=threads)


def against_peer(tasks: Sequence[Task], rounds: int, rates: tuple[float, float]) -> list[dict[str, float | str]]:
    """Medians over alternating rounds."""
    print("| cached sampling, tokens/s | peer | ours | ratio (asked) | limit | share | float32 weights | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    rows: list[dict[str, float | str]] = []
    for name, slots, place, asked in tasks:
        found: dict[str, list[float]] = {"ours": [], "float32": [], "peer": []}
        with tempfile.TemporaryDirectory() as folder:
            models = {side: saved_prior(Path(folder), name, side == "ours") for side in ("ours", "float32")}
            for _ in range(rounds if name == "MINI" else 1):
                for side, values in found.items():
                    words = ("--worker", side, "--shape", name, "--slots", str(slots), "--place", place)
                    values.append(run(*words, *(("--model", models[side]) if side in models else ()))["per_cpu_s"])
        mine, full, theirs = (statistics.median(found[side]) for side in ("ours", "float32", "peer"))
        limit = limit_of(name, slots, rates)
        print(
            f"| {name} batch {slots}, {place} | {theirs:.1f} | {mine:.1f} | {mine / theirs:.2f} ({asked}) "
            f"| {limit:.0f} | {mine / limit:.0%} | {full:.1f} | {full / theirs:.2f} |",
            flush=True,
        )
        rows.append({"shape": name, "slots": slots, "place": place, "peer": theirs, "ours": mine, "float32": full,
                     "limit": limit, "asked": asked})  # fmt: skip
    return rows


def limit_of(name: str, slots: int, rates: tuple[float, float]) -> float:
    """Tokens per second if a step only read what it must, or only multiplied."""
    multiply, read = rates
    return slots / max(step_bytes(name, slots, half=True) / read, slots * forward.operations_per_token(name) / multiply)


def many_slots(rates: tuple[float, float]) -> list[dict[str, float]]:
    """Windows of one song side by side, and two threads."""
    print("\n| MINI, slots, start | peer | ours | ratio | limit | share | two threads, per CPU-second | by the clock |")
    print("|---|---|---|---|---|---|---|---|")
    rows = []
    for slots in (1, 8, 32, 64):
        words = ("--shape", "MINI", "--slots", str(slots), "--place", "start")
        theirs = run("--worker", "peer", *words)
        with tempfile.TemporaryDirectory() as folder:
            mine = ("--worker", "ours", "--model", saved_prior(Path(folder), "MINI", half=True), *words)
            one, two = run(*mine), run(*mine, threads=2)
        limit, rate = limit_of("MINI", slots, rates), one["per_cpu_s"]
        print(
            f"| {slots} | {theirs['per_cpu_s']:.0f} | {rate:.0f} | {rate / theirs['per_cpu_s']:.2f} | {limit:.0f} "
            f"| {rate / limit:.0%} | {two['per_cpu_s']:.0f} | {two['per_s']:.0f} |",
            flush=True,
        )
        rows.append({"slots": slots, "peer": theirs["per_cpu_s"], "one": rate, "limit": limit, "two": two["per_s"],
                     "peak_gib": one["peak_gib"]})  # fmt: skip
    return rows


def song_worker(threads: int) -> dict[str, float]:
    """One process: three seconds of song by `tiny-random`, all three levels and the sound."""
    import torch

    import jukebox

    torch.set_num_threads(threads)
    juke = jukebox.load("tiny-random", "cpu")
    spent, clock = time.process_time(), time.perf_counter()
    song = juke.generate(jukebox.Labels(artist="unknown", genre="unknown"), seconds=3.0)
    sound = song.audio()
    spent, clock = time.process_time() - spent, time.perf_counter() - clock
    codes = sum(len(each) for each in song.codes.values())
    return {
        "codes": codes,
        "per_cpu_s": codes / spent,
        "per_s": codes / clock,
        "seconds": sound.shape[-1] / 44100 / clock,
    }


def whole_songs() -> list[dict[str, float]]:
    """The three-level pipeline of the tiny preset, by one and by two threads."""
    print("\n| tiny-random, three levels, 3 s | codes | per CPU-second | by the clock | times real time |")
    print("|---|---|---|---|---|")
    rows = []
    for threads in (1, 2):
        row = run("--song", threads=threads)
        cells = f"{row['codes']} | {row['per_cpu_s']:.0f} | {row['per_s']:.0f} | {row['seconds']:.2f}"
        print(f"| threads: {threads} | {cells} |", flush=True)
        rows.append(row)
    return rows


def memory_worker(folder: str, slots: int) -> dict[str, float]:
    """One process: what an engine adds at its peak, over the weights it was given and its caches."""
    import torch

    from jukebox.checkpoints.load import load_prior
    from jukebox.prior.conditions import Conditions
    from jukebox.prior.initialise import new_prior
    from jukebox.sampling.engine import Window
    from jukebox.sampling.native import NativeEngine
    from jukebox.sampling.token import SamplingConfig

    def write(prior, slots: int) -> NativeEngine:
        engine, empty = NativeEngine(prior, slots), torch.zeros(0, dtype=torch.int64)
        for slot in range(slots):
            engine.begin(slot, Window(conditions=Conditions(), known=empty, replay=empty, start=0, key=slot,
                                      sampling=SamplingConfig()))  # fmt: skip
        engine.run(8)
        return engine

    torch.set_num_threads(1)
    # What the libraries' own code takes, which is read when it is first used, is no model's.
    config = forward.config_of("MINI")
    small = replace(config, transformer=replace(config.transformer, width=64, attention="RCP", context=256, rows=4))
    for half in (True, False):
        tiny = new_prior(small, torch.Generator().manual_seed(0)).eval()
        write(tiny.half().float() if half else tiny, 2)
    before = peak_gib()
    prior = load_prior(folder)
    weights = sum(p.nbytes for p in prior.parameters())
    engine = write(prior, slots)
    needed = (weights + sum(kept.nbytes for kept, _ in engine._step._kept)) / 2**30
    return {"added_gib": peak_gib() - before, "needed_gib": needed, "ratio": (peak_gib() - before) / needed}


def memory(rows: tuple[tuple[str, int, bool], ...]) -> list[dict[str, float]]:
    """Peak of resident memory over float32 weights and caches; matrices in half precision, or not."""
    print("\n| peak memory | weights + caches | added at the peak | ratio (asked 1.3) |\n|---|---|---|---|")
    found = []
    for name, slots, half in rows:
        with tempfile.TemporaryDirectory() as folder:
            row = run("--memory", "--model", saved_prior(Path(folder), name, half), "--slots", str(slots))
        needed, added = row["needed_gib"], row["added_gib"]
        kind = "" if half else ", float32"
        print(f"| {name}, {slots} slots{kind} | {needed:.2f} GiB | {added:.2f} GiB | {row['ratio']:.2f} |", flush=True)
        found.append(row)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="one row of the first table: shape, slots, place; or 'memory'")
    parser.add_argument("--worker", choices=("ours", "float32", "peer"), help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--song", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--shape", choices=tuple(forward.SHAPES), default="MINI", help=argparse.SUPPRESS)
    parser.add_argument("--slots", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--place", choices=("start", "end"), default="start", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(worker(arguments)))
        return
    if arguments.memory:
        print(json.dumps(memory_worker(arguments.model, arguments.slots)))
        return
    if arguments.song:
        print(json.dumps(song_worker(arguments.threads)))
        return
    tasks = [task for task in TASKS if not (arguments.quick and task[0] == "MID")]
    if arguments.only:
        tasks = [task for task in TASKS if arguments.only == f"{task[0]} {task[1]} {task[2]}"]
    if arguments.only == "memory":
        memory(MEMORY)
        return
    rates = matrix_rate(), read_rate()
    print(f"one thread: {rates[0] / 1e9:.0f} GFLOP/s on large float32 products, {rates[1] / 1e9:.1f} GB/s read\n")
    rows = against_peer(tasks, arguments.rounds, rates)
    if arguments.only:
        return
    slots, songs = many_slots(rates), whole_songs()
    peaks = memory(tuple(row for row in MEMORY if not (arguments.quick and row[0] == "MID")))
    print(json.dumps({"matrix_gflops": rates[0] / 1e9, "read_gb_s": rates[1] / 1e9, "rows": rows, "slots": slots,
                      "songs": songs, "memory": peaks}))  # fmt: skip


if __name__ == "__main__":
    main()
