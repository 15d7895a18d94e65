import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing import event_accumulator

from jukebox.checkpoints.load import load_prior, load_vqvae
from jukebox.errors import CheckpointError, ConfigError, TrainingError
from jukebox.training import checkpoint
from jukebox.training.task import Sound
from tests.training.small import (
    JOINT_CONFIG,
    OPTIMIZER,
    PRIOR_CONFIG,
    TRAINERS,
    UPSAMPLER_CONFIG,
    digest,
    plant,
    prior_trainer,
)

TOLERANCE = 2e-4
"""Weights after Adam steps from gradients that differ by rounding; measured: 2e-5."""


def weights(trainer: Any) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in trainer.task.module.parameters()])


@pytest.mark.parametrize("kind", ["vqvae", "prior"])
@pytest.mark.parametrize("change", [{"micro_batch": 1}, {"recompute": True}])
def test_accumulating_and_recomputing_change_nothing(kind: str, change: dict[str, Any], tmp_path: Path) -> None:
    found = []
    for name, settings in (("whole", {}), ("other", change)):
        trainer = TRAINERS[kind](tmp_path / name, steps=3, save_every_steps=3, **settings)
        trainer.train()
        found.append(weights(trainer))
    assert (found[0] - found[1]).abs().max() < TOLERANCE


@pytest.mark.parametrize("config", [PRIOR_CONFIG, JOINT_CONFIG, UPSAMPLER_CONFIG])
def test_every_kind_of_prior_learns_and_is_exported(config: Any, tmp_path: Path) -> None:
    trainer = prior_trainer(tmp_path, config=config, steps=40, average_decay=0.5, save_every_steps=40)
    trainer.train()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0]
    assert any("validation/loss" in line for line in lines)
    exported = load_prior(tmp_path / "model").state_dict()
    with trainer.averaged():
        for name, tensor in trainer.task.model.state_dict().items():
            assert torch.equal(exported[name], tensor), name


def test_vqvae_logs_what_its_codebooks_do_and_gives_sound(tmp_path: Path) -> None:
    trainer = TRAINERS["vqvae"](tmp_path, steps=4, sample_every_steps=4)
    trainer.train(lambda step: [Sound(name="made", samples=torch.zeros(1, 2048), sample_rate=8000)])
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {"level_0/codebook_entropy_bits", "level_1/codebook_used", "gradient_norm"} <= set(lines[0])
    sounds = {path.name for path in (tmp_path / "sounds" / "step-00000004").iterdir()}
    assert sounds == {"original.wav", "level_0.wav", "level_1.wav", "made.wav"}
    board = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    names = {path.removesuffix(".wav") for path in sounds}
    assert set(board.Tags()["audio"]) == names
    assert set(board.Tags()["images"]) == {f"{name}/spectrogram" for name in names}
    assert set(lines[0]) - {"step", "time"} <= set(board.Tags()["scalars"])
    assert "validation/loss" in board.Tags()["scalars"]
    (curve,) = board.Scalars("loss")
    assert curve.step == 4
    assert curve.value == pytest.approx(lines[0]["loss"])
    assert load_vqvae(tmp_path / "model").config == trainer.task.model.config


def test_half_precision_learns(tmp_path: Path) -> None:
    trainer = prior_trainer(tmp_path, steps=30, save_every_steps=30, precision="bfloat16")
    trainer.train()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0]
    assert all(p.dtype == torch.float32 for p in trainer.task.module.parameters())


@pytest.mark.parametrize(("kind", "micro_batch"), [("vqvae", None), ("prior", 1)])
def test_a_step_without_a_finite_gradient_changes_nothing_and_is_never_saved(
    kind: str, micro_batch: int | None, tmp_path: Path
) -> None:
    make, settings = TRAINERS[kind], {"steps": 7, "average_decay": 0.9, "micro_batch": micro_batch}
    whole = plant(make(tmp_path / "whole", **settings), {1, 3, 5})
    seen, losses, usual = {}, {}, whole.one_step

    def watched(*arguments: Any) -> Any:
        seen[whole.step] = digest(whole)
        found, stopping = usual(*arguments)
        losses[whole.step + 1] = float(found.get("loss", torch.nan))
        return found, stopping

    whole.one_step = watched
    whole.train()
    assert seen[2] == seen[3]
    assert seen[4] == seen[5]
    assert seen[3] != seen[4]
    assert all(bool(tensor.isfinite().all()) for tensor in whole.state.tensors().values())
    # The save after step 3 waits for step 4; the one after step 6 for nothing, nor the last.
    stopped = plant(make(tmp_path / "parts", **settings), {1, 3, 5}, lambda: signal.raise_signal(signal.SIGTERM))
    stopped.train()
    assert checkpoint.latest(tmp_path / "parts" / "checkpoints") is None
    for ends in (3, 7):
        resumed = plant(make(tmp_path / "parts", **settings), {1, 3, 5})
        if ends == 3:  # in the middle of what is skipped
            resumed = plant(resumed, {3}, lambda: signal.raise_signal(signal.SIGTERM))
        assert resumed.train() == ends
    assert digest(resumed) == digest(whole)
    assert [p.name for p in checkpoint.states(tmp_path / "whole" / "checkpoints")] == ["step-00000006", "step-00000007"]
    lines = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert [line["skipped"] for line in lines if "skipped" in line] == [2, 1]
    assert [line["step"] for line in lines if "event" in line] == [1, 3, 5]
    assert "step 3 is skipped: the loss is nan" in next(line["event"] for line in lines if line["step"] == 3)
    # Means are over the steps that were made.
    assert [line["loss"] for line in lines if "loss" in line] == pytest.approx(
        [(losses[2] + losses[4]) / 2, (losses[6] + losses[7]) / 2]
    )


