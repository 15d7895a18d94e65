"""Sound that a model can use: mixed down to one channel, and neither broken, nor too short, nor silent."""

from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from jukebox.errors import AudioError

SILENCE_PEAK = 1e-4  # -80 dB: below the noise of any recording, above the dither of an empty 16-bit file


def mix_down(audio: Float[Tensor, "channels samples"], blend: float = 0.5) -> Float[Tensor, "1 samples"]:
    """Mix to one channel.

    Args:
        audio: one channel stays as it is; two become blend * left + (1 - blend) * right; more, their mean.
        blend: share of the left channel, in [0, 1].

    Raises:
        AudioError: `blend` is outside [0, 1], or differs from 0.5 where there are more than two channels.
    """
    if not 0 <= blend <= 1:
        raise AudioError(f"blend is {blend}: give the share of the left channel, from 0 to 1")
    channels = audio.shape[0]
    if channels == 1:
        return audio
    if channels == 2:
        return blend * audio[:1] + (1 - blend) * audio[1:]
    if blend != 0.5:
        raise AudioError(f"blend is {blend} for {channels} channels: only two can be blended, leave it at 0.5")
    return audio.mean(dim=0, keepdim=True)


def check_usable(
    audio: Float[Tensor, "channels samples"],
    sample_rate: int,
    *,
    name: str = "the sound",
    minimum_samples: int = 1,
    silence_peak: float = SILENCE_PEAK,
) -> None:
    """Refuse sound with which nothing can be done: `checked` for sound in one piece, with its arguments and errors."""
    blocks = checked([audio], sample_rate, name=name, minimum_samples=minimum_samples, silence_peak=silence_peak)
    for _ in blocks:
        pass


def checked(
    blocks: Iterable[Float[Tensor, "channels _"]],
    sample_rate: int,
    *,
    name: str = "the sound",
    minimum_samples: int = 1,
    silence_peak: float = SILENCE_PEAK,
) -> Iterator[Float[Tensor, "channels _"]]:
    """Pass sound on block by block, and refuse it where nothing can be done with it.

    Args:
        blocks: full scale is [-1, 1].
        sample_rate: in Hz, to say where something was found.
        name: begins the sentence of the error, usually the file's name.
        minimum_samples: the shortest length that the caller can use.
        silence_peak: sound that never goes beyond this absolute value is silent; 0 refuses only pure zeros.

    Raises:
        AudioError: as soon as a value is NaN or infinite; after the last block, the sound was too short or silent.
    """
    samples, heard = 0, False
    for block in blocks:
        finite = torch.isfinite(block).all(dim=0)
        if not finite.all():
            at_s = (samples + int(finite.int().argmin())) / sample_rate
            raise AudioError(f"{name} has NaN or infinite values from {at_s:.3f} s on: export it again")
        samples += block.shape[1]
        heard = heard or bool(block.numel() and block.abs().amax() > silence_peak)
        yield block
    if samples < minimum_samples:
        raise AudioError(
            f"{name} is too short: {samples / sample_rate:.3f} s ({samples} samples),"
            f" give at least {minimum_samples / sample_rate:.3f} s ({minimum_samples} samples)"
        )
    if samples and not heard:
        raise AudioError(f"{name} is silent, nowhere above {silence_peak:g} of full scale: give sound that is heard")
