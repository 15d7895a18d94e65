"""What run.compile=true brings: steps of the tiny recipes with and without it, in one process, taking turns.

    python bench/compiled.py                        # CPU-seconds of one thread; compiling takes a minute or two of it
    python bench/compiled.py --device cuda --precision bfloat16

Both begin with the same weights and see the same windows of noise; the largest difference of their losses stands beside
the medians. Compiled parts are kept between runs by PyTorch: give TORCHINDUCTOR_CACHE_DIR an empty folder to time that.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import torch

from jukebox.labels.labels import LabelTokens
from jukebox.labels.timing import SongSpan
from jukebox.prior.initialise import new_prior
from jukebox.training import setup
from jukebox.training.allocator import keep_memory
from jukebox.training.loop import RunFolder, Sources, Trainer
from jukebox.training.prior_task import PriorTask, Words
from jukebox.training.recipe import PriorRecipe, VqvaeRecipe
from jukebox.training.recipe_file import read_recipe
from jukebox.training.shard import place
from jukebox.training.vqvae_task import VqvaeTask
from jukebox.training.workers import Workers
from jukebox.vqvae.losses import Bandwidth

RECIPES = Path(__file__).parent.parent / "recipes"


@dataclass(frozen=True)
class Item:
    """A window of sound or of codes."""

    sound: torch.Tensor | None = None
    codes: torch.Tensor | None = None
    codes_above: None = None
    labels: LabelTokens | None = None
    sung: None = None


def vqvae_trainer(run: dict[str, Any], folder: Path, workers: Workers) -> tuple[Trainer, Callable[[int], Item]]:
    recipe = read_recipe(RECIPES / "tiny_vqvae.yaml", VqvaeRecipe)
    recipe = replace(recipe, run=replace(recipe.run, **run))
    task = VqvaeTask(setup.vqvae_model(recipe), recipe, Bandwidth(), workers.device)
    place(task.module, recipe.run, workers)
    length = recipe.data.crops.length_samples

    def item(index: int) -> Item:
        return Item(sound=0.1 * torch.randn(1, length, generator=torch.Generator().manual_seed(index)))

    return Trainer(recipe, task, Sources(training=None), RunFolder(path=folder), workers), item


def prior_trainer(run: dict[str, Any], folder: Path, workers: Workers) -> tuple[Trainer, Callable[[int], Item]]:
    recipe = read_recipe(RECIPES / "tiny_prior.yaml", PriorRecipe)
    recipe = replace(recipe, run=replace(recipe.run, **run))
    config = recipe.model
    task = PriorTask(new_prior(config, torch.Generator().manual_seed(0)), recipe, Words(), "", workers.device)
    place(task.module, recipe.run, workers)
    samples = 128 * config.codes_context
    span = SongSpan(total_length_samples=60 * 44_100, offset_samples=0, window_length_samples=samples)

    def item(index: int) -> Item:
        codes = torch.randint(config.codebook_size, (samples // 128,), generator=torch.Generator().manual_seed(index))
        lyrics = tuple((codes[: config.lyrics.tokens] % 80).tolist())
        return Item(codes=codes, labels=LabelTokens(span=span, artist_id=1, genre_ids=(1,), lyric_tokens=lyrics))

    return Trainer(recipe, task, Sources(training=None), RunFolder(path=folder), workers), item


def compare(make: Callable[..., tuple[Trainer, Callable[[int], Item]]], arguments: argparse.Namespace) -> dict:
    """Seconds of a step, plain and compiled, of compiling, and how far losses are apart."""
    workers = Workers(rank=0, count=1, device=torch.device(arguments.device))
    gpu = workers.device.type == "cuda"
    clock = time.perf_counter if gpu else time.process_time
    spent: dict[str, list[float]] = {"plain": [], "compiled": []}
    losses: dict[str, list[float]] = {"plain": [], "compiled": []}
    with tempfile.TemporaryDirectory() as folder:
        runs = {
            name: make({"precision": arguments.precision, "compile": name == "compiled"}, Path(folder), workers)
            for name in spent
        }
        for step in range(arguments.steps + 2):
            for name, (trainer, item) in runs.items():
                items = [item(trainer.run.batch * step + i) for i in range(trainer.run.batch)]
                if step == 0:
                    trainer.prepare(items)
                start_s = clock()
                watched, _ = trainer.one_step(items, 0, Event(), None)
                if gpu:
                    torch.cuda.synchronize()
                spent[name].append(clock() - start_s)
                losses[name].append(float(watched["loss"]))
                trainer.step += 1
    seconds = {name: statistics.median(found[2:]) for name, found in spent.items()}
    apart = max(abs(a - b) for a, b in zip(losses["plain"], losses["compiled"], strict=True))
    return seconds | {"first_s": spent["compiled"][0], "losses_apart": apart, "loss": losses["plain"][-1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--work", nargs="+", default=["vqvae", "prior"], choices=("vqvae", "prior"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    rows = {}
    for work in arguments.work:
        row = rows[work] = compare(vqvae_trainer if work == "vqvae" else prior_trainer, arguments)
        print(
            f"{work}: {row['plain']:.3f} s a step, compiled {row['compiled']:.3f} s "
            f"({row['plain'] / row['compiled']:.2f} times as fast); first compiled step {row['first_s']:.0f} s; losses "
            f"of {row['loss']:.3f} at most {row['losses_apart']:.1e} apart",
            flush=True,
        )
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
