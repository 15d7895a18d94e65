"""Whole songs through the sampler's driver: codes of every window, its label vector, and the sound of every level.

Codes and labels are equal; sound has the README's tolerance for values of order 1.
"""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from jukebox.alignment.attention import align
from jukebox.checkpoints import openai, openai_config
from jukebox.checkpoints.load import build_prior, build_vqvae
from jukebox.checkpoints.names import shapes_of, to_ours
from jukebox.labels.labels import SongTokens
from jukebox.labels.text import V2_ALPHABET, V3_ALPHABET
from jukebox.prior.prior import Prior
from jukebox.sampling.engine import Engine
from jukebox.sampling.events import Finished
from jukebox.sampling.generate import Options, generate
from jukebox.sampling.graph import GraphEngine
from jukebox.sampling.model import LevelModel, SongModel
from jukebox.sampling.native import NativeEngine
from jukebox.sampling.plan import Item, LevelPlan, SongPlan
from jukebox.sampling.processor import ProcessorEngine
from jukebox.sampling.reference import ReferenceEngine
from jukebox.sampling.stepper import PlainStepper
from jukebox.sampling.token import SamplingConfig
from jukebox.sampling.windows import LevelWindows, plan_chains, window_starts
from tests.parity.alignment import ATTENTION
from tests.parity.report import Check, close, equal, equal_integers

SOUND = 5e-5


def _fused(prior: Prior, slots: int) -> Engine:
    from jukebox.sampling.fused import FusedStepper  # Triton is an extra

    return GraphEngine(FusedStepper(prior, slots))


def _persistent(prior: Prior, slots: int) -> Engine:
    from jukebox.sampling.persistent import PersistentStepper

    return GraphEngine(PersistentStepper(prior, slots))


ENGINES: dict[str, Callable[[Prior, int], Engine]] = {
    "reference": ReferenceEngine,
    "processor": ProcessorEngine,
    "native": NativeEngine,
    "graph": lambda prior, slots: GraphEngine(PlainStepper(prior, slots)),
    "fused": _fused,
    "persistent": _persistent,
}
"""Engines that a case can be run through: `python -m tests.parity --engine graph`.

Those of kernels need Triton and, without a card, `TRITON_INTERPRET=1`.
"""

GREEDY = SamplingConfig(temperature=0.99, top_k=1)


def run(case: Path) -> Iterator[Check]:
    """Every recorded number of one case."""
    recorded = json.loads((case / "config.json").read_text())
    stack = Stack.of(case, recorded, load_file(case / "io.safetensors"))
    for mode in recorded["windows"]:
        yield from stack.partial() if mode == "partial" else stack.whole(mode)


