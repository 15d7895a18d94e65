"""A head that is told which word is sung learns to look there, and a run that does not ask for it is what it was."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from jukebox.config import ConditionDropout
from jukebox.errors import ConfigError
from jukebox.prior.initialise import new_prior
from jukebox.training.loop import RunFolder, Sources, Trainer
from jukebox.training.optim import OptimizerConfig
from jukebox.training.prior_task import PriorTask, Words
from jukebox.training.recipe import AlignmentConfig, PriorRecipe
from jukebox.training.workers import ALONE
from tests.training.small import (
    DATA,
    JOINT_CONFIG,
    LYRICS,
        PRIOR_CONFIG,
    SCHEDULE,
    CodeWindow,
    Scales,
    digest,
    quiet,
    run_config,
)  # fmt: skip

HEAD = replace(LYRICS, alignment_layer=3, alignment_head=1)
CONFIG = replace(PRIOR_CONFIG, lyrics=HEAD)
OPTIMIZER = OptimizerConfig(learning_rate=1e-2)


class Spelled:
    """Windows whose codes spell their lyrics, two codes to a character."""

    def __len__(self) -> int:
        return 256

    def take(self, index: int) -> CodeWindow:
        window, random = Scales(CONFIG).take(index), torch.Generator().manual_seed(index)
        lyrics, place = torch.randint(1, 6, (8,), generator=random), torch.arange(16) // 2
        labels = replace(window.labels, lyric_tokens=tuple(lyrics.tolist()))
        return replace(window, codes=lyrics[place], labels=labels, sung=torch.stack([place, place + 1], 1))


def trainer(folder: Path, alignment: AlignmentConfig | None, config: Any = CONFIG, **changes: Any) -> Trainer:
    recipe = PriorRecipe(
        data=DATA, model=config, alignment=alignment, optimizer=OPTIMIZER, schedule=SCHEDULE, run=run_config(**changes)
    )
    prior = new_prior(config, torch.Generator().manual_seed(0))
    task = PriorTask(prior, recipe, Words(), "", ALONE.device)
    source = Scales(config) if config is not CONFIG else Spelled()
    return Trainer(recipe, task, Sources(training=source), RunFolder(path=folder), say=quiet)


def windows(count: int = 4) -> list[CodeWindow]:
    return [Scales(CONFIG).take(index) for index in range(count)]


def test_the_loss_is_the_share_of_the_word_and_the_character_after_it(tmp_path: Path) -> None:
    task = trainer(tmp_path, AlignmentConfig(weight=0.5)).task
    items = windows()
    loss = task.loss(items, 0, training=False)
    conditions = task.conditions(items)
    with torch.no_grad():
        output = task.model(torch.stack([i.codes for i in items]), conditions, wanted=task.module.wanted)
    weights, expected = output.lyric_attention[3], []
    assert weights.shape == (4, 1, 16, 8)
    for item, rows in zip(items, weights[:, 0].double(), strict=True):
        heard = [rows[c, a : b + 1].sum().log2() for c, (a, b) in enumerate(item.sung.tolist()) if a >= 0]
        assert len(heard) == 12
        expected.append(-sum(heard) / len(heard))
    assert float(loss.metrics["alignment_bits"]) == pytest.approx(float(sum(expected)) / 4, rel=1e-5)
    assert float(loss.total.detach()) == pytest.approx(
        float(output.losses.total) + 0.5 * float(sum(expected)) / 4, rel=1e-5
    )


def test_other_layers_are_told_the_same_and_the_log_is_of_the_alignment_head(tmp_path: Path) -> None:
    config = replace(CONFIG, transformer=replace(CONFIG.transformer, attention="XRCX"))
    task = trainer(tmp_path / "both", AlignmentConfig(weight=0.5, also=(0, 3)), config).task
    loss, items = task.loss(windows(), 0, training=False), windows()
    found = {}
    for layer in (0, 3):
        alone = replace(config, lyrics=replace(HEAD, alignment_layer=layer))
        other = trainer(tmp_path / str(layer), AlignmentConfig(), alone).task
        other.model.load_state_dict(task.model.state_dict())
        found[layer] = other.loss(items, 0, training=False).metrics
    bits = {layer: float(metrics["alignment_bits"]) for layer, metrics in found.items()}
    assert float(loss.metrics["alignment_bits"]) == pytest.approx(bits[3], rel=1e-6)
    assert bits[0] != bits[3]
    with torch.no_grad():
        music = task.model(torch.stack([i.codes for i in items]), task.conditions(items)).losses.total
    assert float(loss.total.detach()) == pytest.approx(float(music) + 0.5 * sum(bits.values()), rel=1e-6)


def test_only_the_way_to_the_head_is_taught_and_silence_and_hidden_lyrics_teach_nothing(tmp_path: Path) -> None:
    task = trainer(tmp_path, AlignmentConfig()).task

    def gradients(items: list[CodeWindow], **hidden: Any) -> dict[str, torch.Tensor]:
        task.model.zero_grad(set_to_none=True)
        task.model.config = replace(CONFIG, condition_dropout=replace(CONFIG.condition_dropout, **hidden))
        task.loss(items, 0, training=True).total.backward(retain_graph=True)
        return {n: p.grad.clone() for n, p in task.model.named_parameters() if p.grad is not None}

    def difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> set[str]:
        return {name for name in one if not torch.equal(one[name], other[name])}

    silent = [replace(item, sung=torch.full_like(item.sung, -1)) for item in windows()]
    taught = difference(gradients(windows(), lyrics=0.0), gradients(silent, lyrics=0.0))
    assert {"transformer.layers.3.attention.query.weight", "lyrics_encoder.projection.weight"} <= taught
    assert not {"transformer.layers.3.attention.output.weight", "output.weight"} & taught
    assert not difference(gradients(windows(), lyrics=1.0), gradients(silent, lyrics=1.0))


def test_without_it_nothing_changes(tmp_path: Path) -> None:
    """The head is not looked at, and no window's times matter: the same weights, bit for bit."""
    found = []
    for name, config in (("none", PRIOR_CONFIG), ("named", CONFIG)):
        run = trainer(tmp_path / name, None, config, steps=3)
        run.sources = Sources(training=Scales(config))
        run.train()
        found.append(digest(run))
    assert found[0] == found[1]


