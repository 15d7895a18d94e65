"""`jukebox reconstruct`: a recording through the VQ-VAE, one sound file per level, and how close each comes."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from jukebox.cli.encode import encode
from jukebox.cli.progress import progress
from jukebox.cli.recording import add_model_options, add_recording_options, chosen_levels, load_model, recording_for

if TYPE_CHECKING:
    from torch import Tensor

    from jukebox.checkpoints.codes import CodesFile
    from jukebox.evaluation.reconstruction import Reconstruction
    from jukebox.vqvae.vqvae import VQVAE


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of `jukebox reconstruct`."""
    parser = subparsers.add_parser(
        "reconstruct", help="a recording through the VQ-VAE, with how close each level comes", description=__doc__
    )
    add_recording_options(parser)
    parser.add_argument("--levels", metavar="LIST", help="as in 0,2 (default: all; 0 is the finest)")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="default: beside the recording")
    parser.add_argument("--format", choices=("wav", "flac", "ogg", "mp3"), default="wav", help="default: wav")
    add_model_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Reconstruct one recording from each level."""
    model = load_model(arguments)
    levels = chosen_levels(arguments, model.config.levels)
    folder = arguments.output or arguments.recording.parent
    file = encode(model, arguments, levels)
    print("level  hop  spectral convergence    SI-SDR    STFT  log-mel     treble  file")
    segments = 0
    for level in levels:
        path = folder / f"{arguments.recording.stem}.level_{level}.{arguments.format}"
        found = _reconstruct(model, file, level, path, arguments)
        convergence = f"{found.spectral_convergence:.4f} ({found.spectral_convergence_db:6.2f} dB)"
        print(
            f"{level:5d}  {model.config.hops[level]:3d}  {convergence:>20s}  {found.si_sdr_db:5.2f} dB"
            f"  {found.stft_distance:6.3f}  {found.log_mel_distance:7.3f}  {found.treble_db:6.2f} dB  {path}",
            flush=True,
        )
        segments = found.segments
    print(f"Means over {segments} segments of 3 s that are not silent; dB of the mean ratio.")
    return 0


def _reconstruct(
    model: "VQVAE", file: "CodesFile", level: int, path: Path, arguments: argparse.Namespace
) -> "Reconstruction":
    """Decode one level into `path` and measure it against the recording."""
    from jukebox.audio.io import Tags, Writer
    from jukebox.evaluation.reconstruction import ReconstructionMeter
    from jukebox.vqvae.streaming import decode_stream

    config = model.config
    meter = ReconstructionMeter(config.sample_rate)
    tags = Tags(title=f"{arguments.recording.stem}, level {level}", model=str(arguments.model))
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        progress(f"decoding level {level}", file.header.length_samples / config.sample_rate, "s") as advance,
        Writer(path, channels=1, sample_rate=config.sample_rate, tags=tags) as writer,
    ):
        decoded = decode_stream(model, file.blocks(level, model.vectors(level).device), level)
        for target, estimate in _side_by_side(recording_for(model, arguments).blocks(), decoded):
            meter.add(target, estimate)
            writer.write(estimate)
            advance(target.shape[1] / config.sample_rate)
    return meter.result()


def _side_by_side(targets: Iterator["Tensor"], estimates: Iterator["Tensor"]) -> Iterator[tuple["Tensor", "Tensor"]]:
    """Pieces of equal length of both, as long as there is some of the target."""
    import torch

    waiting = torch.empty(1, 0)
    for target in targets:
        waiting = waiting.to(target.device)
        while waiting.shape[1] < target.shape[1]:
            waiting = torch.cat([waiting, next(estimates)], 1)
        yield target, waiting[:, : target.shape[1]]
        waiting = waiting[:, target.shape[1] :]
