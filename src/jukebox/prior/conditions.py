"""What a window of codes is conditioned on: given as named fields, computed once, dropped at random in training."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from jukebox.config import ConditionDropout, LyricsConfig, PriorConfig
from jukebox.errors import LabelError
from jukebox.labels.labels import LabelTokens
from jukebox.labels.text import PADDING_TOKEN
from jukebox.prior.label_conditioner import (
    EMPTY_GENRE,
    UNKNOWN_ARTIST,
    UNTIMED,
    LabelTensors,
    Share,
    label_tensors,
    shares,
)
from jukebox.prior.token_stack import Positions


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Everything that one batch of windows is conditioned on; None for what a prior is not told.

    Args:
        labels: artist, genres, and where the window lies in the song.
        lyrics: the characters the window is shown, 0 for none.
        codes_above: codes of the level above that cover the same sound as the window.
        blend: artists and genres that are mixed into those of the labels.
    """

    labels: LabelTensors | None = None
    lyrics: Int64[Tensor, "batch lyrics"] | None = None
    codes_above: Int64[Tensor, "batch codes_above"] | None = None
    blend: tuple[Share, ...] = ()

    def to(self, device: torch.device) -> "Conditions":
        """The same on another device."""
        labels, lyrics, above = self.labels, self.lyrics, self.codes_above
        return Conditions(
            labels=None if labels is None else labels.to(device),
            lyrics=None if lyrics is None else lyrics.to(device),
            codes_above=None if above is None else above.to(device),
            blend=tuple(share.to(device) for share in self.blend),
        )


def conditions_of(
    labels: Sequence[LabelTokens], config: PriorConfig, codes_above: Int64[Tensor, "batch codes_above"] | None = None
) -> Conditions:
    """What a prior is told of a batch of windows, from their labels; those become tensors on the CPU.

    Args:
        labels: one item per window; what the prior is not told is left out.
        config: the prior that will read them.
        codes_above: for an upsampler.

    Raises:
        LabelError: a number is outside the prior's tables, a song longer or shorter than it knows, or the lyrics of a
            window are not as many as it reads.
    """
    told = label_tensors(labels, config.labels) if config.labels is not None else None
    blend = shares(labels, config.labels) if config.labels is not None else ()
    lyrics = None
    if config.lyrics is not None:
        for tokens in labels:
            _check_lyrics(tokens, config.lyrics)
        lyrics = torch.tensor([tokens.lyric_tokens for tokens in labels])
    return Conditions(labels=told, lyrics=lyrics, codes_above=codes_above, blend=blend)


def _check_lyrics(tokens: LabelTokens, config: LyricsConfig) -> None:
    count = len(tokens.lyric_tokens)
    if count != config.tokens:
        raise LabelError(f"A window has {count} lyric tokens; this model reads {config.tokens}: choose them for it.")
    if not 0 <= min(tokens.lyric_tokens) <= max(tokens.lyric_tokens) < config.vocabulary:
        raise LabelError(
            f"The lyric tokens are {min(tokens.lyric_tokens)} to {max(tokens.lyric_tokens)}; "
            f"this model has 0 to {config.vocabulary - 1}: use its own alphabet."
        )


@dataclass(frozen=True, kw_only=True)
class Conditioning:
    """The conditions as vectors, computed once for a window.

    Args:
        start: takes the place of the token before the first.
        added: added to the transformer's input at each position; None when there is nothing to add.
        encoded_lyrics: what cross-attention looks at; None without a lyrics encoder.
    """

    start: Float[Tensor, "batch width"]
    added: Float[Tensor, "batch positions width"] | None
    encoded_lyrics: Float[Tensor, "batch lyrics width"] | None

    def first(self, count: int) -> "Conditioning":
        """The same for the first `count` positions."""
        return self if self.added is None else replace(self, added=self.added[:, :count])

    def items(self, first: int, last: int) -> "Conditioning":
        """The items `first` to `last` - 1, in the same memory."""
        added, encoded = self.added, self.encoded_lyrics
        return Conditioning(
            start=self.start[first:last],
            added=None if added is None else added[first:last],
            encoded_lyrics=None if encoded is None else encoded[first:last],
        )

    def at(self, positions: Positions) -> "Conditioning":
        """The same for these positions."""
        return self if self.added is None else replace(self, added=self.added.take_along_dim(positions[..., None], 1))


def unconditioned(conditions: Conditions, trained: ConditionDropout) -> Conditions:
    """The conditions without those that training sometimes hid, but for the timing: a song has a place all the same."""
    hidden = {name: float(getattr(trained, name) > 0) for name in ("artist", "genre", "lyrics")}
    return drop(conditions, ConditionDropout(**hidden), torch.Generator())


def drop(conditions: Conditions, rates: ConditionDropout, generator: torch.Generator) -> Conditions:
    """The conditions with artist, genres, timing and lyrics independently replaced by "not told" at random.

    A prior trained so can be asked with and without a condition, which classifier-free guidance compares
    (MusicGen's practice, facts 8.2). The same generator state drops the same fields of the same items.

    Args:
        conditions: on any device.
        rates: the probability of dropping each.
        generator: a generator of the CPU.
    """
    labels, lyrics = conditions.labels, conditions.lyrics
    like = lyrics if labels is None else labels.artist_ids
    if like is None:
        return conditions
    # All four are drawn whatever the prior is told, so that one condition's rate does not move another's choice.
    chances = torch.tensor([rates.artist, rates.genre, rates.timing, rates.lyrics])
    drawn = torch.rand(4, len(like), generator=generator) < chances[:, None]
    no_artist, no_genre, no_timing, no_lyrics = drawn.to(like.device)
    blend = conditions.blend
    if labels is not None:
        labels = _without(labels, no_artist, no_genre, no_timing)
        blend = tuple(replace(each, labels=_without(each.labels, no_artist, no_genre, no_timing)) for each in blend)
    if lyrics is not None:
        lyrics = lyrics.masked_fill(no_lyrics[:, None], PADDING_TOKEN)
    return replace(conditions, labels=labels, lyrics=lyrics, blend=blend)


def _without(labels: LabelTensors, no_artist: Tensor, no_genre: Tensor, no_timing: Tensor) -> LabelTensors:
    """Labels without what is hidden in each window."""
    return replace(
        labels,
        artist_ids=labels.artist_ids.masked_fill(no_artist, UNKNOWN_ARTIST),
        genre_ids=labels.genre_ids.masked_fill(no_genre[:, None], EMPTY_GENRE),
        total_length_samples=labels.total_length_samples.masked_fill(no_timing, UNTIMED),
    )
