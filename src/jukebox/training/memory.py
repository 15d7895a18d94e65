"""What a run takes of each device's memory, found out without that memory: the model is run on tensors that are not.

A forward pass on fake tensors shows every tensor that is kept for the gradient; weights, gradients and moments are
counted. `tests/training/test_memory.py` compares with what a real step takes.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from jukebox import presets
from jukebox.checkpoints import store
from jukebox.config import PriorConfig, VqvaeConfig
from jukebox.nn.conv1d import ResidualBlock
from jukebox.nn.unallocated import unallocated
from jukebox.prior.conditions import Conditions
from jukebox.prior.label_conditioner import LabelTensors
from jukebox.prior.prior import Prior
from jukebox.prior.transformer import Layer
from jukebox.training.finetune import freeze
from jukebox.training.muon import inner_matrices
from jukebox.training.prior_task import PriorStep
from jukebox.training.recipe import PriorRecipe, Recipe, VqvaeRecipe
from jukebox.training.shard import units
from jukebox.training.vqvae_task import VqvaeStep
from jukebox.vqvae.losses import Bandwidth
from jukebox.vqvae.vqvae import VQVAE

BLOCKS = (Layer, ResidualBlock)
"""What is computed again for the gradient where a recipe says so."""


_COUNTED = 4
"""Windows that are counted one by one; a mistake of some zeros in a recipe is said as fast as anything else."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes on each device, and how many parameters there are in all.

    weights: the device's share, and with several devices one gathered unit; gradients, moments, average: the share of
    those that are trained; activations: what is kept for the gradient; workspace: what the widest operation and its
    gradient take beside that.
    """

    parameters: int
    trained: int
    weights: int
    gradients: int
    moments: int
    average: int
    activations: int
    workspace: int

    @property
    def total(self) -> int:
        """All of it together."""
        parts = (self.weights, self.gradients, self.moments, self.average, self.activations, self.workspace)
        return sum(parts)


def of_vqvae(recipe: VqvaeRecipe, devices: int) -> Memory:
    """The memory of a VQ-VAE's run on so many devices."""
    config = recipe.model or _known_config(recipe, None)
    assert isinstance(config, VqvaeConfig)
    with _fake():
        model = VQVAE(config)
        if recipe.finetune is not None:
            freeze(model, recipe.finetune, recipe.run.seed)
        step = VqvaeStep(model)
        windows = _windows(recipe, devices)
        sound = torch.zeros(min(windows, _COUNTED), config.channels, recipe.data.crops.length_samples)
        return _of_windows(_measured(recipe, step, devices, lambda: step(sound, Bandwidth())[0]), windows)


def of_prior(recipe: PriorRecipe, level: int | None, devices: int) -> Memory:
    """The memory of a prior's run on so many devices; of a released model nothing needs to be there."""
    config = recipe.model or _known_config(recipe, level)
    assert isinstance(config, PriorConfig)
    with _fake():
        model = Prior(config)
        if recipe.finetune is not None:
            freeze(model, recipe.finetune, recipe.run.seed)
        step, windows = PriorStep(model, recipe.alignment), _windows(recipe, devices)
        counted = min(windows, _COUNTED)
        codes, conditions = torch.zeros(counted, config.codes_context, dtype=torch.int64), _conditions(config, counted)
        sung = torch.zeros(*codes.shape, 2, dtype=torch.int64)
        return _of_windows(_measured(recipe, step, devices, lambda: step(codes, conditions, sung)[0]), windows)


def _known_config(recipe: Recipe, level: int | None) -> PriorConfig | VqvaeConfig:
    """What the model of a fine-tune is, without its weights."""
    assert recipe.finetune is not None
    name, wants_prior = recipe.finetune.model, isinstance(recipe, PriorRecipe)
    if name in presets.RELEASED:
        released = presets.model(name)
        return released.priors[-1 if level is None else level] if wants_prior else released.vqvae
    path = Path(name)
    if store.is_checkpoint(path):
        return store.load(path).config
    from jukebox.checkpoints.load import find_prior, load_vqvae

    if not wants_prior:
        return load_vqvae(name).config
    found = find_prior(name, level).config
    assert isinstance(found, PriorConfig)
    return found


