"""`jukebox join`: parts of songs, one after another, as a song or as the beginning of a longer one.

A part is SESSION_OR_CODES[#ITEM][@START-END]: the folder of a session or a codes file, which song of the session, and
from which second to which; song#song_take_1@3.5-12, song@-5 (its beginning), song@3- (to its end). Put it in quotes
where the path has spaces. What is the name of a file or folder as it stands is taken as that, whatever # and @ it has.
Model, labels, seed and all else are those of the first part's session where nothing else is said. Only the top level of
the parts is taken, and the finer ones are written anew, across the seams, where they may click otherwise (--levels).
"""

import argparse
import os.path
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jukebox import presets
from jukebox.cli.label_options import add_label_options, with_labels
from jukebox.cli.recording import parse_levels
from jukebox.cli.songs import (
    add_following_option,
    add_output_option,
    add_sampling_options,
    add_work_options,
    load_jukebox,
    narrowed,
    output_folder,
    sampling_fields,
    write,
)
from jukebox.errors import ConfigError

if TYPE_CHECKING:
    from jukebox.sampling.request import Given

PART = "SESSION_OR_CODES[#ITEM][@START-END]"

_SECONDS = r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+"
_RANGE = re.compile(rf"(.+)@({_SECONDS})?-({_SECONDS})?", re.DOTALL)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of `jukebox join`."""
    parser = subparsers.add_parser("join", help="parts of songs, one after another", description=__doc__)
    parser.add_argument("parts", nargs="+", metavar="PART", help=PART)
    parser.add_argument("--seconds", type=float, metavar="S", help="go on to this length (default: that of the parts)")
    add_output_option(parser)
    parser.add_argument(
        "--levels",
        metavar="LIST",
        help="take these levels of the parts (default: the top); 2,1,0 takes all there is, as it was heard",
    )
    parser.add_argument("--model", help="the model (default: that of the first part's session, or mini)")
    add_label_options(parser, "that of the first part")
    add_following_option(parser)
    add_sampling_options(parser)
    add_work_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Join parts."""
    from jukebox.sampling.request import SongRequest
    from jukebox.sampling.session import Session, is_session

    parts = [parse_part(text) for text in arguments.parts]
    first = Path(parts[0].source)
    if is_session(first):
        session = Session(first)
        there = narrowed(session.request(), parts[0].item, first)
        if arguments.precision == "auto":
            arguments.precision = session.precision
    else:
        there = SongRequest(model=presets.MINI, given=parts[0])
    model, folder = arguments.model or there.model, output_folder(arguments)
    jukebox = load_jukebox(model, arguments)
    levels = parse_levels("--levels", arguments.levels, jukebox.model.top + 1) or (jukebox.model.top,)
    given, *joined = (replace(part, levels=levels) for part in parts)
    request = replace(
        there,
        model=model,
        songs=with_labels(arguments, there.songs, model),
        seconds=arguments.seconds,
        prime=None,
        given=given,
        joined=tuple(joined),
        **sampling_fields(arguments, jukebox.model.top + 1),
    )
    return write(jukebox, folder, request, arguments)


def parse_part(text: str) -> "Given":
    """A part from SESSION_OR_CODES[#ITEM][@START-END]; raises ConfigError where it is none, or names nothing here."""
    from jukebox.sampling.request import Given

    source, item, start_s, end_s = text, None, 0.0, None
    if not os.path.exists(source) and (found := _RANGE.fullmatch(source)):
        source, start_s = found[1], float(found[2] or 0.0)
        end_s = None if found[3] is None else float(found[3])
    if not os.path.exists(source) and "#" in source:
        source, item = source.rsplit("#", 1)
    if not os.path.exists(source):
        raise ConfigError(
            f"There is no {source!r} for the part {text!r}; a part is {PART}, as in song#song_take_1@3-8."
        )
    if end_s is not None and end_s <= start_s:
        raise ConfigError(f"The part {text!r} ends where it begins or before: give its seconds as START-END.")
    duration_s = None if end_s is None else round(end_s - start_s, 9)
    return Given(source=os.path.abspath(source), item=item, start_s=start_s, duration_s=duration_s)
