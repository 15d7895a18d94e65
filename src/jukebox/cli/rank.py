"""`jukebox rank`: the takes of a song, the best first, by what the model makes of their codes.

Finished songs, sketches (`--lowest-level 2`) and what is only begun are measured alike, by their top level. Takes of
the same song and about the same length are compared with each other, those of several sessions too. Nothing is changed
but `rank.json` in each folder, where the measures are kept: nothing is measured twice.

score: how many of the other takes this one is better than, in the two that follow. sung: how much of the words that are
due is sung. variety: different codes in half a second. bits per code are shown and do not count. docs/sampling.md says
what that is worth.
"""

import argparse
import itertools
import json
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukebox.cli.progress import progress
from jukebox.cli.recording import prepare_machine
from jukebox.errors import ConfigError, JukeboxError

if TYPE_CHECKING:
    from jukebox.evaluation.takes import TakeMeasures
    from jukebox.labels.labels import Labels
    from jukebox.pipeline import Jukebox
    from jukebox.prior.prior import Prior
    from jukebox.sampling.session import Session

# Heading and format of each measure in the table.
_COLUMNS = {
    "seconds": ("seconds", "7.2f"),
    "sung": ("sung", "7.2f"),
    "variety": ("variety", "7.1f"),
    "bits": ("bits", "7.2f"),
}


@dataclass(frozen=True)
class _Ranked:
    """A take of a session with its song, whether it is a sketch, and what was measured."""

    session: Path
    name: str
    labels: "Labels"
    sketch: bool
    measures: "TakeMeasures"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of `jukebox rank`."""
    parser = subparsers.add_parser("rank", help="the takes of a song, the best first", description=__doc__)
    parser.add_argument(
        "sessions", nargs="+", type=Path, metavar="SESSION", help="a folder that songs are written into"
    )
    parser.add_argument(
        "--best", type=int, metavar="N", help="only the best N of each table, and the commands that finish sketches"
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of tables")
    parser.add_argument("--device", help="as in cpu or cuda:1 (default: a GPU where there is one)")
    parser.add_argument("--threads", type=int, metavar="N", help="use so many cores (default: all)")


def run(arguments: argparse.Namespace) -> int:
    """Rank takes."""
    if arguments.best is not None and arguments.best < 1:
        raise ConfigError(f"--best is {arguments.best}; give a number of takes, 1 or more.")
    from jukebox.evaluation.ranking import same_length, standings
    from jukebox.sampling.session import Session

    prepare_machine(arguments)
    models: dict[tuple[str, str], tuple[Jukebox, Callable[[], Prior]]] = {}
    songs: dict[tuple[str, Labels, bool], list[_Ranked]] = {}
    for folder in dict.fromkeys(arguments.sessions):
        for song, take in _takes(Session(folder), models, arguments.device):
            songs.setdefault(song, []).append(take)
    ranked = []
    for takes in songs.values():
        for places in same_length([take.measures for take in takes]):
            alike = [takes[place] for place in places]
            scores = standings([take.measures for take in alike])
            order = sorted(range(len(alike)), key=lambda place: -scores[place])
            ranked.append([(scores[place], alike[place]) for place in order[: arguments.best]])
    if arguments.json:
        found = [_values(place, *each) for song in ranked for place, each in enumerate(song, 1)]
        print(json.dumps(found, indent=1, ensure_ascii=False))
        return 0
    for song in ranked:
        _show(song)
    if arguments.best is not None:
        for _, take in itertools.chain.from_iterable(ranked):
            if take.sketch:
                print(_command(take))
    return 0


def _takes(
    session: "Session", models: "dict[tuple[str, str], tuple[Jukebox, Callable[[], Prior]]]", device: str | None
) -> "Iterator[tuple[tuple[str, Labels, bool], _Ranked]]":
    """The takes of a session and what makes takes of one song: model, labels, and whether lyrics are followed.

    Followed lyrics are read otherwise. A model is loaded once, its prior where it is needed.
    """
    from jukebox.engines import EngineSettings
    from jukebox.evaluation.ranking import measured
    from jukebox.pipeline import load

    request = session.request()
    precision: Any = session.precision
    key = (request.model, precision)
    if key not in models:
        jukebox = load(request.model, device, EngineSettings(precision=precision))
        models[key] = jukebox, cache(partial(jukebox.reader, jukebox.model.top))
    jukebox, prior = models[key]
    fingerprint = jukebox.fingerprint(request.lowest_level)
    session.check_model(fingerprint)
    sketch = request.lowest_level == jukebox.model.top
    for take, measures in measured(session, jukebox.model, fingerprint, prior, progress, _unkept):
        labels = request.songs[take.song]
        ranked = _Ranked(session.folder, take.item.name, labels, sketch, measures)
        yield (request.model, labels, request.follow_lyrics), ranked


def _unkept(error: JukeboxError) -> None:
    """Say why the measures will be made again."""
    print(f"The measures could not be kept: {error}", file=sys.stderr, flush=True)


def _values(place: int, score: float, take: _Ranked) -> dict[str, Any]:
    """A take as JSON values."""
    named = {"artist": take.labels.artist, "genre": take.labels.genre, "lyrics": take.labels.lyrics}
    where = {"place": place, "session": str(take.session), "item": take.name, "score": score}
    return where | named | asdict(take.measures)


def _show(song: list[tuple[float, _Ranked]]) -> None:
    """Print the table of a song; what is not known of any take has no column."""
    labels, rows = song[0][1].labels, [asdict(take.measures) for _, take in song]
    words = f", {labels.lyrics.splitlines()[0][:60]!r}" if labels.lyrics.strip() else ""
    columns = {name: shown for name, shown in _COLUMNS.items() if any(row[name] is not None for row in rows)}
    lengths = sorted(row["seconds"] for row in rows)
    length = " to ".join(dict.fromkeys(f"{seconds:.2f}" for seconds in (lengths[0], lengths[-1])))
    print(f"{labels.artist}, {labels.genre}{words}, {length} seconds")
    print("  score" + "".join(f"{heading:>8}" for heading, _ in columns.values()) + "  take")
    for (score, take), row in zip(song, rows, strict=True):
        shown = [" " * 7 if row[name] is None else format(row[name], how) for name, (_, how) in columns.items()]
        print(f"{score:7.2f}" + "".join(f" {value}" for value in shown) + f"  {take.session}#{take.name}")
    print()


def _command(take: _Ranked) -> str:
    """What writes the finer levels of a sketch."""
    session = take.session.resolve() if take.session.name in ("", "..") else take.session
    output = f"{session}_{take.name}"
    return shlex.join(["jukebox", "upsample", str(take.session), "--item", take.name, "-o", output])
