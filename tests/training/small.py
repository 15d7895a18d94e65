"""Small models, sources and runs that train in a blink."""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from jukebox.config import (
    CodebookConfig,
    ConditionDropout,
    LossConfig,
    LyricsConfig,
    PriorConfig,
    TransformerConfig,
    UpsamplerConfig,
    VqvaeConfig,
)
from jukebox.labels.labels import LabelTokens
from jukebox.labels.timing import SongSpan
from jukebox.prior.initialise import new_prior
from jukebox.training.loop import RunFolder, Sources, Trainer
from jukebox.training.optim import LearningRateSchedule, OptimizerConfig
from jukebox.training.prior_task import PriorTask, Words
from jukebox.training.recipe import AlignmentConfig, DataConfig, HidingConfig, PriorRecipe, RunConfig, VqvaeRecipe
from jukebox.training.shard import place
from jukebox.training.vqvae_task import VqvaeTask, bandwidth_of
from jukebox.training.workers import ALONE, Workers
from jukebox.vqvae.vqvae import VQVAE
from tests.prior.models import LABELS

SAMPLES = 2048
DATA = DataConfig(path="in memory")
OPTIMIZER, SCHEDULE = OptimizerConfig(learning_rate=4e-3), LearningRateSchedule(warmup_steps=5)
VQVAE_CONFIG = VqvaeConfig(
    sample_rate=8000,
    steps=(1, 1),
    strides=(2, 2),
    multipliers=(1, 1),
    width=8,
    depth=1,
    embedding_width=8,
    codebook=CodebookConfig(size=16, restart_unit="mean_use", restart_threshold=0.5),
    loss=LossConfig(n_ffts=(128, 64), hop_lengths=(32, 16), window_lengths=(96, 48), linf_k=16),
)


@dataclass(frozen=True)
class SoundWindow:
    sound: torch.Tensor


@dataclass(frozen=True)
class CodeWindow:
    codes: torch.Tensor
    codes_above: torch.Tensor | None
    labels: LabelTokens
    sung: torch.Tensor


class Tones:
    """Windows of sines in noise."""

    def __len__(self) -> int:
        return 24

    def take(self, index: int) -> SoundWindow:
        generator = torch.Generator().manual_seed(index % 24)
        time = torch.arange(SAMPLES) / 8000
        tone = torch.sin(6.28 * (100 + 900 * torch.rand(1, generator=generator)) * time)
        return SoundWindow(sound=(0.5 * tone + 0.05 * torch.randn(SAMPLES, generator=generator))[None])


def _prior_config(**changes: Any) -> PriorConfig:
    transformer = TransformerConfig(context=16, width=16, attention="RCP", heads=2, rows=4)
    fields = {"level": 1, "labels": LABELS, "upsampler": None, "lyrics": None, "transformer": transformer}
    return PriorConfig(codebook_size=16, tied_output=True, recondition=True, **(fields | changes))


LYRICS = LyricsConfig(
    tokens=8,
    vocabulary=6,
    loss_weight=0.4,
    encoder=TransformerConfig(context=8, width=8, attention="RCP", heads=1, rows=2),
)
PRIOR_CONFIG = _prior_config(
    transformer=TransformerConfig(context=16, width=16, attention="RCPX", heads=2, rows=4),
    lyrics=LYRICS,
    condition_dropout=ConditionDropout(artist=0.3, genre=0.3, timing=0.3, lyrics=0.3),
)
JOINT_CONFIG = _prior_config(
    transformer=TransformerConfig(context=24, width=16, attention="RCPLD", heads=2, rows=4),
    lyrics=replace(LYRICS, encoder=None),
)
UPSAMPLER_CONFIG = _prior_config(
    level=0,
    labels=replace(LABELS, timing_bins=None, min_duration_s=None, max_duration_s=None),
    upsampler=UpsamplerConfig(steps=1, stride=2, width=8, depth=2),
)


