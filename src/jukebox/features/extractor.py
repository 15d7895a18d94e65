"""Hidden states of a prior over recordings of any length, window by window."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from jukebox import presets
from jukebox.checkpoints.codes import CODES_SUFFIX, CodesFile, check_belongs, codebook_fingerprint, load_codes
from jukebox.checkpoints.load import first_layers
from jukebox.errors import ConfigError, DataError, LabelError
from jukebox.features.brought import bring_layers
from jukebox.features.resample import resampled
from jukebox.features.room import check_host, keeps_all, needed_bytes
from jukebox.features.settings import PUBLISHED_TOTAL_S, FeatureConfig, frames_at
from jukebox.features.sound import (
    RecordingCodes,
    Show,
    file_codes,
    given_codes,
    most_codes,
    quietly,
    sound_codes,
)
from jukebox.labels.labels import Labels, SongTokens
from jukebox.labels.timing import SongSpan
from jukebox.models import Parts, find
from jukebox.nn.device import usable_device
from jukebox.prior.conditions import conditions_of
from jukebox.prior.prior import Prior
from jukebox.sampling.model import LevelModel, SongModel
from jukebox.sampling.windows import PlannedWindow, plan_windows

USUAL = FeatureConfig()
"""The middle layer of the coarsest level, every frame."""

Source = str | Path | Float[Tensor, "channels samples"] | CodesFile
"""A sound file, a file of codes, sound at the model's rate, or codes."""

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A recording that will be read.

    Args:
        name: for messages.
        recording: its codes.
        windows: in which it is read; the frames `first` to `end` - 1 of each are kept.
    """

    name: str
    recording: RecordingCodes
    windows: tuple[PlannedWindow, ...]

    @property
    def frames(self) -> int:
        """How many frames are kept in all."""
        return self.windows[-1].end


class FeatureExtractor:
    """A prior that is asked for its hidden states.

    Args:
        parts: of the model, as `models.find` gives them.
        config: which features.
        device: where they are computed.

    Attributes:
        config: with the level and the layers that it left open.

    Raises:
        ConfigError: the model has no such level, layer or name.
        DeviceError: there is not enough memory; nothing of the prior has been loaded then.
    """

    def __init__(self, parts: Parts, config: FeatureConfig = USUAL, device: torch.device | None = None) -> None:
        self.device = torch.device("cpu") if device is None else device
        self.model: SongModel = replace(parts.model, vqvae=parts.model.vqvae.to(self.device))
        self.config = resolved(config, parts.model)
        self._parts, self._known = parts, parts.model.level(self.level)
        self._tokens = _told(self._known, self.config)
        self._total_samples = _published_total(self.model, self._known)
        self.prior = self._load()

    @classmethod
    def load(
        cls, model: str | Path = presets.MINI, *, device: str | None = None, **settings: Any
    ) -> "FeatureExtractor":
        """An extractor from the name of a model or its folder, with the fields of a `FeatureConfig` by their names."""
        return cls(find(str(model)), FeatureConfig(**settings), usable_device(device))

    @property
    def level(self) -> int:
        """Of the prior."""
        assert self.config.level is not None
        return self.config.level

    @property
    def width(self) -> int:
        """Of a frame."""
        return self._known.config.transformer.width

    @property
    def hop(self) -> int:
        """Codes from one window to the next: whole codes of the level above."""
        unit = self.model.unit(self.level)
        return max(unit, int(self.config.hop_fraction * self.context) // unit * unit)

    @property
    def context(self) -> int:
        """Codes of a window."""
        return self._known.config.codes_context

    @property
    def frames_per_second(self) -> float:
        """Of the results; those of the codes also with `mean`."""
        return self.config.rate_hz or self.model.grid.tokens_per_second(self.level)

    def description(self) -> dict[str, Any]:
        """Everything that decides the numbers, as JSON values."""
        return {
            "model": self.model.name,
            "weights": self._parts.fingerprint(self.level),
            "codebooks": codebook_fingerprint(self.model.vqvae),
            "width": self.width,
            "frames_per_second": self.frames_per_second,
            "codes_per_second": self.model.grid.tokens_per_second(self.level),
            "context": self.context,
            "hop": self.hop,
            "told_total_samples": self._total_samples if self.config.timing == "published" else None,
            "settings": asdict(self.config) | {"layers": list(self.config.layers)},
        }

    def __call__(self, recording: Source) -> dict[int, Float[Tensor, "*frames width"]]:
        """The features of a recording.

        Args:
            recording: of any length.

        Returns:
            For each layer [frames width], or [width] with `mean`, on the CPU; in float32 also where float16 is asked
            for and does not hold every number of the layer.

        Raises:
            AudioError: the sound cannot be used.
            DataError: the codes are of another model, or the recording is longer or shorter than the prior knows and
                `timing` is "recording".
        """
        reading = self.reading(recording)
        windows = list(self.read(reading))
        found = {}
        for layer in self.config.layers:
            parts = [window.pop(layer) for window in windows]
            if self.config.mean:
                sums = [part.sum(0, dtype=torch.float64) for part in parts]
                whole = mean_of(torch.stack(sums), reading.frames)
            else:
                whole = torch.cat(parts)
                if self.config.rate_hz is not None:
                    frames, count = whole.numpy(), self.count(reading.frames)
                    whole = torch.cat([torch.from_numpy(part) for _, part in resampled(frames, count)], 1)
            found[layer] = self.stored(whole)
        return found

    def count(self, frames: int) -> int:
        """How many frames there are in the end, of so many of the prior."""
        grid, rate = self.model.grid, self.config.rate_hz
        return frames if rate is None else frames_at(rate, frames, grid.sample_rate, grid.hops[self.level])

    def reading(self, recording: Source, show: Show = quietly) -> Reading:
        """The codes of a recording and the windows in which they are read; raises as a call.

        Args:
            recording: of any length.
            show: how far the encoding of a file is.
        """
        name = str(recording) if isinstance(recording, str | Path) else "The recording"
        most = most_codes(self.config, self.context, self.hop)
        found = self._codes(recording, name, most, show)
        codes = len(found.codes) if most is None else min(len(found.codes), most)
        reading = Reading(name=name, recording=found, windows=plan_windows(codes, self.context, self.hop))
        self._check_length(reading)
        return reading

    def read(self, reading: Reading, first: int = 0) -> Iterator[dict[int, Float[Tensor, "frames width"]]]:
        """The frames that each window adds, from window `first` on: by layer, in float32 on the CPU."""
        for window in reading.windows[first:]:
            yield self._read(reading, window)

    def stored(self, values: Float[Tensor, "*frames width"]) -> Float[Tensor, "*frames width"]:
        """Results in the type that is asked for, or in float32 where half precision cannot hold one of them."""
        result = values.to(_DTYPES[self.config.store])
        return result if torch.equal(result.isfinite(), values.isfinite()) else values.float()

    def _codes(self, recording: Source, name: str, most: int | None, show: Show) -> RecordingCodes:
        vqvae, config, level = self.model.vqvae, self.config, self.level
        if isinstance(recording, Tensor):
            return sound_codes(vqvae, recording, config, level, most)
        if isinstance(recording, str | Path):
            path = Path(recording)
            if path.suffix.lower() != CODES_SUFFIX:
                return file_codes(vqvae, path, config, level, most, show)
            recording = load_codes(path)
        check_belongs(recording, vqvae, Path(name))
        return given_codes(recording, config, level, name)

    @torch.no_grad()
    def _read(self, reading: Reading, window: PlannedWindow) -> dict[int, Tensor]:
        recording, unit = reading.recording, self.model.unit(self.level)
        codes = recording.codes[None, window.start : window.end].to(self.device)
        above = None
        if recording.above is not None:
            above = recording.above[None, window.start // unit : -(-window.end // unit)]
        labels = [self._tokens.window(self._span(reading, window.start))]
        conditions = conditions_of(labels, self._known.config, above).to(self.device)
        found = self.prior.hidden_states(codes, conditions, frozenset(self.config.layers))
        kept = slice(window.first - window.start, window.end - window.start)
        return {layer: found.pop(layer)[0, kept].float().cpu() for layer in self.config.layers}

    def _span(self, reading: Reading, start: int) -> SongSpan:
        """What the prior is told of where a window is."""
        grid, recording = self.model.grid, reading.recording
        length = grid.token_samples(self.level, self.context)
        if self.config.timing == "published":
            return SongSpan(total_length_samples=self._total_samples, offset_samples=0, window_length_samples=length)
        return SongSpan(
            total_length_samples=grid.whole_tokens_samples(recording.total_samples),
            offset_samples=recording.offset_samples + grid.token_samples(self.level, start),
            window_length_samples=length,
        )

    def _check_length(self, reading: Reading) -> None:
        """Refuse a recording of which the prior cannot be told where it is read; by its last window, too."""
        if self.config.timing == "published":
            return
        try:
            for window in reading.windows:
                conditions_of([self._tokens.window(self._span(reading, window.start))], self._known.config, None)
        except LabelError as error:
            seconds = self.model.grid.seconds(reading.recording.total_samples)
            raise DataError(
                f"{reading.name} is {seconds:.2f} s long, of which the prior cannot be told ({error}) Leave out "
                "--timing recording (timing='recording')."
            ) from error

    def _load(self) -> Prior:
        """The layers that are needed, where they compute."""
        config, dtype = self._known.config, _DTYPES[self.config.precision]
        needed, everything = needed_bytes(config, self.config.layers, dtype)
        keep = keeps_all(needed, everything, self.device)
        if self.device.type == "cpu":
            layers = ", ".join(map(str, self.config.layers))
            check_host(needed, f"Features of {self.model.name}, layers {layers},")
        prior = first_layers(self._parts.stored(self.level), max(self.config.layers))
        bring_layers(prior, self.device, dtype, keep=keep)
        return prior


def mean_of(sums: Float[Tensor, "windows width"], frames: int) -> Float[Tensor, " width"]:
    """The mean of frames from the sums of their windows, in float64."""
    return sums.sum(0) / frames


def resolved(config: FeatureConfig, model: SongModel) -> FeatureConfig:
    """The settings with the level and the layers that they leave open.

    Raises:
        ConfigError: the model has none of that number.
    """
    level = max(model.levels) if config.level is None else config.level
    depth = model.level(level).config.transformer.depth
    layers = config.layers or (depth // 2,)
    if max(layers) > depth:
        raise ConfigError(
            f"Layer {max(layers)} is wanted; the prior of level {level} of {model.name} has layers 1 to {depth}, and 0 "
            "for what enters the first."
        )
    return replace(config, level=level, layers=layers)


def _told(known: LevelModel, config: FeatureConfig) -> SongTokens:
    """The names that the prior is told, without lyrics; refuses those that it does not know, at every level."""
    labels = Labels(artist=config.artist, genre=config.genre)
    return replace(known, forgiving=False).song(labels)


def _published_total(model: SongModel, known: LevelModel) -> int:
    """Samples of the song that the published protocol speaks of, brought into what the prior can be told."""
    grid, labels = model.grid, known.config.labels
    hop, total = grid.coarsest_hop, grid.whole_tokens_samples(grid.samples(PUBLISHED_TOTAL_S))
    if labels is None or labels.min_duration_s is None or labels.max_duration_s is None:
        return total
    least = -(-grid.samples(labels.min_duration_s) // hop) * hop
    most = (grid.samples(labels.max_duration_s) - 1) // hop * hop
    return max(least, min(total, most))
