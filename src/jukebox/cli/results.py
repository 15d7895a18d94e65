"""What the evaluations share: which pieces they take, and where results go."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from jukebox.data.collection import Split
    from jukebox.data.crops import CropConfig
    from jukebox.evaluation.parts import Parts

# What changes nothing of the results.
_FREE = ("output", "no_plots", "threads", "device", "run_action", "command")


def split_of(arguments: argparse.Namespace) -> "Split | None":
    """The songs that are asked for; None for all."""
    return None if arguments.split == "all" else arguments.split


def crop_config(arguments: argparse.Namespace, length_samples: int) -> "CropConfig":
    """Pieces of so many samples that stay where they are, in an order of the seed."""
    from jukebox.data.crops import CropConfig

    return CropConfig(length_samples=length_samples, seed=arguments.seed, shift=False, blend="mean")


def parts_of(arguments: argparse.Namespace, model: "nn.Module | None") -> "Parts":
    """What an evaluation of the same kind that was killed has left in the folder of the results."""
    from jukebox.evaluation.parts import Parts

    facts = {name: value for name, value in vars(arguments).items() if name not in _FREE}
    others = [path for name in ("others", "songs") for path in getattr(arguments, name, ())]
    return Parts.of(arguments.output, facts, model, [arguments.data, *others])


def write_results(arguments: argparse.Namespace, results: Mapping[str, Any]) -> Path | None:
    """Write the JSON; the folder for the plots, None where there shall be none."""
    if arguments.output is None:
        return None
    from jukebox.data.collection import write_text

    settings = {name: getattr(arguments, name) for name in ("what", "model", "split", "seed") if name in arguments}
    values = settings | {"data": str(arguments.data), "results": results}
    path = arguments.output / f"{arguments.what}.json"
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")
    print(f"{path} written")
    return None if arguments.no_plots else arguments.output
