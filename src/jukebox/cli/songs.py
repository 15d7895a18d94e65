"""What the commands that write songs share: their options, a request from them, and how the work is shown."""

import argparse
import contextlib
import dataclasses
import itertools
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukebox.cli.recording import parse_levels, prepare_machine
from jukebox.cli.team import dismiss, help_out, join
from jukebox.errors import ConfigError

if TYPE_CHECKING:
    from jukebox.pipeline import Jukebox
    from jukebox.sampling.events import Event, Progress
    from jukebox.sampling.generate import Options
    from jukebox.sampling.request import Given, LevelSettings, SongRequest

FORMATS = ("flac", "wav", "ogg", "mp3")
_LINE_EVERY_S = 10.0
_SLOW = "There is no C compiler (cc, gcc or clang); with one this would be at least three times as fast."


def add_work_options(parser: argparse.ArgumentParser) -> None:
    """How the work is done: nothing here changes what is asked for. Precision and engine change how it is rounded."""
    parser.add_argument("--format", choices=FORMATS, default="flac", help="of the songs (default: flac)")
    parser.add_argument("--slots", type=int, metavar="N", help="windows at once (default: all, up to 32)")
    add_engine_options(parser)
    parser.add_argument(
        "--save-every", type=float, default=3.0, metavar="S", help="seconds from one save to the next (default 3)"
    )
    parser.add_argument("--no-previews", action="store_true", help="write no files to listen to on the way")


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """What computes codes, and how it is rounded."""
    parser.add_argument("--device", help="as in cpu or cuda:1 (default: a GPU where there is one)")
    parser.add_argument(
        "--precision",
        choices=("auto", "float32", "bfloat16", "int8", "int4"),
        default="auto",
        help="of the priors' matrices (default: bfloat16 on a GPU, else float32, or that of the model's files where it "
        "is 8 or 4 bits); int4 is for the top prior, the others are then in int8",
    )
    parser.add_argument(
        "--engine",
        choices=("auto", "reference", "processor", "native", "graph", "fused", "dependent", "persistent"),
        default="auto",
        help="what computes codes (default: the fastest that can be used; docs/gpu.md says what each of them is)",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="use so many cores (default: all)")


def add_sampling_options(parser: argparse.ArgumentParser) -> None:
    """How codes are drawn."""
    parser.add_argument("--seed", type=int, metavar="N", help="of the noise (default 0)")
    parser.add_argument("--takes", type=int, metavar="N", help="so many versions of each song (default 1)")
    parser.add_argument("--first-take", type=int, metavar="N", help="number of the first take (default 0)")
    parser.add_argument(
        "--temperature", metavar="T|K=T,...", help="for all levels, or as in 2=0.98,0=0.99 (default: the model's)"
    )
    parser.add_argument("--top-k", metavar="N|K=N,...", help="draw among the N most probable codes")
    parser.add_argument("--top-p", metavar="P|K=P,...", help="draw among the most probable codes up to this share")
    parser.add_argument(
        "--guidance", metavar="G|K=G,...", help="follow artist, genre and lyrics so many times as closely (usual: 1)"
    )
    parser.add_argument("--hop", metavar="F|K=F,...", help="how far windows move on, as a share of their length")
    parser.add_argument(
        "--one-window", metavar="LIST", help="levels, as in 2, whose missing codes are written in one window"
    )
    parser.add_argument("--lowest-level", type=int, metavar="K", help="the finest level to write (default 0)")
    parser.add_argument(
        "--parallel-windows",
        type=int,
        metavar="N",
        help="write the levels below the top in N parts side by side: faster, but an approximation (default: the "
        "model's; 1 is exact)",
    )
    parser.add_argument("--estimate", action="store_true", help="say what it would take, and stop")


def add_following_option(parser: argparse.ArgumentParser) -> None:
    """Whether lyrics follow what is sung; for commands that write the top level."""
    parser.add_argument(
        "--follow-lyrics",
        action=argparse.BooleanOptionalAction,
        help="show every window the words around what is heard to be sung, not those that would be there if all were "
        "spread evenly over the song; for models with an alignment head (default: no, and where a song goes on, as "
        "it was begun)",
    )


