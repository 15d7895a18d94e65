"""How fast a prior reads a window whose tokens are known, and how fast a large one is ready: beside peer and limit.

The work is matrix products: the limit is the operations per token over the rate at which one core multiplies large
float32 matrices, measured in the same run. Rates are tokens per CPU-second of one thread. The peer is the Jukebox port
inside transformers 4.57.6 (`pip install 'jukebox[bench]'`) with the same random weights and the same tokens, in fresh
processes that alternate with ours; its logits are compared with ours. Loading is compared with the usual way: a file
read whole, then copied into a model that was allocated and initialised.

    python bench/prior.py            # the tables: about eight minutes, 8 GiB of memory, 4 GiB of disk
    python bench/prior.py --quick    # without the larger model and the loading: about two minutes
"""

import argparse
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from vqvae import matrix_rate, peak_gib

SHAPES = {"MINI": (512, 24, 2, 2048, 32), "MID": (1024, 48, 1, 8192, 64)}
"""Width, layers, heads, context, rows; RCP, attention width a quarter of the width, 2048 codes, no conditioning."""

TASKS = (("MINI", 1, 1.3), ("MINI", 4, 1.5), ("MINI", 16, 2.0), ("MID", 1, 1.3))
CODES = 2048


def config_of(name: str):
    """The prior of one of the shapes."""
    from jukebox.config import PriorConfig, TransformerConfig

    width, layers, heads, context, rows = SHAPES[name]
    transformer = TransformerConfig(
        context=context, width=width, attention="RCP" * (layers // 3), heads=heads, rows=rows
    )
    return PriorConfig(
        level=2, codebook_size=CODES, transformer=transformer, labels=None, upsampler=None, lyrics=None,
        tied_output=True, recondition=False,
    )  # fmt: skip


def operations_per_token(name: str) -> float:
    """Floating-point operations of a token in a forward pass: products, and attention over what is visible."""
    width, layers, _, context, rows = SHAPES[name]
    inner, length = width // 4, context // rows
    # Keys that a query sees, on average: half a row, half a column, a whole row.
    visible = ((length + 1) / 2 + (rows + 1) / 2 + length) / 3
    layer = 2 * (3 * width * inner + inner * width + 2 * width * width) + 4 * inner * visible
    return layers * layer + 2 * width * CODES


def random_prior(name: str):
    """The prior with weights that give logits of order one."""
    import torch

    from jukebox.prior.initialise import new_prior

    prior = new_prior(config_of(name), torch.Generator().manual_seed(0)).eval()
    codes = torch.randint(0, CODES, (16, SHAPES[name][3]), generator=torch.Generator().manual_seed(1))
    return prior, codes


def ours(name: str, batch: int) -> Callable[[], object]:
    """Our forward pass over whole windows."""
    prior, codes = random_prior(name)
    from jukebox.prior.conditions import Conditions

    return lambda: prior(codes[:batch], Conditions()).logits


def peer(name: str, batch: int) -> Callable[[], object]:
    """The peer's, with our weights."""
    import torch
    from transformers.models.deprecated.jukebox.configuration_jukebox import JukeboxPriorConfig
    from transformers.models.deprecated.jukebox.modeling_jukebox import JukeboxConditionalAutoregressive

    from jukebox.checkpoints import huggingface, names
    from jukebox.prior.conditions import Conditions

    width, layers, heads, context, rows = SHAPES[name]
    config = JukeboxPriorConfig(
        hidden_size=width, num_layers=layers, n_heads=heads, n_ctx=context, blocks=rows, mask=True,
        attention_pattern="raw_column_previous_row_attention", attention_multiplier=0.25, mlp_multiplier=1.0,
        merged_decoder=False, music_vocab_size=CODES, nb_relevant_lyric_tokens=0,
    )  # fmt: skip
    other = JukeboxConditionalAutoregressive(config, n_ctx=context, embed_dim=CODES).eval()
    prior, codes = random_prior(name)
    tensors = names.to_theirs(prior.state_dict(), huggingface.name_table(prior.config))
    missing = other.load_state_dict({n.removeprefix("prior."): t.clone() for n, t in tensors.items()}, strict=False)
    assert not missing.unexpected_keys, missing
    assert set(missing.missing_keys) <= {"fc_proj_out.weight"}, missing
    with torch.no_grad():
        theirs = other(codes[:1], get_preds=True)[1]
        mine = prior(codes[:1], Conditions()).logits
    difference = float((theirs - mine).abs().max() / mine.abs().max())
    assert difference < 1e-4, f"the peer's logits differ by {difference:.1e} of the largest"
    return lambda: other(codes[:batch], get_preds=True)[1]


def worker(arguments: argparse.Namespace) -> dict[str, float]:
    """One process: tokens per CPU-second."""
    import torch

    torch.set_num_threads(1)
    task = (ours if arguments.worker == "ours" else peer)(arguments.shape, arguments.batch)
    with torch.no_grad():
        if arguments.shape == "MINI":
            task()
        start = time.process_time()
        task()
        spent_s = time.process_time() - start
    return {"tokens_per_s": arguments.batch * SHAPES[arguments.shape][3] / spent_s}


def large_prior_file(folder: Path) -> None:
    """The 1b_lyrics top prior with random weights: a checkpoint of ours, and one as the original stored it."""
    import torch

    from jukebox import presets
    from jukebox.checkpoints import layout, store

    config = presets.part_config("1b_lyrics/prior_level_2")
    random = torch.Generator().manual_seed(0)
    tensors = {name: 0.02 * torch.randn(shape, generator=random) for name, shape in layout.shapes(config).items()}
    store.save(folder / "ours", tensors, config, source={"origin": "random weights for the benchmark"})
    torch.save(tensors, folder / "usual.pth")


def load_worker(side: str, folder: Path) -> dict[str, float]:
    """One process: seconds from the file to a model that has computed, and the peak of resident memory."""
    import torch

    from jukebox.checkpoints import load, store

    torch.set_num_threads(1)
    start = time.perf_counter()
    if side == "ours":
        model = load.load_prior(folder / "ours")
    else:
        from jukebox.prior.prior import Prior

        model = Prior(store.load(folder / "ours").config)
        model.load_state_dict(torch.load(folder / "usual.pth", weights_only=True))
    ready_s = time.perf_counter() - start
    for parameter in model.parameters():  # every page is read, as a first forward pass would
        parameter.detach().sum()
    used_s = time.perf_counter() - start
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    return {
        "ready_s": ready_s,
        "read_s": used_s,
        "peak_gb": peak_gib() * 2**30 / 1e9,
        "over_size": peak_gib() * 2**30 / size,
        "size_gb": size / 1e9,
    }


def run(*words: str, file: str = __file__, threads: int = 1) -> dict[str, float]:
    """The JSON that a fresh process of a benchmark prints last."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, file, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def bandwidth() -> float:
    """Bytes per second of copying memory that no cache holds."""
    import torch

    source = torch.ones(1 << 26)
    target = torch.empty_like(source)
    times = []
    for _ in range(6):
        start = time.process_time()
        target.copy_(source)
        times.append(time.process_time() - start)
    return 2 * source.nbytes / min(times)


def forward_table(quick: bool, rounds: int, rate: float) -> list[dict[str, float | str]]:
    """Rows of medians over alternating rounds."""
    print("| teacher-forced forward | peer | ours | ratio (asked) | limit | share of it |\n|---|---|---|---|---|---|")
    rows: list[dict[str, float | str]] = []
    for name, batch, asked in TASKS:
        if quick and name == "MID":
            continue
        found: dict[str, list[float]] = {"ours": [], "peer": []}
        for _ in range(1 if name == "MID" or batch == 16 else rounds):
            for side, values in found.items():
                values.append(run("--worker", side, "--shape", name, "--batch", str(batch))["tokens_per_s"])
        mine, theirs = statistics.median(found["ours"]), statistics.median(found["peer"])
        limit = rate / operations_per_token(name)
        print(
            f"| {name} batch {batch} | {theirs:.0f} | {mine:.0f} | {mine / theirs:.2f} ({asked}) | {limit:.0f} "
            f"| {mine / limit:.0%} |",
            flush=True,
        )
        rows.append({"shape": name, "batch": batch, "peer": theirs, "ours": mine, "ratio": mine / theirs,
                     "limit": limit})  # fmt: skip
    return rows


def load_table() -> dict[str, dict[str, float]]:
    """Ours and the usual way, each after a first run that warms the file cache."""
    with tempfile.TemporaryDirectory() as name:
        large_prior_file(Path(name))
        gc.collect()
        found = {}
        for side in ("usual", "ours"):
            run("--load", side, "--folder", name)
            found[side] = run("--load", side, "--folder", name)
    print("\n| 1b_lyrics top prior, float32, from file | ready | every page read | peak resident | over its size |")
    print("|---|---|---|---|---|")
    for side, row in found.items():
        print(
            f"| {side} | {row['ready_s']:.2f} s | {row['read_s']:.2f} s | {row['peak_gb']:.2f} GB "
            f"| {row['over_size']:.2f}x of {row['size_gb']:.2f} GB |"
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", choices=("ours", "peer"), help=argparse.SUPPRESS)
    parser.add_argument("--shape", choices=tuple(SHAPES), default="MINI", help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--load", choices=("ours", "usual"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(worker(arguments)))
        return
    if arguments.load:
        print(json.dumps(load_worker(arguments.load, arguments.folder)))
        return
    rate, copied = matrix_rate(), bandwidth()
    print(
        f"{platform.machine()}, one thread: {rate / 1e9:.0f} GFLOP/s on large float32 products, "
        f"{copied / 1e9:.1f} GB/s copied"
    )
    for name, (width, layers, *_) in SHAPES.items():
        parameters = sum(p.numel() for p in random_prior(name)[0].parameters())
        print(
            f"  {name}: width {width}, {layers} layers, {parameters / 1e6:.1f} M parameters, "
            f"{operations_per_token(name) / 1e6:.1f} MFLOP per token"
        )
    rows = forward_table(arguments.quick, arguments.rounds, rate)
    loading = {} if arguments.quick else load_table()
    print(json.dumps({"matrix_gflops": rate / 1e9, "copy_gb_s": copied / 1e9, "rows": rows, "loading": loading}))


if __name__ == "__main__":
    main()
