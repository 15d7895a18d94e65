"""One step of a prior: the bits of each code, given those before it and the conditions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int64
from torch import Tensor, nn

from jukebox.checkpoints import store
from jukebox.errors import DataError
from jukebox.labels.labels import LabelTokens
from jukebox.labels.text import PADDING_TOKEN, LyricAlphabet
from jukebox.labels.vocabulary import Vocabulary
from jukebox.prior.conditions import Conditions, conditions_of, drop
from jukebox.prior.label_conditioner import LabelTensors
from jukebox.prior.losses import alignment_bits
from jukebox.prior.prior import NOTHING, Prior
from jukebox.prior.token_stack import before
from jukebox.prior.transformer import Wanted
from jukebox.training.finetune import merged_tensors
from jukebox.training.randomness import generator_for
from jukebox.training.recipe import AlignmentConfig, HidingConfig, PriorRecipe
from jukebox.training.task import Loss, Sound
from jukebox.training.workers import Workers

Codes = Int64[Tensor, "batch codes"]
Sung = Int64[Tensor, "*batch codes 2"]
Hidden = Bool[Tensor, "batch codes"]


@runtime_checkable
class TokenItem(Protocol):
    """A window of codes with what is known about it."""

    @property
    def codes(self) -> Int64[Tensor, " codes"]:
        """The codes of the prior's level."""
        ...

    @property
    def codes_above(self) -> Int64[Tensor, " codes_above"] | None:
        """Those of the level above over the same sound, for an upsampler."""
        ...

    @property
    def labels(self) -> LabelTokens:
        """Artist, genres, where the window lies in its song, and its lyrics."""
        ...

    @property
    def sung(self) -> Sung:
        """The lyric tokens that are sung at each code, first and one past the last; -1 where none is known."""
        ...