def add_source_options(parser: argparse.ArgumentParser, levels: str) -> None:
    """Which codes of a session, or of a codes file, a song begins with; `levels` is the help for --levels."""
    parser.add_argument("--levels", metavar="LIST", help=levels)
    parser.add_argument("--item", metavar="NAME", help="which song of the session, as in song_take_1")
    parser.add_argument("--start", type=float, metavar="S", help="begin at this second of it")
    parser.add_argument("--duration", type=float, metavar="S", help="take so many seconds (default: to the end)")


def given_codes(arguments: argparse.Namespace, source: Path, levels: "tuple[int, ...] | None") -> "Given":
    """The codes that `add_source_options` names."""
    from jukebox.sampling.request import Given

    return Given(
        source=str(source.absolute()),
        item=arguments.item,
        levels=levels,
        start_s=arguments.start or 0.0,
        duration_s=arguments.duration,
    )


def narrowed(there: "SongRequest", name: str | None, session: Path) -> "SongRequest":
    """A session's request to one song and take of it, by its name there; to all where none is named."""
    if name is None:
        return there
    items = there.item_names()
    found = next(((song, take) for song, take, known in items if known == name), None)
    if found is None:
        raise ConfigError(f"{session} has no song {name!r}; it has {', '.join(known for _, _, known in items)}.")
    song, take = found
    return dataclasses.replace(there, songs=(there.songs[song],), takes=1, first_take=take)


def sampling_fields(arguments: argparse.Namespace, levels: int) -> dict[str, Any]:
    """The fields of a request that are named by `add_sampling_options` and `add_following_option`."""
    names = ("seed", "takes", "first_take", "lowest_level", "parallel_windows", "follow_lyrics")
    fields = {name: value for name in names if (value := getattr(arguments, name, None)) is not None}
    settings = level_settings(arguments, levels)
    return fields | ({"levels": settings} if settings else {})


def level_settings(arguments: argparse.Namespace, levels: int) -> "tuple[LevelSettings, ...]":
    """The settings of levels that differ from what is usual."""
    from jukebox.sampling.request import LevelSettings

    names = {"temperature": float, "top_k": int, "top_p": float, "guidance": float, "hop": float}
    found: dict[int, dict[str, Any]] = {}
    for name, kind in names.items():
        for level, value in _by_level(name, getattr(arguments, name), kind, levels).items():
            found.setdefault(level, {})["hop_fraction" if name == "hop" else name] = value
    for level in parse_levels("--one-window", arguments.one_window, levels):
        found.setdefault(level, {})["one_window"] = True
    return tuple(LevelSettings(level=level, **values) for level, values in sorted(found.items()))


def _by_level(name: str, text: str | None, kind: type, levels: int) -> dict[int, Any]:
    if text is None:
        return {}
    option = f"--{name.replace('_', '-')}"
    try:
        if "=" not in text:
            return dict.fromkeys(range(levels), kind(text))
        pairs = [part.split("=") for part in text.split(",")]
        return {int(level): kind(value) for level, value in pairs}
    except ValueError as error:
        raise ConfigError(f"{option} is {text!r}; give a number for all levels, or level=number,...") from error


def load_jukebox(model: str, arguments: argparse.Namespace) -> "Jukebox":
    """The model, on the device that the options name."""
    from jukebox.engines import EngineSettings
    from jukebox.pipeline import load

    prepare_machine(arguments)
    settings = EngineSettings(engine=arguments.engine, precision=arguments.precision)
    arguments.team = team = join(arguments.device)
    device = arguments.device if team is None else str(team.device)
    return load(model, device, settings, shared=team is not None)


def work_options(arguments: argparse.Namespace) -> "Options":
    """How the work is done."""
    from jukebox.sampling.generate import Options

    if arguments.slots is not None and arguments.slots < 1:
        raise ConfigError(f"--slots is {arguments.slots}; give a number of windows, 1 or more.")
    if not arguments.save_every >= 0:
        raise ConfigError(f"--save-every is {arguments.save_every}; give a number of seconds, 0 or more.")
    return Options(slots=arguments.slots, previews=None if arguments.no_previews else "flac")


def add_output_option(parser: argparse.ArgumentParser) -> None:
    """Where what is written goes, which `output_folder` gives."""
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="the new session's folder")


def output_folder(arguments: argparse.Namespace) -> Path:
    """The folder of `add_output_option`; where only an estimate is asked for, any."""
    if arguments.output is None and not arguments.estimate:
        raise ConfigError("Where is it to be written? Name a new folder by -o FOLDER.")
    return check_folder(arguments.output or Path())


