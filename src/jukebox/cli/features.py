"""`jukebox features`: what the layers of a prior make of recordings, frame by frame or as a mean, as NumPy arrays.

A killed command goes on where it ended when it is given again.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jukebox import presets
from jukebox.cli.options import in_words_of
from jukebox.cli.progress import Advance, progress
from jukebox.cli.recording import prepare_machine
from jukebox.errors import AudioError, ConfigError, DataError

if TYPE_CHECKING:
    from jukebox.features.extractor import FeatureExtractor
    from jukebox.features.parts import Extraction
    from jukebox.features.recordings import Recording
    from jukebox.features.settings import FeatureConfig
    from jukebox.features.store import FeatureFolder

EXIT_SOME_REFUSED = 2


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of `jukebox features`."""
    parser = subparsers.add_parser(
        "features",
        help="what the layers of a prior make of recordings, as arrays",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "recordings",
        type=Path,
        nargs="+",
        metavar="RECORDING",
        help="sound files, files of `jukebox encode` (.codes), or folders of them",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="features.json, and layer_N/NAME.npy with [frames, width], or [width] with --mean",
    )
    what = parser.add_argument_group("what is wanted")
    what.add_argument(
        "--layers",
        metavar="LIST",
        help="as in 36,66: the output of the n-th layer, 0 for what enters the first (default: the middle one)",
    )
    what.add_argument("--level", type=int, metavar="K", help="of the prior, 0 the finest (default: the coarsest)")
    what.add_argument("--mean", action="store_true", help="the mean over all frames")
    what.add_argument("--rate", type=float, metavar="HZ", help="frames a second (default: those of the codes)")
    what.add_argument("--store", choices=("float32", "float16"), default="float32", help="default: float32")
    sound = parser.add_argument_group("the sound")
    sound.add_argument("--start", type=float, default=0.0, metavar="S", help="begin at this second")
    sound.add_argument("--duration", type=float, metavar="S", help="take so many seconds (default: to the end)")
    sound.add_argument("--blend", type=float, default=0.5, metavar="R", help="share of the left channel (default 0.5)")
    sound.add_argument("--no-normalise", action="store_true", help="leave the sound as loud as it is")
    windows = parser.add_argument_group("how the prior reads it")
    windows.add_argument("--windows", type=int, metavar="N", help="at most so many, from the beginning (default: all)")
    windows.add_argument(
        "--hop", type=float, default=0.5, metavar="R", help="share of a window from one to the next (default 0.5)"
    )
    windows.add_argument(
        "--timing",
        choices=("published", "recording"),
        default="published",
        help="tell it that every window begins a song of 62 s, as published, or where in the recording it is",
    )
    windows.add_argument("--artist", default="unknown", metavar="NAME", help="that it is told (default: unknown)")
    windows.add_argument("--genre", default="unknown", metavar="NAME", help="that it is told (default: unknown)")
    machine = parser.add_argument_group("model and machine")
    machine.add_argument(
        "--model",
        default=presets.MINI,
        help="a released model that is in the cache, the folder of a VQ-VAE and its priors, mini, or tiny-random (for "
        f"tests); default: {presets.MINI}",
    )
    machine.add_argument("--device", help="as in cpu or cuda:1 (default: a GPU where there is one)")
    machine.add_argument("--threads", type=int, metavar="N", help="use so many cores (default: all)")
    machine.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="default: float32")


def run(arguments: argparse.Namespace) -> int:
    """Extract features of every recording that can be used."""
    from jukebox.features.extractor import FeatureExtractor
    from jukebox.features.recordings import recordings_of
    from jukebox.features.store import FeatureFolder
    from jukebox.models import find
    from jukebox.nn.device import usable_device

    config = _config(arguments)
    recordings = recordings_of(arguments.recordings, arguments.output)
    prepare_machine(arguments)
    device = usable_device(arguments.device, "--device is")
    extractor = FeatureExtractor(find(arguments.model), config, device)
    with FeatureFolder(arguments.output, extractor.description()) as folder:
        return _extract_all(extractor, folder, recordings)


def _config(arguments: argparse.Namespace) -> "FeatureConfig":
    from jukebox.features.settings import FeatureConfig

    options = {"layers": "--layers", "level": "--level", "rate_hz": "--rate", "blend": "--blend", "start_s": "--start"}
    with in_words_of(**options, duration_s="--duration", windows="--windows", hop_fraction="--hop"):
        return FeatureConfig(
            layers=_layers(arguments.layers),
            level=arguments.level,
            mean=arguments.mean,
            rate_hz=arguments.rate,
            store=arguments.store,
            precision=arguments.precision,
            normalise=not arguments.no_normalise,
            blend=arguments.blend,
            start_s=arguments.start,
            duration_s=arguments.duration,
            windows=arguments.windows,
            hop_fraction=arguments.hop,
            timing=arguments.timing,
            artist=arguments.artist,
            genre=arguments.genre,
        )


def _layers(text: str | None) -> tuple[int, ...]:
    parts = [] if text is None else [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ConfigError(f"--layers is {text!r}; give numbers of layers, as in 36,66.")
    return tuple(map(int, parts))


def _extract_all(extractor: "FeatureExtractor", folder: "FeatureFolder", recordings: "list[Recording]") -> int:
    """All that are not finished, one after another; says at the end what there is."""
    from jukebox.features.parts import Extraction

    waiting = [recording for recording in recordings if not folder.has(recording)]
    grid, level = extractor.model.grid, extractor.level
    lengths = {recording: recording.seconds(extractor.config) for recording in waiting}
    if (windows := extractor.config.windows) is not None:
        most_s = grid.token_seconds(level, (windows - 1) * extractor.hop + extractor.context)
        lengths = {recording: min(seconds, most_s) for recording, seconds in lengths.items()}
    refused = 0
    with progress("features", sum(lengths.values()), "s") as advance:
        for recording in waiting:
            try:
                reading = extractor.reading(recording.path, lambda text, seconds: progress(text, seconds, "s"))
            except (AudioError, DataError) as error:
                if len(recordings) == 1:
                    raise
                refused += 1
                print(f"jukebox: {error}", file=sys.stderr, flush=True)
                advance(lengths[recording])
                continue
            _extract(Extraction(extractor, folder, recording, reading), grid.token_seconds(level, 1), advance)
    done = [recording for recording in recordings if folder.has(recording)]
    frames = sum(folder.frames(recording) for recording in done)
    there = len(recordings) - len(waiting)
    print(
        f"{folder.folder}: {len(done)} recording{'' if len(done) == 1 else 's'}, {frames} frames of "
        f"{extractor.width} numbers at {extractor.frames_per_second:.2f} a second, layers "
        f"{', '.join(map(str, extractor.config.layers))}"
        + (f"; {there} were there already" if there else "")
        + (f"; {refused} could not be used" if refused else "")
    )
    return EXIT_SOME_REFUSED if refused else 0


def _extract(extraction: "Extraction", frame_s: float, advance: "Advance") -> None:
    """The rest of one recording."""
    advance(extraction.frames_done * frame_s)
    for frames in extraction.run():
        advance(frames * frame_s)
    wider = extraction.finish()
    if wider:
        print(
            f"jukebox: {extraction.name} has numbers beyond 65504, where half precision ends; stored as float32: layer"
            f"{'' if len(wider) == 1 else 's'} {', '.join(map(str, wider))}.",
            file=sys.stderr,
            flush=True,
        )
