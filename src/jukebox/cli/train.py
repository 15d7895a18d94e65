"""`jukebox train`: a recipe into a model, from its last saved state to its last step."""

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukebox.errors import ConfigError

if TYPE_CHECKING:
    from jukebox.training.loop import MakeSounds, Trainer
    from jukebox.training.memory import Memory
    from jukebox.training.recipe import PriorRecipe, VqvaeRecipe
    from jukebox.training.workers import Workers

STOPPED = 130
_SETTING = re.compile(r"[a-z][a-z_0-9.]*=")


class _SettingsAnywhere(argparse.ArgumentParser):
    """Takes FIELD=VALUE before, between and after options: argparse alone wants all positional words in one place."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # pyright: ignore
        words, takes_value = list(args or ()), {"-o", "--output", "--device", "--threads", "--level"}
        settings = [
            word
            for before, word in zip(["", *words], words, strict=False)
            if _SETTING.match(word) and before not in takes_value
        ]
        found, rest = super().parse_known_args([word for word in words if word not in settings], namespace)
        found.settings = settings
        return found, rest


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of `jukebox train`."""
    parser = subparsers.add_parser("train", help="a recipe into a model", description=__doc__)
    kinds = parser.add_subparsers(
        title="models", metavar="MODEL", dest="kind", required=True, parser_class=_SettingsAnywhere
    )
    vqvae = kinds.add_parser("vqvae", help="sound to codes and back")
    prior = kinds.add_parser("prior", help="the codes of one level, from labels, lyrics and the level above")
    for kind in (vqvae, prior):
        kind.add_argument("recipe", type=Path, help="a YAML file, as in recipes/")
        kind.usage = f"jukebox train {kind.prog.split()[-1]} RECIPE [FIELD=VALUE ...] -o RUN [options]"
        kind.epilog = "FIELD=VALUE sets a field of the recipe, as in run.steps=1000."
        kind.add_argument("-o", "--output", type=Path, metavar="RUN", help="the run's folder; where it exists, go on")
        kind.add_argument("--dry-run", action="store_true", help="what it takes: parameters, memory, ten steps' speed")
        kind.add_argument("--device", help="as in cpu or cuda (default: a GPU where there is one)")
        kind.add_argument("--threads", type=int, metavar="N", help="use so many cores (default: all)")
        kind.add_argument("--devices", type=int, metavar="N", help="with --dry-run: suppose so many devices; no probe")
        kind.add_argument("--memory", type=float, metavar="GB", help="with --dry-run: of so much memory each; no probe")
    prior.add_argument("--level", type=int, help="0 is the finest (default: what the recipe says)")


def run(arguments: argparse.Namespace) -> int:
    """Train, or say what it would take."""
    import torch

    from jukebox.training import dry_run
    from jukebox.training.allocator import keep_memory
    from jukebox.training.recipe import PriorRecipe, VqvaeRecipe
    from jukebox.training.recipe_file import read_recipe
    from jukebox.training.workers import workers

    keep_memory()
    if arguments.output is None and not arguments.dry_run:
        raise ConfigError("There is no folder for the run; name one with -o, or ask for --dry-run.")
    for name in ("threads", "devices"):
        if getattr(arguments, name) is not None and getattr(arguments, name) < 1:
            raise ConfigError(f"--{name} is {getattr(arguments, name)}; give 1 or more.")
    if arguments.memory is not None and not 0 < arguments.memory < float("inf"):
        raise ConfigError(f"--memory is {arguments.memory}; give a number of gigabytes above 0.")
    if not arguments.dry_run and (arguments.devices is not None or arguments.memory is not None):
        raise ConfigError("--devices and --memory suppose a machine for --dry-run; add that, or leave them out.")
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    kind = VqvaeRecipe if arguments.kind == "vqvae" else PriorRecipe
    recipe = read_recipe(arguments.recipe, kind, arguments.settings)
    with workers(arguments.device) as found:
        if arguments.dry_run:
            _dry_run(arguments, recipe, found)
            return 0
        assert arguments.output is not None
        trainer = _trainer(arguments, recipe, arguments.output, found)
        # A run that cannot fit would take the machine down with it, or be killed without a word.
        needed = _memory(arguments, recipe, found.count)
        dry_run.refuse_too_large(needed, dry_run.whole_bytes(found.device), str(found.device))
        done = trainer.train(_sounds(trainer))
        finished = done >= recipe.run.steps  # above it where fewer steps are asked for than there are
        if finished and found.first:
            print(f"{trainer.folder.model}: the model after {done} steps")
        return 0 if finished else STOPPED


def _trainer(
    arguments: argparse.Namespace, recipe: "VqvaeRecipe | PriorRecipe", folder: Path, workers: "Workers"
) -> "Trainer":
    from jukebox.training import setup
    from jukebox.training.loop import RunFolder
    from jukebox.training.recipe import VqvaeRecipe

    place = RunFolder(path=folder)
    if isinstance(recipe, VqvaeRecipe):
        return setup.vqvae_trainer(recipe, place, workers, _say)
    return setup.prior_trainer(recipe, arguments.level, place, workers, _say)


def _sounds(trainer: "Trainer") -> "MakeSounds | None":
    """Music by a prior for the log, by the first worker, from the exported model."""
    from jukebox.cli.train_sounds import generated
    from jukebox.training.prior_task import PriorTask

    if not isinstance(trainer.task, PriorTask) or not trainer.workers.first:
        return None
    return generated(trainer)


def _dry_run(arguments: argparse.Namespace, recipe: "VqvaeRecipe | PriorRecipe", workers: "Workers") -> None:
    import tempfile

    from jukebox.training import dry_run

    supposed = arguments.devices is not None or arguments.memory is not None
    devices = arguments.devices or workers.count
    memory = _memory(arguments, recipe, devices)
    if workers.first:
        print(dry_run.report(memory, recipe, devices), flush=True)
    if arguments.memory is not None:
        dry_run.refuse_too_large(memory, int(arguments.memory * 1e9), "a device")
    elif not supposed:
        dry_run.refuse_too_large(memory, dry_run.available_bytes(workers.device), str(workers.device))
        with tempfile.TemporaryDirectory() as folder:
            # Every worker has a folder of its own: nothing is written to it but the recipe.
            trainer = _trainer(arguments, recipe, Path(folder) / "probe", workers)
            text = dry_run.probe(trainer)
            if workers.first:
                print(text)


def _memory(arguments: argparse.Namespace, recipe: "VqvaeRecipe | PriorRecipe", devices: int) -> "Memory":
    from jukebox.training import memory
    from jukebox.training.recipe import VqvaeRecipe
    from jukebox.training.setup import at_level

    if isinstance(recipe, VqvaeRecipe):
        return memory.of_vqvae(recipe, devices)
    return memory.of_prior(at_level(recipe, arguments.level), arguments.level, devices)


def _say(text: str) -> Any:
    print(text, flush=True)
