"""What the commands that read a recording share: their options, the sound in blocks, the refusal of silence."""

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from jukebox import presets
from jukebox.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from jukebox.vqvae.vqvae import VQVAE

_MOST_THREADS = 64

AnyModule = TypeVar("AnyModule", bound="torch.nn.Module")


def add_recording_options(parser: argparse.ArgumentParser) -> None:
    """The recording, and which part of it."""
    parser.add_argument("recording", type=Path, help="a sound file: WAV, FLAC, OGG, Opus, MP3, M4A, ...")
    parser.add_argument("--start", type=float, default=0.0, metavar="S", help="begin at this second")
    parser.add_argument("--duration", type=float, metavar="S", help="take so many seconds (default: to the end)")
    parser.add_argument("--blend", type=float, default=0.5, metavar="R", help="share of the left channel (default 0.5)")


def add_model_options(parser: argparse.ArgumentParser, *, default: str | None = presets.MINI) -> None:
    """The model, and how many cores may work."""
    parser.add_argument(
        "--model",
        default=default,
        help="a model's folder, a .pth.tar file, a released model that is in the cache, mini, or tiny (random, for "
        f"tests); default: {default or 'none'}",
    )
    parser.add_argument("--device", help="as in cpu or cuda:1 (default: a GPU where there is one)")
    parser.add_argument("--threads", type=int, metavar="N", help="use so many cores (default: all)")


def load_model(arguments: argparse.Namespace) -> "VQVAE":
    """The VQ-VAE that the options name, on their device."""
    from jukebox.checkpoints.load import load_vqvae

    return place(load_vqvae(arguments.model), arguments)


def place(model: "AnyModule", arguments: argparse.Namespace) -> "AnyModule":
    """A model on the device that the options name, with as many threads as they say."""
    from jukebox.nn.device import usable_device

    prepare_machine(arguments)
    return model.to(usable_device(arguments.device, "--device is"))


def prepare_machine(arguments: argparse.Namespace) -> None:
    """The original's precision on a GPU, and as many threads as the options say."""
    import torch

    # Codes are those of the original only in float32: convolutions would use 10-bit mantissas otherwise.
    torch.backends.cudnn.allow_tf32 = False
    if arguments.threads is not None:
        most = max(_MOST_THREADS, os.cpu_count() or 1)  # a system ends a process that begins too many
        if not 1 <= arguments.threads <= most:
            raise ConfigError(f"--threads is {arguments.threads}; give a number of cores, 1 to {most}.")
        torch.set_num_threads(arguments.threads)


def parse_levels(option: str, text: str | None, count: int) -> tuple[int, ...]:
    """Levels from "0,2"; none where nothing is said."""
    parts = [] if text is None else [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) < count for part in parts):
        raise ConfigError(f"{option} is {text!r}; give levels from 0 to {count - 1}, as in 0,{count - 1}.")
    return tuple(sorted({int(part) for part in parts}))


def chosen_levels(arguments: argparse.Namespace, count: int) -> tuple[int, ...]:
    """The levels that --levels names, all of them where it is not given."""
    return parse_levels("--levels", arguments.levels, count) or tuple(range(count))


def recording_for(model: "VQVAE", arguments: argparse.Namespace) -> "Recording":
    """The recording that the options name, as the model takes it."""
    return Recording(
        arguments=arguments,
        sample_rate=model.config.sample_rate,
        minimum_samples=model.config.hops[-1],
        device=model.vectors(0).device,
    )


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A recording mixed down to one channel at the model's sample rate, on the model's device."""

    arguments: argparse.Namespace
    sample_rate: int
    minimum_samples: int
    device: "torch.device"

    def duration_s(self) -> float:
        """Length of the part that is asked for, by the file's header."""
        from jukebox.audio.io import probe

        left_s = max(0.0, probe(self.arguments.recording).duration_s - self.arguments.start)
        return left_s if self.arguments.duration is None else max(0.0, min(left_s, self.arguments.duration))

    def blocks(self) -> Iterator["Tensor"]:
        """[1, samples] pieces; an AudioError at the end where there was nothing to hear or too little of it."""
        from jukebox.audio.io import checked, mix_down, stream

        options = self.arguments
        pieces = stream(
            options.recording, start_s=options.start, duration_s=options.duration, sample_rate=self.sample_rate
        )
        mixed = (mix_down(piece, options.blend) for piece in pieces)
        rate, shortest = self.sample_rate, self.minimum_samples
        for block in checked(mixed, rate, name=str(options.recording), minimum_samples=shortest):
            yield block.to(self.device)
