"""`jukebox decode`: codes into sound, from one of their levels."""

import argparse
from pathlib import Path

from jukebox.cli.progress import progress
from jukebox.cli.recording import add_model_options, load_model
from jukebox.errors import DataError


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of `jukebox decode`."""
    parser = subparsers.add_parser("decode", help="codes into sound", description=__doc__)
    parser.add_argument("codes", type=Path, help="a file that `jukebox encode` wrote")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help=".wav, .flac, .ogg or .mp3")
    parser.add_argument("--level", type=int, metavar="K", help="decode from this level (default: the finest there is)")
    add_model_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Decode one file of codes."""
    from jukebox.audio.io import Tags, Writer
    from jukebox.checkpoints.codes import check_belongs, load_codes
    from jukebox.vqvae.streaming import decode_stream

    file = load_codes(arguments.codes)
    level = min(file.codes) if arguments.level is None else arguments.level
    if level not in file.codes:
        there = ", ".join(map(str, sorted(file.codes)))
        raise DataError(f"{arguments.codes} has no codes of level {level}; its levels are {there}.")
    model = load_model(arguments)
    check_belongs(file, model, arguments.codes)
    rate, left = file.header.sample_rate, file.header.length_samples
    tags = Tags(title=arguments.codes.stem, model=str(arguments.model))
    channels = model.config.channels
    with (
        progress("decoding", left / rate, "s") as advance,
        Writer(arguments.output, channels=channels, sample_rate=rate, tags=tags) as writer,
    ):
        for sound in decode_stream(model, file.blocks(level, model.vectors(level).device), level):
            block = sound[:, :left]  # the last hop may reach beyond the recording
            writer.write(block)
            left -= block.shape[1]
            advance(block.shape[1] / rate)
    clipped = f", {writer.clipped} samples beyond full scale were clipped" if writer.clipped else ""
    print(f"{arguments.output}: {writer.samples / rate:.2f} s from level {level}{clipped}")
    return 0