def check_folder(path: Path) -> Path:
    """A session's folder; refuses the name of a sound file."""
    if path.suffix.lower()[1:] in FORMATS or path.is_file():
        raise ConfigError(f"--output is {str(path)!r}, but a song is a folder; name one, and --format for the sound.")
    return path


def write(
    jukebox: "Jukebox", folder: Path, request: "SongRequest", arguments: argparse.Namespace, introduction: str = ""
) -> int:
    """Write a request into a session's folder, and show how far it is; or say what it would take.

    The introduction is said when the work has begun: a request that is refused has none.
    """
    if arguments.team is not None and not arguments.team.first:
        help_out(arguments.team, jukebox.engine)
        return 0
    with contextlib.ExitStack() as end:
        if arguments.team is not None:
            end.callback(dismiss)
        if arguments.estimate:
            print(jukebox.estimate(request, work_options(arguments)))
        else:
            _write(jukebox, folder, request, arguments, introduction)
    return 0


def _write(
    jukebox: "Jukebox", folder: Path, request: "SongRequest", arguments: argparse.Namespace, introduction: str
) -> None:
    from jukebox.native.library import library

    options = work_options(arguments)
    events = jukebox.write_session(
        folder, request, suffix=f".{arguments.format}", options=options, save_every_s=arguments.save_every
    )
    with contextlib.closing(events):
        first = next(events)
        if introduction:
            print(introduction, file=sys.stderr, flush=True)
        usual = arguments.engine == "auto" and arguments.precision != "bfloat16"
        if jukebox.device.type == "cpu" and usual and library() is None:
            print(_SLOW, file=sys.stderr, flush=True)
        show(itertools.chain([first], events))
    again = shlex.quote(str(folder / "request.yaml"))
    print(f"{folder}: finished; the same again: jukebox generate --request {again} -o FOLDER")


def show(events: "Iterator[Event]") -> None:
    """Messages as lines, progress on stderr, songs and previews on stdout, each when it is there at first."""
    from jukebox.sampling.events import Message, Progress, Saved

    line, shown = _Line(), set[Path]()
    for event in events:
        if isinstance(event, Progress):
            line.show(event)
        elif isinstance(event, Message):
            line.clear()
            print(event.text, file=sys.stderr, flush=True)
        elif isinstance(event, Saved) and event.path not in shown and event.path.is_file():
            line.clear()
            shown.add(event.path)
            print(event.path, flush=True)
    line.clear()


def progress_line(event: "Progress") -> str:
    """Progress in a line: level, window, rate, how many times real time, time left."""
    minutes, seconds = divmod(round(min(event.left_s, 359_999)), 60)
    left = f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if minutes >= 60 else f"{minutes}:{seconds:02d}"
    return (
        f"level {event.level}: window {event.window} of {event.windows}, {event.tokens / event.of_tokens:.0%}, "
        f"{event.tokens_per_s:.0f} tokens/s, {event.times_real_time:.2f}x real time, {left} left"
    )


def progress_lines(latest: Sequence["Progress"]) -> str:
    """The same where levels are written side by side: how far the coarser ones are, and the finest in full."""
    *coarser, finest = sorted(latest, key=lambda event: event.level, reverse=True)
    shares = [
        f"level {each.level}: {each.tokens / each.of_tokens:.0%}" for each in coarser if each.tokens < each.of_tokens
    ]
    return ", ".join([*shares, progress_line(finest)])


class _Line:
    """One line that is written over on a terminal, and now and then elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._next_s = time.monotonic() + (0.5 if self._terminal else _LINE_EVERY_S)
        self._shown = 0
        self._latest: dict[int, Progress] = {}

    def show(self, event: "Progress") -> None:
        self._latest[event.level] = event
        if time.monotonic() < self._next_s:
            return
        text = progress_lines(list(self._latest.values()))
        if self._terminal:
            print(f"\r{text:<{self._shown}}", end="", file=sys.stderr, flush=True)
            self._shown, self._next_s = len(text), time.monotonic() + 0.5
        else:
            print(text, file=sys.stderr, flush=True)
            self._next_s = time.monotonic() + _LINE_EVERY_S

    def clear(self) -> None:
        if self._shown:
            print("\r" + " " * self._shown + "\r", end="", file=sys.stderr, flush=True)
            self._shown = 0
