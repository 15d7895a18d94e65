"""One step of a VQ-VAE: reconstruct windows of sound, then teach the codebooks by moving averages."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from jukebox.checkpoints import store
from jukebox.training import shared_codebook
from jukebox.training.finetune import merged_tensors
from jukebox.training.randomness import generator_for
from jukebox.training.recipe import VqvaeRecipe
from jukebox.training.source import Source
from jukebox.training.task import Loss, Sound
from jukebox.training.workers import Workers
from jukebox.vqvae.codebook_ema import restored_state
from jukebox.vqvae.losses import Bandwidth, measure_bandwidth
from jukebox.vqvae.vqvae import VQVAE, Codebook, VqvaeOutput

Audio = Float[Tensor, "batch channels samples"]


@runtime_checkable
class SoundItem(Protocol):
    """A window of sound."""

    @property
    def sound(self) -> Float[Tensor, "channels samples"]:
        """float32 in [-1, 1]."""
        ...


class VqvaeStep(nn.Module):
    """The model with its loss: what is sharded and compiled as a whole. A level of which nothing learns is left out."""

    def __init__(self, model: VQVAE) -> None:
        super().__init__()
        self.model = model
        parts = zip(model.encoders, model.codebooks, model.decoders, strict=True)
        learns = [any(p.requires_grad for part in level for p in part.parameters()) for level in parts]
        self.levels = tuple(level for level, learning in enumerate(learns) if learning)

    def forward(
        self, audio: Audio, bandwidth: Bandwidth | None, recompute: bool = False
    ) -> tuple[Tensor, VqvaeOutput | list[Tensor]]:
        """The loss and what it was made of; without a bandwidth the latents of every level alone."""
        if bandwidth is None:
            latents = [self.model.latents(audio, level) for level in range(self.model.config.levels)]
            return latents[0], latents
        output = self.model(audio, bandwidth, levels=self.levels, recompute=recompute)
        return output.loss, output


class VqvaeTask:
    """Training of a VQ-VAE.

    Args:
        model: with random weights, or those to go on from.
        recipe: how it is trained.
        device: where it computes.
        bandwidth: of the data; measured by `bandwidth_of`.
    """

    def __init__(self, model: VQVAE, recipe: VqvaeRecipe, bandwidth: Bandwidth, device: torch.device) -> None:
        self.model, self.recipe, self.bandwidth, self.device = model.train(), recipe, bandwidth, device
        step = VqvaeStep(self.model)
        self.module: nn.Module = step
        self.levels = step.levels
        learns = model.config.quantise and model.config.codebook.learning == "ema"
        # Where the encoder is frozen its codes shall stay what they are: a decoder alone goes on for the same tokens.
        self._learns = [learns and any(p.requires_grad for p in part.parameters()) for part in model.encoders]
        self._seen: list[list[tuple[Tensor, Tensor]]] = [[] for _ in range(model.config.levels)]
        self.samples = 0

    @property
    def units(self) -> tuple[str, int]:
        """Samples of sound."""
        return "samples", self.samples

    def prepare(self, items: Sequence[SoundItem], workers: Workers) -> None:
        """First codebooks from the latents of the first batch, or the running sums of a model without any.

        A model to go on from has the vectors; its counts begin as if every code were used equally (facts 2.4).
        """
        self.samples = items[0].sound.shape[-1]
        if not self.model.config.quantise:
            return
        config = self.model.config.codebook
        rows: list[list[Tensor]] = [[] for _ in range(self.model.config.levels)]
        size = self.recipe.run.micro_batch or len(items)
        with torch.no_grad():
            for first in range(0, len(items), size):
                latents = self.module(self._audio(items[first : first + size]), None)[1]
                for level, found in enumerate(latents):
                    rows[level].append(found.flatten(0, 1).float())
        for level, found in enumerate(rows):
            codebook, all_rows = cast(Codebook, self.model.codebooks[level]), torch.cat(found)
            if codebook.initialised:
                shared_codebook.write(codebook, restored_state(codebook.vectors, len(all_rows) * workers.count))
            else:
                generator = generator_for(self.recipe.run.seed, "codebook", level)
                shared_codebook.start(codebook, all_rows, config, generator, workers)

    def loss(self, items: Sequence[SoundItem], first: int, *, training: bool) -> Loss:
        """The losses of all levels that learn together; `first` is not needed, nothing is drawn."""
        audio = self._audio(items)
        self.samples = audio.shape[-1]
        total, output = self.module(audio, self.bandwidth, self.recipe.run.recompute and training)
        assert isinstance(output, VqvaeOutput)
        metrics: dict[str, Tensor] = {}
        for level, found in zip(self.levels, output.levels, strict=True):
            for name in ("waveform_loss", "spectral_loss", "multispectral_loss", "commit_loss"):
                metrics[f"level_{level}/{name}"] = getattr(found, name).detach()
            if training and self._learns[level] and found.codes is not None:
                self._seen[level].append((found.latents.detach().flatten(0, 1).float(), found.codes.flatten()))
            elif found.codes is not None:
                used = torch.bincount(found.codes.flatten(), minlength=self.model.config.codebook.size)
                metrics[f"level_{level}/codes_used"] = (used > 0).sum().float()
        return Loss(total=total, metrics=metrics)

    def finish(self, step: int, workers: Workers) -> dict[str, float]:
        """Teach the codebooks."""
        watched: dict[str, float] = {}
        config = self.model.config.codebook
        for level, seen in enumerate(self._seen):
            if not seen:
                continue
            rows, codes = (torch.cat(parts) for parts in zip(*seen, strict=True))
            generator = generator_for(self.recipe.run.seed, "restart", step, level)
            codebook = cast(Codebook, self.model.codebooks[level])
            found = shared_codebook.learn(codebook, rows, codes, config, generator, workers)
            watched |= {
                f"level_{level}/codebook_entropy_bits": found.entropy / 0.6931471805599453,
                f"level_{level}/codebook_used": float(found.used),
                f"level_{level}/codebook_alive": float(found.alive),
                f"level_{level}/codebook_movement": found.movement,
                f"level_{level}/latent_spread": found.spread,
                f"level_{level}/quantisation_distance": found.distance,
            }
        self.abandon()
        return watched

    def abandon(self) -> None:
        """Forget the latents of this step."""
        for seen in self._seen:
            seen.clear()

    def facts(self) -> dict[str, Any]:
        """The bandwidth."""
        return {"bandwidth": {name: getattr(self.bandwidth, name) for name in ("l1", "l2", "spectral")}}

    def restore(self, facts: Mapping[str, Any]) -> None:
        """The bandwidth as it was measured when the run began."""
        self.bandwidth = Bandwidth(**facts["bandwidth"])

    def export(self, folder: Path, source: Mapping[str, Any], workers: Workers) -> None:
        """A folder that `load_vqvae` opens."""
        tensors = merged_tensors(self.model, workers)
        if workers.first:
            store.save(folder, tensors, self.model.config, source=source)

    @torch.no_grad()
    def sounds(self, items: Sequence[SoundItem]) -> list[Sound]:
        """The first window, and what each level that learns makes of it."""
        audio, rate = self._audio(items[:1]), self.model.config.sample_rate
        _, output = self.module(audio, self.bandwidth)
        assert isinstance(output, VqvaeOutput)
        found = [Sound(name="original", samples=audio[0].mean(0, keepdim=True).cpu(), sample_rate=rate)]
        for level, part in zip(self.levels, output.levels, strict=True):
            samples = part.reconstruction[0].mean(0, keepdim=True).float().clamp(-1, 1).cpu()
            found.append(Sound(name=f"level_{level}", samples=samples, sample_rate=rate))
        return found

    def _audio(self, items: Sequence[SoundItem]) -> Audio:
        return torch.stack([item.sound for item in items]).to(self.device)


def bandwidth_of(source: Source[SoundItem], seconds: float, sample_rate: int, emphasis: float = 0.0) -> Bandwidth:
    """The mean bandwidth of about so many seconds of the source as losses hear it, at most an epoch (facts 2.3)."""
    found: list[Bandwidth] = []
    left = seconds * sample_rate
    for index in range(len(source)):
        sound = source.take(index).sound
        found.append(measure_bandwidth(sound[None], emphasis))
        left -= sound.shape[-1]
        if left <= 0:
            break
    names = ("l1", "l2", "spectral")
    return Bandwidth(**{name: sum(getattr(b, name) for b in found) / len(found) for name in names})