class PriorStep(nn.Module):
    """The model with its loss: what is sharded and compiled as a whole."""

    def __init__(self, model: Prior, alignment: AlignmentConfig | None = None) -> None:
        super().__init__()
        self.model, self.alignment, self.wanted = model, alignment, NOTHING
        if alignment is not None:
            self.layers = model.config.aligned_layers(alignment.also)
            self.wanted = Wanted(attention=frozenset(self.layers), head=model.config.alignment_head()[1])

    def forward(
        self,
        codes: Codes,
        conditions: Conditions,
        sung: Sung | None = None,
        hidden: Hidden | None = None,
        recompute: bool = False,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The total loss, and what it was made of: bits, and the share of windows in which something is sung.

        `sung` is needed where attention is aligned; `hidden` codes are not shown to those after them.
        """
        output = self.model(codes, conditions, hidden=hidden, wanted=self.wanted, recompute=recompute)
        losses = output.losses
        total, parts = losses.total, {"music_bits": losses.music}
        if self.model.config.lyrics is not None:
            parts["lyrics_bits"] = losses.lyrics
        if self.alignment is not None:
            assert sung is not None
            weights = (output.lyric_attention[layer][:, 0, -codes.shape[1] :] for layer in self.layers)
            found = torch.stack([alignment_bits(attention, sung) for attention in weights])
            parts["alignment_bits"] = found[self.layers.index(self.model.config.alignment_head()[0])]
            parts["sung_windows"] = (sung >= 0).flatten(1).any(1).float().mean()
            total = total + self.alignment.weight * found.sum()
        return total, parts


@dataclass(frozen=True, kw_only=True)
class Words:
    """The names and characters that a prior knows; they travel with its exported folder."""

    vocabulary: Vocabulary | None = None
    alphabet: LyricAlphabet | None = None

    def files(self) -> dict[str, str]:
        """Name and content of the files beside the weights."""
        found = {}
        if self.vocabulary is not None:
            found[store.VOCABULARY] = self.vocabulary.to_json()
        if self.alphabet is not None:
            found[store.ALPHABET] = self.alphabet.to_json()
        return found


class PriorTask:
    """Training of a prior.

    Args:
        model: with random weights, or those to go on from.
        recipe: how it is trained.
        words: names and characters that travel with the model.
        codebooks: fingerprint of the codebooks that its codes are of, "" where nobody knows.
        device: where it computes.
    """

    def __init__(self, model: Prior, recipe: PriorRecipe, words: Words, codebooks: str, device: torch.device) -> None:
        self.model, self.recipe, self.words, self.device = model.train(), recipe, words, device
        self.module: nn.Module = PriorStep(self.model, recipe.alignment)
        self.codebooks = codebooks

    @property
    def units(self) -> tuple[str, int]:
        """Codes, without lyrics."""
        return "tokens", self.model.config.codes_context

    def prepare(self, items: Sequence[TokenItem], workers: Workers) -> None:
        """Nothing is measured before the first step."""

    def loss(self, items: Sequence[TokenItem], first: int, *, training: bool) -> Loss:
        """Bits per token; what is hidden of a window depends on its number alone."""
        codes = torch.stack([item.codes for item in items]).to(self.device)
        conditions = self.conditions(items, first if training else None)
        hidden = None
        if training and self.recipe.hiding is not None:
            seed, context = self.recipe.run.seed, codes.shape[1]
            drawn = [
                hide(self.recipe.hiding, context, generator_for(seed, "hide", first + i)) for i in range(len(items))
            ]
            hidden = torch.stack(drawn).to(self.device)
        sung = None if self.recipe.alignment is None else self._sung(items, conditions, hidden)
        total, parts = self.module(codes, conditions, sung, hidden, self.recipe.run.recompute and training)
        return Loss(total=total, metrics={name: value.detach() for name, value in parts.items()})

    def finish(self, step: int, workers: Workers) -> dict[str, float]:
        """Everything learns by gradients."""
        return {}

    def abandon(self) -> None:
        """Nothing was kept."""

    def facts(self) -> dict[str, Any]:
        """The names and codebooks by which the numbers of the data are meant."""
        vocabulary = self.words.vocabulary
        names = None if vocabulary is None else vocabulary.fingerprint
        return {"vocabulary": names, "codebooks": self.codebooks}

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Refuse to go on with other names or codes than the run began with."""
        if facts["codebooks"] != self.codebooks:
            raise DataError(
                f"The data were tokenised with the codebooks {self.codebooks or 'of no known model'}, this run began "
                f"with {facts['codebooks']}; give data of those."
            )
        if facts["vocabulary"] != self.facts()["vocabulary"]:
            raise DataError(
                "The data set names other artists or genres than the one this run began with; give that one, or begin "
                "in another folder with finetune.model set to this run's model."
            )

    def export(self, folder: Path, source: Mapping[str, Any], workers: Workers) -> None:
        """A folder that `load_prior` opens."""
        tensors = merged_tensors(self.model, workers)
        if workers.first:
            source = {**source, "codebooks": self.codebooks}
            store.save(folder, tensors, self.model.config, source=source, words=self.words.files())

    def sounds(self, items: Sequence[TokenItem]) -> list[Sound]:
        """A prior makes none by itself."""
        return []

    def conditions(self, items: Sequence[TokenItem], first: int | None = None) -> Conditions:
        """What the prior is told of windows; where the number of the first is given, some of it is hidden."""
        config = self.model.config
        above = [item.codes_above for item in items]
        codes_above = torch.stack([a for a in above if a is not None]) if config.upsampler is not None else None
        conditions = conditions_of([item.labels for item in items], config, codes_above)
        if first is not None and config.condition_dropout != type(config.condition_dropout)():
            seed = self.recipe.run.seed
            parts = [
                drop(_item(conditions, i), config.condition_dropout, generator_for(seed, "drop", first + i))
                for i in range(len(items))
            ]
            conditions = _together(parts)
        return conditions.to(self.device)

    def _sung(self, items: Sequence[TokenItem], conditions: Conditions, hidden: Hidden | None) -> Sung:
        """What is sung at each code; nothing in windows whose lyrics are hidden, nor where the code before is hidden.

        Nobody can know there how far the singer has come: a head that is taught it all the same learns to guess.
        """
        assert conditions.lyrics is not None
        sung = torch.stack([item.sung for item in items]).to(self.device)
        untold = (conditions.lyrics == PADDING_TOKEN).all(1)[:, None]
        return sung.masked_fill((untold if hidden is None else untold | before(hidden))[..., None], -1)


def hide(config: HidingConfig, codes: int, generator: torch.Generator) -> Bool[Tensor, " codes"]:
    """Which of a window's codes are hidden from those after them: one stretch, or none."""
    chance, length, place = torch.rand(3, generator=generator).tolist()
    count = round(length * config.longest * codes) if chance < config.windows else 0
    first = round(place * (codes - count))
    positions = torch.arange(codes)
    return (first <= positions) & (positions < first + count)


def _item(conditions: Conditions, index: int) -> Conditions:
    """One window's conditions."""
    labels, lyrics, above = conditions.labels, conditions.lyrics, conditions.codes_above
    one = slice(index, index + 1)
    return Conditions(
        labels=None if labels is None else LabelTensors(**{n: t[one] for n, t in vars(labels).items()}),
        lyrics=None if lyrics is None else lyrics[one],
        codes_above=None if above is None else above[one],
    )


def _together(parts: Sequence[Conditions]) -> Conditions:
    """The conditions of several windows."""
    labels = [part.labels for part in parts if part.labels is not None]
    lyrics = [part.lyrics for part in parts if part.lyrics is not None]
    above = [part.codes_above for part in parts if part.codes_above is not None]
    fields = {n: torch.cat([getattr(one, n) for one in labels]) for n in vars(labels[0])} if labels else None
    return Conditions(
        labels=None if fields is None else LabelTensors(**fields),
        lyrics=torch.cat(lyrics) if lyrics else None,
        codes_above=torch.cat(above) if above else None,
    )
