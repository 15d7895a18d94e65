from dataclasses import replace
from functools import partial
from threading import Event

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from jukebox.errors import TrainingError
from jukebox.training import dry_run, memory
from jukebox.training.recipe import FinetuneConfig, LoraConfig, PriorRecipe, VqvaeRecipe
from tests.training.small import DATA, OPTIMIZER, PRIOR_CONFIG, VQVAE_CONFIG, prior_trainer, run_config, vqvae_trainer

RUN = run_config()
PRIOR = PriorRecipe(data=DATA, model=PRIOR_CONFIG, run=RUN)
VQVAE = VqvaeRecipe(data=replace(DATA, crops=replace(DATA.crops, length_samples=2048)), model=VQVAE_CONFIG, run=RUN)
CLOSE = 0.1


@pytest.mark.parametrize("kind", ["vqvae", "prior"])
def test_activations_are_those_of_a_real_step(kind: str, tmp_path) -> None:
    trainer = (vqvae_trainer if kind == "vqvae" else prior_trainer)(tmp_path)
    task, source = trainer.task, trainer.sources.training
    items = [source.take(index) for index in range(RUN.batch)]
    task.prepare(items, trainer.workers)
    own = {t.untyped_storage().data_ptr() for t in (*task.module.parameters(), *task.module.buffers())}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = task.loss(items, 0, training=True)
    real = sum(t.untyped_storage().nbytes() for place, t in kept.items() if place not in own)
    assert loss.total.requires_grad
    found = memory.of_vqvae(VQVAE, 1) if kind == "vqvae" else memory.of_prior(PRIOR, None, 1)
    assert abs(found.activations - real) <= CLOSE * real
    assert found.parameters == sum(t.numel() for t in (*task.module.parameters(), *task.module.buffers()))
    assert found.gradients == 4 * found.trained
    assert found.moments == 8 * found.trained


def test_recomputing_sharding_and_small_parts_take_less() -> None:
    whole = memory.of_prior(PRIOR, None, 1)
    again = memory.of_prior(replace(PRIOR, run=replace(RUN, recompute=True)), None, 1)
    shared = memory.of_prior(PRIOR, None, 4)
    parts = memory.of_prior(replace(PRIOR, run=replace(RUN, micro_batch=1)), None, 1)
    assert again.activations < whole.activations
    assert parts.activations < whole.activations
    assert (shared.gradients, shared.moments) == (whole.gradients // 4, whole.moments // 4)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_moments_are_those_of_the_optimisers(name: str, tmp_path) -> None:
    optimizer = replace(OPTIMIZER, name=name)
    trainer = prior_trainer(tmp_path, optimizer=optimizer)
    trainer.one_step([trainer.sources.training.take(index) for index in range(RUN.batch)], 0, Event(), None)
    kept = [t for o in trainer.optimizers for state in o.state.values() for t in state.values()]
    real = sum(t.nbytes for t in kept if isinstance(t, torch.Tensor) and t.ndim)
    assert memory.of_prior(replace(PRIOR, optimizer=optimizer), None, 1).moments == real


def test_a_fine_tune_of_a_folder_takes_what_its_model_takes(tmp_path) -> None:
    """The folder is read as it is, not with the tensors without memory that the rest is counted on."""
    for kind, recipe, of in (("vqvae", VQVAE, memory.of_vqvae), ("prior", PRIOR, partial(memory.of_prior, level=None))):
        trainer = (vqvae_trainer if kind == "vqvae" else prior_trainer)(tmp_path / kind)
        trainer.task.export(tmp_path / kind / "model", {}, trainer.workers)
        finetune = FinetuneConfig(model=str(tmp_path / kind / "model"))
        assert of(replace(recipe, model=None, finetune=finetune), devices=1) == of(recipe, devices=1)


@pytest.mark.slow
def test_a_5b_fine_tune_with_8_bits_fits_a_card_of_24_gb() -> None:
    """docs/training.md states these figures; no weights are needed."""
    run = replace(RUN, batch=8, micro_batch=1, precision="bfloat16", recompute=True)
    finetune = FinetuneConfig(
        model="5b_lyrics",
        lora=LoraConfig(),
        trained=("labels.artist.weight", "labels.genre.weight"),
        frozen_precision="int8",
    )
    found = memory.of_prior(PriorRecipe(data=DATA, finetune=finetune, run=run), 2, 1)
    assert 5.6e9 < found.parameters < 5.8e9
    assert 5.9e9 < found.weights < 6.3e9
    assert found.total < 22e9


def test_more_windows_keep_so_many_times_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(PRIOR, run=replace(PRIOR.run, batch=12, micro_batch=None))
    few = memory.of_prior(recipe, None, 1)
    monkeypatch.setattr(memory, "_COUNTED", 12)
    assert abs(few.total / memory.of_prior(recipe, None, 1).total - 1) < 0.002  # found: 0.0013


def test_what_does_not_fit_is_refused_and_what_does_is_described() -> None:
    found = memory.of_prior(PRIOR, None, 1)
    dry_run.refuse_too_large(found, found.total, "a device")
    with pytest.raises(TrainingError, match=r"takes .* on each device and a device has .*run.recompute=true"):
        dry_run.refuse_too_large(found, found.total - 1, "a device")
    text = dry_run.report(found, PRIOR, 2)
    assert "sharded over 2 devices" in text
    assert "activations" in text
    assert dry_run.available_bytes(torch.device("cpu")) > 1e6


def test_the_probe_measures_ten_steps(tmp_path) -> None:
    times = iter([0.0, 5.0])
    text = dry_run.probe(prior_trainer(tmp_path, steps=7200), lambda: next(times))
    assert "128 tokens/s, 0.5 s a step in 10 steps; all 7200 steps: 1.0 hours" in text
