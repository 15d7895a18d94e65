"""`jukebox labels`: the artists and genres that a model knows."""

import argparse
from typing import TYPE_CHECKING

from jukebox import presets
from jukebox.errors import LabelError

if TYPE_CHECKING:
    from jukebox.labels.vocabulary import NameList


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of `jukebox labels`."""
    parser = subparsers.add_parser("labels", help="the artists and genres that a model knows", description=__doc__)
    parser.add_argument("model", nargs="?", default=presets.MINI, help="a name or folder (default: mini)")
    parser.add_argument("text", nargs="?", help="only names that contain this, or are similar")
    parser.add_argument("--level", type=int, metavar="K", help="of the prior (default: the coarsest)")
    parser.add_argument("--describe", metavar="TEXT", help="what `jukebox generate --describe TEXT` would choose")


def run(arguments: argparse.Namespace) -> int:
    """List the names."""
    from jukebox.data.names import glossary_of, names_of
    from jukebox.labels.description import describe

    vocabulary, _ = names_of(arguments.model, arguments.level)
    if arguments.describe is not None:
        print(describe(arguments.describe, vocabulary, glossary_of(arguments.model)))
        return 0
    found = {"artists": _names(vocabulary.artists, arguments.text), "genres": _names(vocabulary.genres, arguments.text)}
    if arguments.text is not None and not any(found.values()):
        raise LabelError(f"{arguments.model} knows no name like {arguments.text!r}; leave it out to see all.")
    for kind, names in found.items():
        print(f"{kind} ({len(names)}):")
        for name in names:
            print(f"  {name}")
    return 0


def _names(known: "NameList", text: str | None) -> tuple[str, ...]:
    """Every name, sorted, or those that are like a text."""
    return tuple(sorted({name for name, _ in known.entries if name})) if text is None else known.search(text, 50)