@pytest.mark.parametrize("change", [{"micro_batch": 1}, {"recompute": True}, {"precision": "bfloat16"}])
def test_parts_recomputing_and_half_precision_ask_for_the_same(change: dict[str, Any], tmp_path: Path) -> None:
    found = []
    for name, settings in (("whole", {}), ("other", change)):
        run = trainer(tmp_path / name, AlignmentConfig(), steps=3, save_every_steps=3, **settings)
        run.train()
        found.append(torch.cat([p.detach().flatten() for p in run.parameters]))
    tolerance = 2e-2 if "precision" in change else 2e-4
    assert (found[0] - found[1]).abs().max() < tolerance


def test_a_run_that_stops_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole = trainer(tmp_path / "whole", AlignmentConfig(), steps=6)
    whole.train()
    trainer(tmp_path / "parts", AlignmentConfig(), steps=3).train()
    parts = trainer(tmp_path / "parts", AlignmentConfig(), steps=6)
    parts.train()
    assert digest(parts) == digest(whole)


def test_a_prior_learns_to_look_at_what_is_sung(tmp_path: Path) -> None:
    """A head that knows nothing gives each word, two characters of eight, a quarter: 2 bits; measured: 0.5 after."""
    told = replace(CONFIG, condition_dropout=ConditionDropout())
    run = trainer(tmp_path, AlignmentConfig(weight=1.0), told, steps=200, batch=16, save_every_steps=200)
    run.sources = Sources(training=Spelled())
    run.train()
    items = [Spelled().take(index) for index in range(300, 364)]  # not those that it has learnt from
    found = run.task.loss(items, 0, training=False)
    assert found.metrics["alignment_bits"] < 1.0


def test_contradictions_are_refused() -> None:
    def recipe(config: Any) -> PriorRecipe:
        return PriorRecipe(data=DATA, model=config, run=run_config(), alignment=AlignmentConfig())

    with pytest.raises(ConfigError, match="no alignment head"):
        recipe(PRIOR_CONFIG)
    with pytest.raises(ConfigError, match=r"alignment_layer is 0; expected one that looks at lyrics.* \(3 of 'RCPX'\)"):
        recipe(replace(CONFIG, lyrics=replace(HEAD, alignment_layer=0)))
    with pytest.raises(ConfigError, match="alignment_head is 2; expected 0 to 1"):
        recipe(replace(CONFIG, lyrics=replace(HEAD, alignment_head=2)))
    with pytest.raises(ConfigError, match="weight is 0"):
        AlignmentConfig(weight=0.0)
    with pytest.raises(ConfigError, match=r"also has layer 1; expected one that looks at lyrics.* \(3 of 'RCPX'\)"):
        PriorRecipe(data=DATA, model=CONFIG, run=run_config(), alignment=AlignmentConfig(also=(1,)))
    # What is dense sees lyrics only where they are a prefix.
    dense = replace(CONFIG, transformer=replace(CONFIG.transformer, attention="RDPX"))
    with pytest.raises(ConfigError, match=r"alignment_layer is 1; expected one that looks at lyrics"):
        recipe(replace(dense, lyrics=replace(HEAD, alignment_layer=1)))
    assert recipe(replace(JOINT_CONFIG, lyrics=replace(HEAD, encoder=None)))
