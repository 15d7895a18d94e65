"""Music by the prior that is being trained, for its log: one window under the conditions of a validation window."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from jukebox.prior.conditions import Conditions
    from jukebox.prior.prior import Prior
    from jukebox.training.loop import MakeSounds, Trainer

TEMPERATURE = 0.99


def generated(trainer: "Trainer") -> "MakeSounds | None":
    """What makes sound for the log, from the model that the run has exported last; None where no VQ-VAE decodes it."""
    from jukebox.checkpoints.load import load_prior, load_vqvae
    from jukebox.training.prior_task import PriorTask
    from jukebox.training.recipe import PriorRecipe
    from jukebox.training.task import Sound

    recipe, task, source = trainer.recipe, trainer.task, trainer.sources.validation or trainer.sources.training
    assert isinstance(recipe, PriorRecipe)
    assert isinstance(task, PriorTask)
    if recipe.vqvae is None:
        trainer.say("There will be no generated sound in the log; set vqvae to the model that decodes these codes.")
        return None
    vqvae = load_vqvae(recipe.vqvae)

    def make(step: int) -> list[Sound]:
        if not trainer.folder.model.is_dir():  # nothing is saved yet
            return []
        prior = load_prior(trainer.folder.model).to(task.device)
        item = source.take(0)
        codes = sample(prior, task.conditions([item]), seed=recipe.run.seed)
        level, rate = prior.config.level, vqvae.config.sample_rate
        found = {"generated": codes, "given": item.codes[None]}
        return [
            Sound(name=name, samples=vqvae.decode(c, level)[0].mean(0, keepdim=True).clamp(-1, 1), sample_rate=rate)
            for name, c in found.items()
        ]

    return make


def sample(prior: "Prior", conditions: "Conditions", seed: int) -> "torch.Tensor":
    """The codes [1, context] of one window; the prior is the sampling engine's afterwards."""
    import torch

    from jukebox.sampling.engine import Window, listened
    from jukebox.sampling.engines import engine_for
    from jukebox.sampling.noise import noise_key
    from jukebox.sampling.token import SamplingConfig

    engine, nothing = engine_for(prior, slots=1), torch.zeros(0, dtype=torch.int64)
    window = Window(
        conditions=conditions,
        known=nothing,
        replay=nothing,
        start=0,
        key=noise_key(seed, 0, prior.config.level),
        sampling=SamplingConfig(temperature=TEMPERATURE),
    )
    engine.begin(0, window)
    return listened(engine.run(prior.config.codes_context))