class Scales:
    """Windows of codes that rise or fall by a step of their own."""

    def __init__(self, config: PriorConfig = PRIOR_CONFIG) -> None:
        self.config = config

    def __len__(self) -> int:
        return 24

    def take(self, index: int) -> CodeWindow:
        config, count = self.config, self.config.codes_context
        step = index % 5 - 2
        codes = (torch.arange(count) * step + index) % config.codebook_size
        lyrics = tuple((index + i) % 6 for i in range(8)) if config.lyrics else ()
        span = SongSpan(total_length_samples=5000, offset_samples=100 * (index % 24), window_length_samples=500)
        labels = LabelTokens(span=span, artist_id=index % 7, genre_ids=(index % 5, -1), lyric_tokens=lyrics)
        above = codes[::2] if config.upsampler is not None else None
        # Words of two characters, one after another; the last quarter of the window is not sung.
        first = torch.arange(count) * 8 // count // 2 * 2
        sung = torch.stack([first, first + 2], 1).masked_fill(torch.arange(count)[:, None] >= count * 3 // 4, -1)
        return CodeWindow(codes=codes, codes_above=above, labels=labels, sung=sung)


def run_config(**changes: Any) -> RunConfig:
    fields = {"steps": 12, "batch": 4, "log_every_steps": 4, "save_every_steps": 3, "evaluate_every_steps": 6}
    return RunConfig(**(fields | {"sample_every_steps": 1000, "evaluate_windows": 4} | changes))


def vqvae_trainer(folder: Path, workers: Workers = ALONE, **changes: Any) -> Trainer:
    recipe = VqvaeRecipe(
        data=DATA, model=VQVAE_CONFIG, optimizer=OPTIMIZER, schedule=SCHEDULE, run=run_config(**changes)
    )
    torch.manual_seed(recipe.run.seed)
    task = VqvaeTask(VQVAE(VQVAE_CONFIG), recipe, bandwidth_of(Tones(), 1.0, 8000), workers.device)
    place(task.module, recipe.run, workers)
    sources = Sources(training=Tones(), validation=Tones())
    return Trainer(recipe, task, sources, RunFolder(path=folder), workers, quiet)


def prior_trainer(
    folder: Path,
    workers: Workers = ALONE,
    config: PriorConfig = PRIOR_CONFIG,
    optimizer: OptimizerConfig = OPTIMIZER,
    alignment: AlignmentConfig | None = None,
    hiding: HidingConfig | None = None,
    **changes: Any,
) -> Trainer:
    run = run_config(**changes)
    parts = {"optimizer": optimizer, "alignment": alignment, "hiding": hiding}
    recipe = PriorRecipe(data=DATA, model=config, schedule=SCHEDULE, run=run, **parts)
    prior = new_prior(config, torch.Generator().manual_seed(recipe.run.seed))
    task = PriorTask(prior, recipe, Words(), "", workers.device)
    place(task.module, recipe.run, workers)
    sources = Sources(training=Scales(config), validation=Scales(config))
    return Trainer(recipe, task, sources, RunFolder(path=folder), workers, quiet)


ALIGNED_CONFIG = replace(PRIOR_CONFIG, lyrics=replace(LYRICS, alignment_layer=3, alignment_head=1))
TRAINERS = {
    "vqvae": vqvae_trainer,
    "prior": prior_trainer,
    "aligned prior with muon": partial(
        prior_trainer, config=ALIGNED_CONFIG, alignment=AlignmentConfig(), optimizer=replace(OPTIMIZER, name="muon")
    ),
}


def plant(trainer: Trainer, bad: Collection[int], at_bad: Callable[[], None] = lambda: None) -> Trainer:
    """Let the last windows of some steps, counted from 1, have no finite loss."""
    usual, last = trainer.task.loss, trainer.run.batch - trainer.micro_batch

    def broken(items: Any, first: int, *, training: bool) -> Any:
        loss = usual(items, first, training=training)
        if not training or trainer.step + 1 not in bad or first % trainer.run.batch != last:
            return loss
        at_bad()
        return type(loss)(total=loss.total * torch.nan, metrics=loss.metrics)

    trainer.task.loss = broken
    return trainer


def quiet(text: str) -> None:
    """Nobody reads the tests' terminal."""


def digest(trainer: Trainer) -> str:
    """A hash of everything that changes in training."""
    found = hashlib.sha256()
    for name, tensor in sorted(trainer.state.tensors().items()):
        found.update(name.encode() + tensor.detach().contiguous().numpy().tobytes())
    return found.hexdigest()
