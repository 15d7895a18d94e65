"""What the commands that write songs are told of what is sung: names, words, a description, what is mixed in."""

import argparse
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukebox.errors import ConfigError

if TYPE_CHECKING:
    from jukebox.labels.labels import Blend, Labels


def add_label_options(parser: argparse.ArgumentParser, otherwise: str) -> None:
    """What is sung; `otherwise` says what is where nothing is said."""
    parser.add_argument("--artist", help=f"a name of `jukebox labels` (default: {otherwise})")
    parser.add_argument("--genre", help=f"one of `jukebox labels` (default: {otherwise})")
    for kind in ("artist", "genre"):
        parser.add_argument(
            f"--blend-{kind}",
            action="append",
            metavar="NAME=SHARE",
            help=f"mix in another {kind}, as in 'NAME=0.3'; several times for several",
        )
    parser.add_argument(
        "--describe",
        metavar="TEXT",
        help="choose artist and genre by a description, as in 'a deep voice sings in church'; --artist and --genre "
        "come before it",
    )
    parser.add_argument(
        "--lyrics",
        help="the words; @FILE reads them from a file; in the form of LRC, as in '[00:12.5]a line', with the times at "
        "which they are sung",
    )
    parser.add_argument("--lyrics-file", type=Path, metavar="FILE", help="the same as --lyrics @FILE")
    parser.add_argument("--total", type=float, metavar="S", help="length of the song that the model should think of")
    parser.add_argument("--offset", type=float, metavar="S", help="where in that song the music begins (default 0)")


def with_labels(arguments: argparse.Namespace, songs: "tuple[Labels, ...]", model: str) -> "tuple[Labels, ...]":
    """Songs of a model with what `add_label_options` says of them."""
    names = {"artist": "artist", "genre": "genre", "total": "total_duration_s", "offset": "offset_s"}
    said: dict[str, Any] = {
        name: getattr(arguments, option) for option, name in names.items() if getattr(arguments, option) is not None
    }
    blend = (*_blend("artist", arguments.blend_artist), *_blend("genre", arguments.blend_genre))
    if blend:
        said["blend"] = blend
    if arguments.describe is not None:
        said = _described(arguments.describe, model) | said
    if arguments.lyrics is not None and arguments.lyrics_file is not None:
        raise ConfigError("Both --lyrics and --lyrics-file are given; give one.")
    text = arguments.lyrics if arguments.lyrics_file is None else f"@{arguments.lyrics_file}"
    if text is not None:
        said |= {"lyrics": _lyrics(text), "lyric_times": ()}
    return tuple(dataclasses.replace(song, **said).timed() for song in songs)


def _described(description: str, model: str) -> dict[str, Any]:
    """Artist and genre that a description comes to, which is said; one of which it says nothing is left out."""
    from jukebox.data.names import glossary_of, names_of
    from jukebox.labels.description import UNKNOWN, describe

    found = describe(description, names_of(model)[0], glossary_of(model))
    names = {"artist": found.artist, "genre": found.genre}
    kept = "".join(f"; the {kind} is as without it" for kind, name in names.items() if name == UNKNOWN)
    print(f"The description is read as {found}{kept}.", file=sys.stderr, flush=True)
    return {kind: name for kind, name in names.items() if name != UNKNOWN}


def _blend(kind: str, texts: list[str] | None) -> "Iterator[Blend]":
    from jukebox.labels.labels import Blend

    for text in texts or ():
        name, equals, share = text.rpartition("=")
        try:
            weight = float(share)
        except ValueError:
            weight = 0.0
        if not (name and equals and 0 < weight <= 1):
            raise ConfigError(
                f"--blend-{kind} is {text!r}; write a name and its share above 0, up to 1, as in NAME=0.3."
            )
        yield Blend(weight=weight, **{kind: name.strip()})


def _lyrics(text: str) -> str:
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The lyrics in {text[1:]} cannot be read ({error}); name a text file in UTF-8.") from error
