"""`jukebox encode`: a recording into the codes of each level."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from jukebox.cli.progress import progress
from jukebox.cli.recording import add_model_options, add_recording_options, chosen_levels, load_model, recording_for
from jukebox.errors import ConfigError

if TYPE_CHECKING:
    import torch

    from jukebox.checkpoints.codes import CodesFile
    from jukebox.vqvae.vqvae import VQVAE


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of `jukebox encode`."""
    parser = subparsers.add_parser("encode", help="a recording into codes", description=__doc__)
    add_recording_options(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="as in song.codes")
    parser.add_argument("--levels", metavar="LIST", help="as in 0,2 (default: all; 0 is the finest)")
    add_model_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Encode one recording."""
    from jukebox.checkpoints.codes import save_codes

    _check_output(arguments)
    model = load_model(arguments)
    file = encode(model, arguments, chosen_levels(arguments, model.config.levels))
    save_codes(arguments.output, file)
    header = file.header
    print(f"{arguments.output}: {header.length_samples / header.sample_rate:.2f} s at {header.sample_rate} Hz")
    for level, codes in file.codes.items():
        print(f"  level {level}: {len(codes)} codes, {_distinct(codes)} of them different")
    return 0


def _check_output(arguments: argparse.Namespace) -> None:
    """Refuse to write codes over a recording."""
    from jukebox.audio.source import AUDIO_SUFFIXES

    output: Path = arguments.output
    if output.suffix.lower() in AUDIO_SUFFIXES or output.resolve() == arguments.recording.resolve():
        raise ConfigError(f"--output is {str(output)!r}, but codes are no sound: name a file that ends in .codes.")


def _distinct(codes: "torch.Tensor") -> int:
    """How many different codes there are, without a sorted copy of them."""
    import torch

    seen = torch.zeros(1 << 16, dtype=torch.bool)
    for piece in codes.split(1 << 18):
        seen[piece.long()] = True
    return int(seen.sum())


def encode(model: "VQVAE", arguments: argparse.Namespace, levels: tuple[int, ...]) -> "CodesFile":
    """The codes of the recording that the options name."""
    import torch

    from jukebox.checkpoints.codes import CodesFile, CodesHeader, codebook_fingerprint
    from jukebox.vqvae.streaming import encode_stream

    config = model.config
    recording = recording_for(model, arguments)
    duration_s = recording.duration_s()
    # Filled in place: small pieces kept between large temporary ones would leave holes in memory that add up.
    expected = int(duration_s * config.sample_rate) + 2 * config.hops[-1]
    found = {level: torch.empty(expected // config.hops[level], dtype=torch.uint16) for level in levels}
    counts = dict.fromkeys(levels, 0)
    samples = 0
    with progress("encoding", duration_s, "s") as advance:

        def counted():
            nonlocal samples
            for block in recording.blocks():
                samples += block.shape[1]
                yield block

        done = 0
        for codes in encode_stream(model, counted(), levels):
            for level, piece in codes.items():
                start, stop = counts[level], counts[level] + len(piece)
                if stop > len(found[level]):  # the header promised less than there is
                    found[level] = torch.cat([found[level], torch.empty(stop, dtype=torch.uint16)])
                found[level][start:stop] = piece
                counts[level] = stop
            advance((samples - done) / config.sample_rate)
            done = samples
    header = CodesHeader(
        fingerprint=codebook_fingerprint(model),
        model=str(arguments.model),
        sample_rate=config.sample_rate,
        length_samples=samples,
        hops=config.hops,
    )
    return CodesFile(header=header, codes={level: found[level][:count].clone() for level, count in counts.items()})