@dataclass(frozen=True)
class Stack:
    """A case with its models."""

    recorded: dict[str, Any]
    io: dict[str, Tensor]
    model: SongModel
    priors: list[Prior]

    @classmethod
    def of(cls, case: Path, recorded: dict[str, Any], io: dict[str, Tensor]) -> "Stack":
        weights = load_file(case / "vqvae.safetensors")
        config = openai_config.vqvae_config(recorded["vqvae_hps"])
        vqvae = build_vqvae(config, openai.add_running_sums(to_ours(weights, openai.name_table(config), str(case))))
        priors = [cls._prior(case, level, hps) for level, hps in enumerate(recorded["prior_hps"])]
        fractions = recorded["sampling_hps"]["hop_fraction"]
        levels = {
            level: LevelModel(config=prior.config, words=None, hop_fraction=fraction)
            for level, (prior, fraction) in enumerate(zip(priors, fractions, strict=True))
        }
        return cls(recorded, io, SongModel("recorded", vqvae, levels), priors)

    @staticmethod
    def _prior(case: Path, level: int, hps: dict[str, Any]) -> Prior:
        weights = load_file(case / f"prior_level_{level}.safetensors")
        weights = {openai.released_spelling(name): tensor for name, tensor in weights.items()}
        config = openai_config.prior_config(hps, shapes_of(weights))
        return build_prior(config, to_ours(weights, openai.name_table(config), str(case)))

    def whole(self, mode: str) -> Iterator[Check]:
        """A mode that writes all levels."""
        windows = self.recorded["windows"][mode]
        levels = sorted({window["level"] for window in windows}, reverse=True)
        batch, length = len(self.io["labels.y.level_2"]), self.recorded["sampling_hps"]["sample_length"]
        given = self._given(mode)
        if "primed.in.audio" in self.io and mode == "primed":
            sound = self.io["primed.in.audio"].transpose(1, 2)
            given = dict(enumerate(self.model.vqvae.encode(sound)))
        items = self._items(batch, given)
        plan = self._plan(items, levels, length)
        yield from self._windows(mode, plan)
        yield from self._labels(mode, plan)
        codes = self._written(plan)
        yield from self._alignment(mode, plan, codes)
        for level in range(3):
            found = torch.stack([codes[item.name][level] for item in items])
            yield equal_integers(f"{mode}.z_level_{level}", found, self.io[f"{mode}.z_level_{level}"])
            if f"{mode}.audio.level_{level}" in self.io:
                expected = self.io[f"{mode}.audio.level_{level}"]
                with torch.no_grad():
                    sound = self.model.vqvae.decode(found, level).transpose(1, 2)
                yield close(f"{mode}.audio.level_{level}", sound, expected, absolute=SOUND)

    def partial(self) -> Iterator[Check]:
        """The top level in windows that end with what is asked for."""
        windows, top = self.recorded["windows"]["partial"], self.model.top
        batch, known = len(self.io["labels.y.level_2"]), {}
        for window in windows:
            end = window["tokens_after"]
            items = self._items(batch, known)
            plan = self._plan(items, [top], end * self.model.grid.hops[top], one_window=True)
            chain = plan.levels[0].chains[0][0].windows[0]
            found = (chain.start, chain.first, chain.end)
            before = window["tokens_before"]
            start = end - window["sample_tokens"]
            yield equal(f"partial.window {start}", found, (window["start"], before, end))
            codes = self._written(plan)
            known = {top: torch.stack([codes[item.name][top] for item in items])}
        yield equal_integers("partial.z_level_2", known[top], self.io["partial.z_level_2"])

    def _given(self, mode: str) -> dict[int, Tensor]:
        prefix = f"{mode}.in.z_level_"
        return {int(name.removeprefix(prefix)): z for name, z in self.io.items() if name.startswith(prefix)}

    def _items(self, batch: int, given: dict[int, Tensor]) -> list[Item]:
        metas = self.recorded["metas_per_level"]
        return [
            Item(
                name=str(index),
                take=0,
                tokens={level: self._tokens(level, index) for level in range(3)},
                total_samples=metas[2][index]["total_length"],
                offset_samples=metas[2][index]["offset"],
                given={level: codes[index] for level, codes in given.items()},
            )
            for index in range(batch)
        ]

    def _tokens(self, level: int, index: int) -> SongTokens:
        """Artist and genres as recorded; lyrics from their text."""
        config, y = self.model.level(level).config, self.io[f"labels.y.level_{level}"][index].tolist()
        assert config.labels is not None
        alphabet = V3_ALPHABET if self.recorded["prior_hps"][level]["labels_v3"] else V2_ALPHABET
        window = config.lyrics.tokens if config.lyrics is not None else 0
        return SongTokens(
            artist_id=y[3],
            genre_ids=tuple(y[4 : 4 + config.labels.genre_slots]),
            lyric_tokens=alphabet.encode(self.recorded["metas_per_level"][level][index]["lyrics"]) if window else (),
            lyric_window=window,
        )

    def _plan(self, items: list[Item], levels: list[int], length: int, one_window: bool = False) -> SongPlan:
        plans = []
        for level in levels:
            known, tokens = self.model.level(level), length // self.model.grid.hops[level]
            context = known.config.codes_context
            layout = LevelWindows(
                context=context,
                hop=int(known.hop_fraction * context),
                unit=self.model.unit(level),
                one_window=one_window,
            )
            chains = tuple(plan_chains(tokens, len(item.given.get(level, ())), layout) for item in items)
            plans.append(LevelPlan(level=level, length=tokens, sampling=GREEDY, chains=chains))
        return SongPlan(length_samples=length, items=tuple(items), levels=tuple(plans), notes=())

    def _written(self, plan: SongPlan) -> dict[str, dict[int, Tensor]]:
        def engine(level: int, slots: int) -> Engine:
            return ENGINES[os.environ.get("JUKEBOX_PARITY_ENGINE", "reference")](self.priors[level], slots)

        *_, last = generate(plan, self.model, engine, seed=0, options=Options(slots=2))
        assert isinstance(last, Finished)
        return last.codes

    def _alignment(self, mode: str, plan: SongPlan, codes: dict[str, dict[int, Tensor]]) -> Iterator[Check]:
        """Attention of the top prior to the lyrics, where it was recorded."""
        top, known = self.model.top, self.model.level(self.model.top)
        context = known.config.codes_context
        for index, item in enumerate(plan.items):
            if (name := f"{mode}.alignment.{index}") in self.io:
                written = codes[item.name][top]
                found = align(
                    self.priors[top],
                    written,
                    item.tokens[top],
                    lambda start, item=item: item.span(self.model.grid, top, start, context),
                    window_starts(len(written), context, int(known.hop_fraction * context)),
                )
                yield close(name, torch.from_numpy(found), self.io[name], absolute=ATTENTION)

    def _windows(self, mode: str, plan: SongPlan) -> Iterator[Check]:
        """Our windows are the recorded ones that have something to write."""
        found = [
            (level.level, window.start, window.first, window.end)
            for level in plan.levels
            for window in (level.chains[0][0].windows if level.chains[0] else ())
        ]
        expected = [
            (w["level"], w["start"], max(w["tokens_before"], w["start"]), w["start"] + w["sample_tokens"])
            for w in self.recorded["windows"][mode]
            if w["tokens_after"] > w["tokens_before"]
        ]
        yield equal(f"{mode}.windows", found, expected)

    def _labels(self, mode: str, plan: SongPlan) -> Iterator[Check]:
        grid = self.model.grid
        for name, y in self.io.items():
            if not name.startswith(f"{mode}.y.level_"):
                continue
            level, start = (int(part.rpartition("_")[2]) for part in name.split(".")[2:])
            rows = []
            for item in plan.items:
                span = item.span(grid, level, start, self.model.level(level).config.codes_context)
                rows.append(item.tokens[level].window(span, rounding="float32").packed())
            yield equal_integers(name, torch.tensor(rows), y)
