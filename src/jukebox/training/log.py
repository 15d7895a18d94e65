"""What a run tells: lines on the terminal, JSON lines in a file, and TensorBoard where it is installed."""

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from jukebox.audio.io import Writer
from jukebox.audio.spectral import magnitudes
from jukebox.checkpoints.files import replacing
from jukebox.training.task import Sound

Say = Callable[[str], None]


class Log:
    """The log of one run, for one of its workers.

    Args:
        folder: of the run.
        steps: how many the run makes in all.
        start: the first step of this session; what an interrupted session wrote about later steps is taken back.
        say: where lines for people go.
    """

    def __init__(self, folder: Path, steps: int, start: int, say: Say) -> None:
        self._steps, self._start, self._say, self._folder = steps, start, say, folder
        self._file = folder / "log.jsonl"
        self._begun_s = self._last_s = time.monotonic()
        self._last_step = start
        folder.mkdir(parents=True, exist_ok=True)
        _forget(self._file, start)
        self._board = _board(folder / "tensorboard", start, say)

    def progress(self, step: int, values: Mapping[str, float], units: tuple[str, int]) -> None:
        """A line about the steps since the last one. `units` are what is counted, and how many a step has."""
        now = time.monotonic()
        name, per_step = units
        rate = per_step * (step - self._last_step) / max(now - self._last_s, 1e-9)
        # The rate of the whole session: a single slow step does not move the time that is left.
        left = (self._steps - step) * (now - self._begun_s) / max(step - self._start, 1)
        self._last_s, self._last_step = now, step
        self.values(step, {**values, f"{name}_per_s": rate})
        keys = [key for key in ("loss", "gradient_norm") if key in values] + ["skipped"] * (values["skipped"] > 0)
        shown = "  ".join(f"{key} {values[key]:.4g}" for key in keys)
        self._say(f"step {step}/{self._steps}  {shown}  {rate:.0f} {name}/s  {clock(left)} left")

    def values(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers about a step, for the file and the curves."""
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "time": round(time.time(), 3), **values}) + "\n")
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def event(self, step: int, text: str) -> None:
        """Something that happened."""
        self._say(text)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "time": round(time.time(), 3), "event": text}) + "\n")

    def sound(self, step: int, sound: Sound) -> None:
        """Something to hear: a file of the run, and in TensorBoard with its spectrogram."""
        path = self._folder / "sounds" / f"step-{step:08d}" / f"{sound.name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        with Writer(path, channels=1, sample_rate=sound.sample_rate) as writer:
            writer.write(sound.samples)
        if self._board is not None:
            self._board.add_audio(sound.name, sound.samples, step, sound.sample_rate)
            self._board.add_image(f"{sound.name}/spectrogram", spectrogram(sound.samples), step)

    def close(self) -> None:
        """Write what is still held back."""
        if self._board is not None:
            self._board.close()


def spectrogram(samples: Float[Tensor, "1 samples"]) -> UInt8[Tensor, "3 bins frames"]:
    """Magnitudes in decibels below the loudest, down to -80, low frequencies at the bottom, dark to bright."""
    whole = torch.nn.functional.pad(samples, (0, max(0, 1024 - samples.shape[1])))
    found = magnitudes(whole, 1024, 256, 1024)[0].clamp_min(1e-5)
    decibels = 20 * (found / found.max()).log10()
    bright = ((decibels + 80) / 80).clamp(0, 1).flip(0)
    # Three ramps after one another read as black, red, yellow, white.
    return torch.stack([(bright * 3 - k).clamp(0, 1) for k in range(3)]).mul(255).to(torch.uint8)


def clock(seconds: float) -> str:
    """1:05:09, or 5:09."""
    minutes, second = divmod(round(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02d}:{second:02d}" if hour else f"{minute}:{second:02d}"


def _forget(file: Path, start: int) -> None:
    """Take away lines about steps after `start`, and a last half line: that session was interrupted."""
    if not file.is_file():
        return
    kept = []
    for line in file.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            if json.loads(line)["step"] <= start:
                kept.append(line + "\n")
    with replacing(file) as temporary:
        temporary.write_text("".join(kept), encoding="utf-8")


def _board(folder: Path, start: int, say: Say) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        say("TensorBoard is not installed, so there are no curves; get it with: pip install 'jukebox[train]'.")
        return None
    return SummaryWriter(str(folder), purge_step=start + 1 if start else None)