def test_too_many_steps_without_a_finite_gradient_end_the_run_which_goes_on_from_before(tmp_path: Path) -> None:
    trainer = plant(prior_trainer(tmp_path, steps=12, most_skipped=3), range(6, 12))
    with pytest.raises(
        TrainingError, match=r"3 steps up to step 8 had no .*\(the loss is nan.* goes on from step 3, the"
    ):
        trainer.train()
    with pytest.raises(TrainingError, match=r"last 2 of 7 steps had no finite gradient.* it goes on from step 3, the"):
        plant(prior_trainer(tmp_path, steps=7), range(6, 12)).train()
    prior_trainer(tmp_path, steps=12).train()
    with pytest.raises(TrainingError, match=r"2 steps up to step 2 .*it begins anew, since nothing was saved yet"):
        plant(prior_trainer(tmp_path / "new", most_skipped=2), range(6)).train()


@pytest.mark.parametrize("save_every_steps", [1, 6])
def test_weights_that_a_far_too_long_step_has_broken_are_not_saved(save_every_steps: int, tmp_path: Path) -> None:
    prior_trainer(tmp_path, steps=3).train()
    settings = {"steps": 6, "save_every_steps": save_every_steps}
    message = "After step 4 the loss is" if save_every_steps == 1 else "The last 2 of 6 steps"
    with pytest.raises(TrainingError, match=f"{message}.*lower optimizer.learning_rate.*goes on from step 3"):
        prior_trainer(tmp_path, optimizer=replace(OPTIMIZER, learning_rate=1e30), **settings).train()
    again, whole = prior_trainer(tmp_path, **settings), prior_trainer(tmp_path / "whole", steps=6)
    again.train()
    whole.train()
    assert digest(again) == digest(whole)


def test_a_state_of_another_model_is_refused_by_name(tmp_path: Path) -> None:
    prior_trainer(tmp_path, steps=3).train()
    with pytest.raises(CheckpointError, match=r"is of another model: .* is a tensor that"):
        prior_trainer(tmp_path, config=UPSAMPLER_CONFIG, steps=6).train()


def test_a_full_disk_leaves_the_last_state_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = prior_trainer(tmp_path, steps=6)

    def full(*arguments: Any, **settings: Any) -> None:
        raise OSError(28, "No space left on device")

    real = checkpoint.dcp.save
    monkeypatch.setattr(checkpoint.dcp, "save", lambda *a, **k: real(*a, **k) if trainer.step < 6 else full())
    with pytest.raises(CheckpointError, match=r"The state after step 6 cannot be written .*No space left on device"):
        trainer.train()
    saved = checkpoint.latest(tmp_path / "checkpoints")
    assert saved is not None
    assert saved.step == 3
    assert not list((tmp_path / "checkpoints").glob(".*"))


def test_states_that_cannot_be_read_and_written_end_a_run_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prior_trainer(tmp_path, steps=3).train()
    monkeypatch.setattr(checkpoint.os, "access", lambda path, mode: path.name != "checkpoints")
    trainer = prior_trainer(tmp_path, steps=6)
    with pytest.raises(CheckpointError, match=r"checkpoints cannot be read and written \(Permission denied\); allow"):
        trainer.train()
    assert trainer.step == 0


def test_a_damaged_newest_state_is_passed_over(tmp_path: Path) -> None:
    prior_trainer(tmp_path, steps=6).train()
    newest = checkpoint.states(tmp_path / "checkpoints")[-1]
    file = next(newest.glob("*.distcp"))
    file.write_bytes(file.read_bytes()[:-10])
    saved = checkpoint.latest(tmp_path / "checkpoints")
    assert saved is not None
    assert saved.step == 3


def test_a_longer_run_goes_on_from_the_shorter_one(tmp_path: Path) -> None:
    prior_trainer(tmp_path / "parts", steps=5).train()
    longer = prior_trainer(tmp_path / "parts", steps=8)
    longer.train()
    whole = prior_trainer(tmp_path / "whole", steps=8)
    whole.train()
    assert digest(longer) == digest(whole)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch": 5, "micro_batch": 2}, "micro_batch is 2; expected a divisor of the batch, 5"),
        ({"keep": 0}, "keep"),
        ({"seed": 2**64}, "seed is 18446744073709551616; expected a number of 64 bits"),
    ],
)
def test_contradictory_settings_are_refused(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        prior_trainer(tmp_path, **settings)


def test_muon_trains_inner_matrices_and_adam_the_rest(tmp_path: Path) -> None:
    from jukebox.training.muon import optimizers
    from jukebox.training.optim import OptimizerConfig

    trainer = prior_trainer(tmp_path, steps=3)
    muon, adam = optimizers(trainer.task.module, replace(OptimizerConfig(), name="muon"))
    taken = {id(p) for g in muon.param_groups for p in g["params"]}
    names = {n for n, p in trainer.task.module.named_parameters() if id(p) in taken}
    assert "model.transformer.layers.0.attention.qkv.weight" in names
    assert not any("embedding" in name or name.endswith("encoder.output.weight") for name in names)
    assert len(adam.param_groups[0]["params"]) + len(names) == len(trainer.parameters)
