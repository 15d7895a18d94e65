"""`jukebox models`: what can be named by --model, and which of it is here."""

import argparse
from pathlib import Path

from jukebox import presets
from jukebox.cache import cache_folder, is_cached
from jukebox.cli.progress import amount


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """`jukebox models` has no options."""
    subparsers.add_parser("models", help="the models there are, and which of them are here", description=__doc__)


def run(arguments: argparse.Namespace) -> int:
    """List the models."""
    print("model        levels        size  licence        here")
    files = [file for file in presets.MINI_FOLDER.rglob("*") if file.is_file()]
    parts = sum((folder / "config.json").is_file() for folder in presets.MINI_FOLDER.glob("*"))
    size = sum(file.stat().st_size for file in files)
    here = "yes; the model where none is named" if parts else "no: its weights are not in this installation"
    print(_row(presets.MINI, max(0, parts - 1), size, "Apache-2.0", here))
    for released in presets.RELEASED.values():
        size = sum(file.about_bytes for file in released.files)
        print(_row(released.name, len(released.priors), size, "noncommercial", _state(released)))
    print(_row(presets.TINY_RANDOM, len(presets.TINY_PRIORS), 0, "Apache-2.0", "yes; random weights, for tests"))
    print("Or the folder of your own training: --model runs.")
    for released in presets.RELEASED.values():
        print(f"{released.name}: {released.description}")
    print(f"Cache: {cache_folder()}\n{presets.LICENCE}")
    return 0


def _row(name: str, levels: int, size_bytes: int, licence: str, here: str) -> str:
    size = amount(size_bytes, "B") if size_bytes else "-"
    return f"{name:<13}{levels or '-':>6}{size:>12}  {licence:<13}  {here}"


def _state(released: presets.ReleasedModel) -> str:
    missing = [Path(file.path).name.removesuffix(".pth.tar") for file in released.files if not is_cached(file.path)]
    if not missing:
        return "yes, in the cache"
    some = "no" if len(missing) == len(released.files) else f"without {', '.join(missing)}"
    return f"{some}: jukebox weights download {released.name}"
