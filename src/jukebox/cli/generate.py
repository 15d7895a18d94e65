"""`jukebox generate`: a song from artist, genre and lyrics, or from a request file; without any, one of the model's."""

import argparse
import itertools
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukebox import presets
from jukebox.cli.songs import add_sampling_options, add_work_options, check_folder, load_jukebox, sampling_fields, write
from jukebox.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jukebox.labels.labels import Blend, Labels
    from jukebox.sampling.request import Prime, SongRequest


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of `jukebox generate`."""
    parser = subparsers.add_parser("generate", help="a song from artist, genre and lyrics", description=__doc__)
    parser.add_argument("--request", type=Path, metavar="FILE", help="YAML or JSON; other options replace its fields")
    parser.add_argument("--model", help="a name of `jukebox models`, or a folder (default: mini)")
    parser.add_argument("--artist", help="a name of `jukebox labels` (default: unknown)")
    parser.add_argument("--genre", help="one of `jukebox labels` (default: unknown)")
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
    parser.add_argument("--seconds", type=float, metavar="S", help="length of the song (default: usual for the model)")
    parser.add_argument("--total", type=float, metavar="S", help="length of the song that the model should think of")
    parser.add_argument("--offset", type=float, metavar="S", help="where in that song the music begins (default 0)")
    parser.add_argument("--prime", type=Path, metavar="RECORDING", help="begin with this recording")
    parser.add_argument("--prime-start", type=float, metavar="S", help="its part from this second on")
    parser.add_argument("--prime-duration", type=float, metavar="S", help="so many seconds of it (default: all)")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="the session's folder (default: a new one)")
    add_sampling_options(parser)
    add_work_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write a song."""
    from jukebox.sampling.request import SongRequest

    asked = SongRequest.read(arguments.request) if arguments.request else None
    model = arguments.model or (presets.MINI if asked is None else asked.model)
    folder = _new_folder() if arguments.output is None else check_folder(arguments.output)
    jukebox = load_jukebox(model, arguments)
    request = _request(arguments, asked or _usual(arguments, jukebox.model.usual), model, jukebox.model.top + 1)
    return write(jukebox, folder, request, arguments, _introduction(request) if asked is None else "")


def _new_folder() -> Path:
    """song, song_2, song_3, ...: the first that is not there."""
    names = itertools.chain(["song"], (f"song_{number}" for number in itertools.count(2)))
    return next(path for path in map(Path, names) if not path.exists())


def _usual(arguments: argparse.Namespace, usual: "SongRequest") -> "SongRequest":
    """The model's own song; its labels only where nothing is said of them."""
    from jukebox.labels.labels import Labels

    said = (arguments.artist, arguments.genre, arguments.describe, arguments.lyrics, arguments.lyrics_file,
            arguments.prime)  # fmt: skip
    return usual if said == (None,) * len(said) else replace(usual, songs=(Labels(),))


def _introduction(request: "SongRequest") -> str:
    """What is written: much of it may not have been asked for."""
    first, *_ = request.songs
    words = f"sings {first.lyrics.splitlines()[0]!r}" if first.lyrics.strip() else "without words"
    return (
        f"{request.model}: {request.seconds:g} seconds, artist {first.artist!r}, genre {first.genre!r}, {words}; "
        f"seed {request.seed} (another one, another song)."
    )


def _request(arguments: argparse.Namespace, base: "SongRequest", model: str, levels: int) -> "SongRequest":
    changes: dict[str, Any] = sampling_fields(arguments, levels) | {"model": model}
    if arguments.seconds is not None:
        changes["seconds"] = arguments.seconds
    changes["songs"] = _songs(arguments, base, model)
    prime = _prime(arguments)
    if prime is not None:
        changes["prime"] = prime
    return replace(base, **changes)


def _songs(arguments: argparse.Namespace, base: "SongRequest", model: str) -> "tuple[Labels, ...]":
    names = {"artist": "artist", "genre": "genre", "total": "total_duration_s", "offset": "offset_s"}
    said = {
        name: getattr(arguments, option) for option, name in names.items() if getattr(arguments, option) is not None
    }
    blend = [*_blend("artist", arguments.blend_artist), *_blend("genre", arguments.blend_genre)]
    if blend:
        said["blend"] = tuple(blend)
    if arguments.describe is not None:
        said = _described(arguments.describe, model) | said
    if arguments.lyrics is not None and arguments.lyrics_file is not None:
        raise ConfigError("Both --lyrics and --lyrics-file are given; give one.")
    text = arguments.lyrics if arguments.lyrics_file is None else f"@{arguments.lyrics_file}"
    if text is not None:
        said |= {"lyrics": _lyrics(text), "lyric_times": ()}
    return tuple(replace(song, **said).timed() for song in base.songs)


def _described(description: str, model: str) -> dict[str, Any]:
    """Artist and genre that a description comes to, which is said."""
    from jukebox.data.names import glossary_of, names_of
    from jukebox.labels.description import describe

    found = describe(description, names_of(model)[0], glossary_of(model))
    print(f"The description is read as {found}.", file=sys.stderr, flush=True)
    return {"artist": found.artist, "genre": found.genre}


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
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The lyrics in {text[1:]} cannot be read ({error}); name a text file in UTF-8.") from error


def _prime(arguments: argparse.Namespace) -> "Prime | None":
    from jukebox.sampling.request import Prime

    if arguments.prime is None:
        if arguments.prime_start is not None or arguments.prime_duration is not None:
            raise ConfigError("--prime-start and --prime-duration need --prime, the recording.")
        return None
    return Prime(
        recording=str(arguments.prime.absolute()),
        start_s=arguments.prime_start or 0.0,
        duration_s=arguments.prime_duration,
    )