def _conditions(config: PriorConfig, windows: int) -> Conditions:
    def zeros(*shape: int) -> Tensor:
        return torch.zeros(windows, *shape, dtype=torch.int64)

    labels, above = None, config.upsampler
    if config.labels is not None:
        fields = {name: zeros() for name in ("offset_samples", "window_length_samples", "artist_ids")}
        genres = zeros(config.labels.genre_slots)
        labels = LabelTensors(total_length_samples=zeros() + 1, genre_ids=genres, **fields)
    return Conditions(
        labels=labels,
        lyrics=zeros(config.lyrics.tokens) if config.lyrics is not None else None,
        codes_above=zeros(config.codes_context // above.stride**above.steps) if above is not None else None,
    )


@contextlib.contextmanager
def _fake() -> Iterator[None]:
    """Tensors made inside have a shape, a type and a device, and no memory."""
    with FakeTensorMode(allow_non_fake_inputs=True), unallocated("cpu"):
        yield


def _of_windows(found: Memory, windows: int) -> Memory:
    """What was counted for `_COUNTED` windows, for more of them: each keeps as much as another."""
    if windows <= _COUNTED:
        return found
    activations, workspace = (amount * windows // _COUNTED for amount in (found.activations, found.workspace))
    return replace(found, activations=activations, workspace=workspace)


def _windows(recipe: Recipe, devices: int) -> int:
    """How many windows a device computes at once."""
    own = max(1, recipe.run.batch // devices)
    return min(own, recipe.run.micro_batch or own)


def _measured(recipe: Recipe, step: nn.Module, devices: int, loss: Callable[[], Tensor]) -> Memory:
    tensors = list(step.parameters()) + list(step.buffers())
    trained = [p for p in step.parameters() if p.requires_grad]
    weights, learnt = sum(map(_bytes, tensors)), sum(4 * p.numel() for p in trained)
    gathered = 0
    if devices > 1:
        # Beside its share a device has one unit whole, and the next one on its way.
        sizes = [sum(_bytes(p) for p in unit.parameters()) for unit in units(step)]
        rest = weights - sum(sizes)
        half = 2 if recipe.run.precision == "bfloat16" else 1
        gathered = (2 * max(sizes, default=0) + rest) // half
    kept = _Kept(step)
    half = recipe.run.precision == "bfloat16"
    with kept.watching(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        loss()
    # Muon keeps one moment of what it takes, Adam two.
    once = {id(p) for p in inner_matrices(step)} if recipe.optimizer.name == "muon" else set()
    moments = sum(4 * p.numel() * (1 if id(p) in once else 2) for p in trained)
    return Memory(
        parameters=sum(t.numel() for t in tensors if t.ndim > 1 or t.dtype != torch.int8),
        trained=sum(p.numel() for p in trained),
        weights=weights // devices + gathered,
        gradients=learnt // devices,
        moments=moments // devices,
        average=learnt // devices if recipe.run.average_decay is not None else 0,
        activations=kept.recomputed() if recipe.run.recompute else kept.total,
        workspace=2 * kept.largest,
    )


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


class _Kept:
    """Adds up what is kept for the gradient, once for each storage, and block by block."""

    def __init__(self, step: nn.Module) -> None:
        own = [*step.parameters(), *step.buffers()]
        self._known = {tensor.untyped_storage()._cdata for tensor in own}
        self._alive: list[Any] = own  # so that no storage takes the place of one that was counted
        self._blocks = [part for part in step.modules() if isinstance(part, BLOCKS)]
        self._inside: list[int] = []
        self.total = self.largest = self._inputs = 0
        self._by_block: list[int] = []

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Count what a forward pass inside keeps."""
        handles = [block.register_forward_pre_hook(self._enter) for block in self._blocks]
        handles += [block.register_forward_hook(self._leave) for block in self._blocks]
        try:
            with saved_tensors_hooks(self._keep, lambda tensor: tensor):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def recomputed(self) -> int:
        """What is kept when blocks are computed again: their inputs, and the widest of them while it is."""
        return self.total - sum(self._by_block) + self._inputs + max(self._by_block, default=0)

    def _enter(self, block: nn.Module, arguments: tuple[Any, ...]) -> None:
        self._inputs += _bytes(arguments[0])
        self._inside.append(0)

    def _leave(self, block: nn.Module, arguments: tuple[Any, ...], result: Any) -> None:
        self._by_block.append(self._inside.pop())

    def _keep(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._known:
            self._known.add(storage._cdata)
            self._alive.append(tensor)
            size = storage.nbytes()
            self.total, self.largest = self.total + size, max(self.largest, size)
            if self._inside:
                self._inside[-1] += size
        return tensor
