"""Artist, genre and timing as vectors: what a prior is told about the song besides its lyrics (facts 3.2)."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from jukebox.config import LabelConfig
from jukebox.errors import LabelError
from jukebox.labels.labels import LabelTokens

Samples = Int64[Tensor, " batch"]

UNKNOWN_ARTIST = 0
EMPTY_GENRE = -1
UNTIMED = 0
"""A total length of 0 samples stands for "no timing": its vector is zero."""


@dataclass(frozen=True, kw_only=True)
class LabelTensors:
    """The labels of a batch of windows, field by field; lengths and offsets are in samples."""

    total_length_samples: Samples
    offset_samples: Samples
    window_length_samples: Samples
    artist_ids: Int64[Tensor, " batch"]
    genre_ids: Int64[Tensor, "batch slots"]

    def to(self, device: torch.device) -> "LabelTensors":
        """The same on another device."""
        return LabelTensors(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


@dataclass(frozen=True, kw_only=True)
class Share:
    """Labels whose artists and genres are mixed in, and their share for each window of a batch."""

    labels: LabelTensors
    weight: Float[Tensor, " batch"]

    def to(self, device: torch.device) -> "Share":
        """The same on another device."""
        return Share(labels=self.labels.to(device), weight=self.weight.to(device))


def shares(labels: Sequence[LabelTokens], config: LabelConfig) -> tuple[Share, ...]:
    """What is mixed into each window of a batch; a window with less than others has shares of nothing."""
    found = []
    for index in range(max((len(tokens.blend) for tokens in labels), default=0)):
        mixed = [tokens.blend[index] if index < len(tokens.blend) else None for tokens in labels]
        named = [
            tokens if each is None else replace(tokens, artist_id=each.artist_id, genre_ids=each.genre_ids)
            for tokens, each in zip(labels, mixed, strict=True)
        ]
        weight = torch.tensor([0.0 if each is None else each.weight for each in mixed])
        found.append(Share(labels=label_tensors(named, config), weight=weight))
    return tuple(found)


def label_tensors(labels: Sequence[LabelTokens], config: LabelConfig) -> LabelTensors:
    """The labels of a batch as tensors on the CPU.

    Args:
        labels: one item per window.
        config: the tables of the prior that will read them.

    Raises:
        LabelError: when a number is outside the prior's tables, or a song shorter or longer than it knows.
    """
    for tokens in labels:
        _check(tokens, config)
    spans = [tokens.span for tokens in labels]
    return LabelTensors(
        total_length_samples=torch.tensor([span.total_length_samples for span in spans]),
        offset_samples=torch.tensor([span.offset_samples for span in spans]),
        window_length_samples=torch.tensor([span.window_length_samples for span in spans]),
        artist_ids=torch.tensor([tokens.artist_id for tokens in labels]),
        genre_ids=torch.tensor([tokens.genre_ids for tokens in labels]),
    )


def _check(tokens: LabelTokens, config: LabelConfig) -> None:
    if not 0 <= tokens.artist_id < config.artists:
        raise LabelError(f"The artist number is {tokens.artist_id}; this model has 0 to {config.artists - 1}.")
    if len(tokens.genre_ids) != config.genre_slots:
        raise LabelError(f"There are {len(tokens.genre_ids)} genre numbers; this model takes {config.genre_slots}.")
    for genre in tokens.genre_ids:
        if not EMPTY_GENRE <= genre < config.genres:
            raise LabelError(f"A genre number is {genre}; this model has 0 to {config.genres - 1}, and -1 for none.")
    if config.timing_bins is not None:
        total, (shortest, longest) = tokens.span.total_length_samples, _total_range_samples(config)
        if not shortest <= total < longest:
            raise LabelError(
                f"The song is {total / config.sample_rate:.6g} seconds long in all; this model knows "
                f"songs of {config.min_duration_s} to less than {config.max_duration_s} seconds: give another length."
            )


def _total_range_samples(config: LabelConfig) -> tuple[float, float]:
    assert config.min_duration_s is not None
    assert config.max_duration_s is not None
    return config.min_duration_s * config.sample_rate, config.max_duration_s * config.sample_rate


class LabelConditioner(nn.Module):
    """The start vector of artist and genres, and what is added at each position of what the prior is told there."""

    def __init__(self, config: LabelConfig, width: int) -> None:
        super().__init__()
        self.config = config
        self.artist = nn.Embedding(config.artists, width)
        self.genre = nn.Embedding(config.genres, width)
        if config.timing_bins is not None:
            self.total_length = nn.Embedding(config.timing_bins, width)
            self.absolute_position = nn.Embedding(config.timing_bins, width)
            self.relative_position = nn.Embedding(config.timing_bins, width)

    @property
    def adds(self) -> bool:
        """Whether something is added at each position."""
        return self.config.everywhere or self.config.timing_bins is not None

    def added(
        self, labels: LabelTensors, start: Float[Tensor, "batch width"], positions: int
    ) -> Float[Tensor, "batch positions width"]:
        """What is added at each of a window's positions, where `adds`: the timing, the start vector, or both."""
        everywhere = start[:, None].expand(-1, positions, -1)
        if self.config.timing_bins is None:
            return everywhere
        timing = self.timing(labels, positions)
        return timing + everywhere if self.config.everywhere else timing

    def start(self, labels: LabelTensors, blend: Sequence[Share] = ()) -> Float[Tensor, "batch width"]:
        """The artist's vector plus those of all genres given: it takes the place of the token before the first.

        Args:
            labels: of each window.
            blend: what is mixed in; the labels have the rest.
        """
        start = self._names(labels)
        if not blend:
            return start
        weights = [share.weight.to(start.dtype)[:, None] for share in blend]
        mixed = sum(weight * self._names(share.labels) for weight, share in zip(weights, blend, strict=True))
        return (1 - sum(weights)) * start + mixed

    def _names(self, labels: LabelTensors) -> Float[Tensor, "batch width"]:
        given = (labels.genre_ids != EMPTY_GENRE)[..., None]
        genres = self.genre(labels.genre_ids.clamp_min(0)) * given
        return self.artist(labels.artist_ids) + genres.sum(1)

    def timing(self, labels: LabelTensors, positions: int) -> Float[Tensor, "batch positions width"]:
        """Where each of a window's positions lies in the song; zero for an item without timing.

        The sum of three tables: length of the song, position in seconds, position as a share of the song.
        """
        shortest, longest = _total_range_samples(self.config)
        # Positions in single precision, as in the original: a bin's border is where its rounding puts it.
        total = labels.total_length_samples.float()[:, None]
        start = labels.offset_samples.float()[:, None]
        end = (labels.offset_samples + labels.window_length_samples).float()[:, None]
        share = torch.arange(positions, device=total.device).float() / positions
        absolute = start + (end - start) * share
        start, end = start / total, (end / total).clamp_max(1.0)
        relative = start + (end - start) * share
        timing = (
            self.total_length(self._bins(total, shortest, longest))
            + self.absolute_position(self._bins(absolute, 0.0, longest))
            + self.relative_position(self._bins(relative, 0.0, 1.0))
        )
        untimed = (labels.total_length_samples == UNTIMED)[:, None, None]
        return timing.masked_fill(untimed, 0.0)

    def _bins(
        self, values: Float[Tensor, "batch positions"], low: float, high: float
    ) -> Int64[Tensor, "batch positions"]:
        """The bin of each value in [low, high)."""
        assert self.config.timing_bins is not None
        bins = (self.config.timing_bins * ((values - low) / (high - low))).floor()
        # Beyond the range, as where a window runs past the longest song, the outermost bin is meant.
        return bins.nan_to_num(0.0).clamp(0, self.config.timing_bins - 1).long()
