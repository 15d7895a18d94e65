"""From a recording to the codes that a prior reads: of a file, of sound in memory, or codes that there are already."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from jukebox.audio.io import checked, mix_down, probe, stream
from jukebox.checkpoints.codes import CodesFile
from jukebox.errors import DataError
from jukebox.features.settings import FeatureConfig
from jukebox.labels.timing import TimeGrid
from jukebox.vqvae.streaming import encode_stream
from jukebox.vqvae.vqvae import VQVAE


@dataclass(frozen=True, kw_only=True)
class RecordingCodes:
    """The part of a recording that is read, as codes on the CPU.

    Args:
        codes: of the prior's level, at least one, whole codes of the level above.
        above: of the level above, for an upsampler.
        offset_samples: where in the recording they begin.
        total_samples: length of the recording.
    """

    codes: Int64[Tensor, " codes"]
    above: Int64[Tensor, " codes_above"] | None
    offset_samples: int
    total_samples: int


Blocks = Callable[[], Iterable[Float[Tensor, "channels _"]]]
"""The sound from its beginning, each time it is called."""

Show = Callable[[str, float], AbstractContextManager[Callable[[float], None]]]
"""Called with what is being done and for how many seconds of sound; gives what is told of seconds that are done."""


def quietly(text: str, seconds: float) -> AbstractContextManager[Callable[[float], None]]:
    """Shows nothing."""
    return nullcontext(lambda done: None)


@dataclass(frozen=True, kw_only=True)
class _Part:
    """The sound that is encoded: its name for messages, where it begins in a recording of so many samples, its end."""

    name: str
    blocks: Blocks
    offset_samples: int
    total_samples: int
    duration_s: float


def most_codes(config: FeatureConfig, context: int, hop: int) -> int | None:
    """As many codes as the wanted windows can hold; None without a limit."""
    return None if config.windows is None else (config.windows - 1) * hop + context


def file_codes(
    vqvae: VQVAE, path: Path, config: FeatureConfig, level: int, most: int | None, show: Show = quietly
) -> RecordingCodes:
    """The codes of a sound file, read twice if it is divided by its peak, and never held as a whole.

    Args:
        vqvae: encodes on its device.
        path: the file.
        config: which part, and how it is mixed.
        level: of the prior.
        most: codes of that level, after which no more is read.
        show: how far it is.

    Raises:
        AudioError: the file is missing, damaged, silent or too short.
    """
    rate = vqvae.config.sample_rate

    def blocks() -> Iterator[Float[Tensor, "channels _"]]:
        return stream(path, start_s=config.start_s, duration_s=config.duration_s, sample_rate=rate)

    info = probe(path)
    total, first = round(info.samples * rate / info.sample_rate), round(config.start_s * rate)
    wanted = _Part(
        name=str(path),
        blocks=blocks,
        offset_samples=first,
        total_samples=total,
        duration_s=min((total - first) / rate, math.inf if config.duration_s is None else config.duration_s),
    )
    return _encoded(vqvae, wanted, config, level, most, show)


def sound_codes(
    vqvae: VQVAE, sound: Float[Tensor, "channels samples"], config: FeatureConfig, level: int, most: int | None
) -> RecordingCodes:
    """As `file_codes`, of sound at the model's rate."""
    first = round(config.start_s * vqvae.config.sample_rate)
    wanted = None if config.duration_s is None else first + round(config.duration_s * vqvae.config.sample_rate)
    samples = sound[:, first:wanted].float()
    part = _Part(
        name="The sound",
        blocks=lambda: samples.split(1 << 18, 1),
        offset_samples=first,
        total_samples=sound.shape[1],
        duration_s=samples.shape[1] / vqvae.config.sample_rate,
    )
    return _encoded(vqvae, part, config, level, most, quietly)


def given_codes(file: CodesFile, config: FeatureConfig, level: int, name: str) -> RecordingCodes:
    """Codes that there are already; a part begins and ends with whole codes of the coarsest level.

    Raises:
        DataError: they lack a level, or there are none in the part.
    """
    grid = TimeGrid(sample_rate=file.header.sample_rate, hops=file.header.hops)
    needed = (level,) if grid.ratio(level) == 1 else (level, level + 1)
    for each in needed:
        if each not in file.codes:
            there = ", ".join(map(str, sorted(file.codes)))
            raise DataError(
                f"{name} has no codes of level {each}, which features of level {level} need; it has {there}."
            )
    coarsest = grid.coarsest_hop
    ends = [len(file.codes[each]) * grid.hops[each] for each in needed]
    first = round(config.start_s * grid.sample_rate) // coarsest * coarsest
    if config.duration_s is not None:
        ends.append(first + -(-round(config.duration_s * grid.sample_rate) // coarsest) * coarsest)
    last = grid.whole_tokens_samples(min(ends))
    if first >= last:
        raise DataError(f"{name} has no codes from {config.start_s} s on: begin before its end.")
    parts = [file.codes[each][first // grid.hops[each] : last // grid.hops[each]].long() for each in needed]
    return RecordingCodes(
        codes=parts[0],
        above=parts[1] if len(parts) > 1 else None,
        offset_samples=first,
        total_samples=file.header.length_samples,
    )


def _encoded(
    vqvae: VQVAE, part: _Part, config: FeatureConfig, level: int, most: int | None, show: Show
) -> RecordingCodes:
    """The codes of sound: of a level and at most so many."""
    model = vqvae.config
    device = vqvae.vectors(level).device
    ratio = TimeGrid(sample_rate=model.sample_rate, hops=model.hops).ratio(level)
    levels = (level,) if ratio == 1 else (level, level + 1)

    def mixed(told: Callable[[float], None]) -> Iterator[Float[Tensor, "1 _"]]:
        for block in part.blocks():
            yield mix_down(block, config.blend)
            told(block.shape[1] / model.sample_rate)

    peak, name = 0.0, Path(part.name).name
    with show(f"peak of {name}", part.duration_s) as told:
        for block in checked(mixed(told), model.sample_rate, name=part.name, minimum_samples=model.hops[-1]):
            peak = max(peak, float(block.abs().amax()))
    found: dict[int, list[Tensor]] = {each: [] for each in levels}
    count = 0
    most_s = math.inf if most is None else most * model.hops[level] / model.sample_rate
    with _exact_convolutions(), show(f"encoding {name}", min(part.duration_s, most_s)) as told:
        # Divided, not multiplied by an inverse that was rounded.
        sound = (block / peak if config.normalise else block for block in mixed(told))
        for pieces in encode_stream(vqvae, (block.to(device) for block in sound), levels):
            for each, piece in pieces.items():
                found[each].append(piece.cpu())
            count = min(sum(map(len, found[each])) * (1 if each == level else ratio) for each in levels)
            if most is not None and count >= most:
                count = most
                break  # what is final is that of the whole recording
    codes = torch.cat(found[level])
    above = torch.cat(found[level + 1]) if ratio > 1 else None
    return RecordingCodes(
        codes=codes[:count],
        above=None if above is None else above[: count // ratio],
        offset_samples=part.offset_samples,
        total_samples=part.total_samples,
    )


@contextmanager
def _exact_convolutions() -> Iterator[None]:
    """Codes are those of the original only in float32: on a GPU convolutions would use 10-bit mantissas otherwise."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
