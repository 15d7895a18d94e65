"""From what a user names to a model that runs: a folder of ours, a foreign checkpoint, or a name."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from jukebox import presets
from jukebox.cache import cache_folder
from jukebox.checkpoints import huggingface, layout, openai, store
from jukebox.checkpoints.openai import Imported
from jukebox.config import PriorConfig, VqvaeConfig
from jukebox.errors import CheckpointError, ConfigError
from jukebox.nn.quantised import Reduced
from jukebox.nn.unallocated import unallocated
from jukebox.prior.prior import Prior
from jukebox.vqvae.vqvae import VQVAE

TINY = "tiny"


def load_vqvae(model: str | Path) -> VQVAE:
    """The VQ-VAE that `model` names, in float32 and evaluation mode on the CPU; memory-mapped where possible.

    Args:
        model: a folder of ours (a VQ-VAE, or one with a `vqvae` folder in it), a Hugging Face folder, a `.pth.tar`
            file of the original, the name of a released model whose VQ-VAE is in the cache, "mini", or "tiny" (also
            "tiny-random"): random weights, always the same.

    Raises:
        CheckpointError: there is no such file or name, or it is damaged or not a VQ-VAE.
    """
    if str(model) in (TINY, presets.TINY_RANDOM):
        return tiny_vqvae()
    found = find_part(str(model), "vqvae").get("vqvae")
    if found is None or not isinstance(found.config, VqvaeConfig):
        raise CheckpointError(f"{model} holds no VQ-VAE; name the folder or file of a VQ-VAE.")
    return build_vqvae(found.config, found.tensors)


def load_prior(model: str | Path, level: int | None = None, *, dtype: torch.dtype = torch.float32) -> Prior:
    """The prior of one level, in evaluation mode on the CPU; tensors of `dtype` are memory-mapped where possible.

    Args:
        model: a folder of ours (a prior, or one with several in it), a Hugging Face folder, a `.pth.tar` file of the
            original, "mini", or the name of a released model whose prior is in the cache.
        level: 0 is the finest; None for the coarsest there is.
        dtype: of all parameters; released matrices are stored in half precision.

    Raises:
        CheckpointError: there is no such file, name or level, or it is damaged or not a prior.
    """
    found = find_prior(model, level)
    config, tensors = found.config, dict(found.tensors)
    assert isinstance(config, PriorConfig)
    del found
    return _built(config, tensors, dtype)


def find_prior(model: str | Path, level: int | None = None) -> Imported:
    """The configuration and the stored tensors of the prior that `load_prior` would load; raises as it does."""
    name = str(model)
    if name in presets.RELEASED and level is None:
        level = len(presets.model(name).priors) - 1
    parts = find_part(name, f"prior_level_{level}")
    levels = sorted(found.config.level for found in parts.values() if isinstance(found.config, PriorConfig))
    if not levels or (level is not None and level not in levels):
        what = "no prior" if level is None else f"no prior of level {level}"
        held = f"; it holds those of levels {', '.join(map(str, levels))}" if levels else ""
        raise CheckpointError(f"{model} holds {what}{held}: name the folder or file of a prior.")
    return parts[f"prior_level_{levels[-1] if level is None else level}"]


def first_layers(found: Imported, depth: int) -> Prior:
    """The beginning of a prior, its tensors as they are stored: what is memory-mapped stays so, the rest is let go.

    Args:
        found: what `find_prior` gives.
        depth: how many layers, for `Prior.hidden_states`.
    """
    assert isinstance(found.config, PriorConfig)
    with unallocated():
        module = Prior(found.config, depth=depth)
    module.load_state_dict({name: found.tensors[name] for name in module.state_dict()}, assign=True)
    return module.eval()


def find_part(model: str, part: str) -> dict[str, Imported]:
    """What is at the place of one part of a model, by the names of parts: of a released model that part alone."""
    return read_parts(locate(model, part), _released_config(model, part))


def build_prior(config: PriorConfig, tensors: Mapping[str, Tensor], dtype: torch.dtype | None = torch.float32) -> Prior:
    """The module around these tensors; those of another type are copied, the rest are not.

    Matrices in few bits, and what their numbers stand for, keep their types; so does everything for None.
    """
    return _built(config, dict(tensors), dtype)


def _built(config: PriorConfig, tensors: dict[str, Tensor], dtype: torch.dtype | None) -> Prior:
    """The same; the dictionary is emptied, for what is copied lets go of its part of the file at once."""
    with unallocated():
        module = Prior(config)
    kept = {
        f"{name}.{part}"
        for name, inner in module.named_modules()
        if isinstance(inner, Reduced)
        for part in ("weight", *inner.steps)
    }
    found = {}
    for name in sorted(tensors):
        tensor = tensors.pop(name)
        found[name] = tensor if dtype is None or name in kept else tensor.to(dtype)
    module.load_state_dict(found, assign=True)
    return module.eval()


def check_whole(config: layout.ModelConfig, where: str | Path, done: str) -> None:
    """Raise CheckpointError where matrices are in few bits, which cannot be `done` ("trained", "exported")."""
    bits = config.matrix_bits if isinstance(config, PriorConfig) else None
    if bits is not None:
        raise CheckpointError(
            f"{where} has its matrices in {bits} bits, which is for songs alone and cannot be {done}; name the model "
            "that it was packed from."
        )


def build_vqvae(config: VqvaeConfig, tensors: Mapping[str, Tensor]) -> VQVAE:
    """The module around these tensors, in float32; those that are so already are not copied."""
    with unallocated():
        module = VQVAE(config)
    module.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
    return module.eval()


def tiny_vqvae() -> VQVAE:
    """The random test model; its codebooks are latents of noise, so that many codes occur."""
    config = presets.vqvae_config(TINY)
    random = torch.Generator().manual_seed(presets.TINY_SEED)
    # Convolutions that keep the size of the signal, without biases: silence is not drowned by constants.
    tensors = {
        name: torch.randn(shape, generator=random) / torch.Size(shape[1:]).numel() ** 0.5
        if len(shape) > 1
        else torch.zeros(shape)
        for name, shape in layout.shapes(config).items()
    }
    module = build_vqvae(config, tensors)
    noise = torch.randn(1, config.channels, config.codebook.size * config.hops[-1], generator=random) / 4
    with torch.no_grad():
        for level in range(config.levels):
            latents = module.latents(noise, level)[0]
            tensors[f"codebooks.{level}.vectors"] = latents[:: len(latents) // config.codebook.size].clone()
    return build_vqvae(config, openai.add_running_sums(tensors))


def read_parts(path: Path, config: layout.ModelConfig | None = None) -> dict[str, Imported]:
    """Every model found at `path`, by part name: "vqvae", "prior_level_2", ...

    Args:
        path: a folder of ours, of several of ours or of their runs, a Hugging Face folder, or a `.pth.tar` file.
        config: what a `.pth.tar` file without hyper-parameters is.
    """
    if path.is_file():
        found = openai.read(path, config)
        return {huggingface.part_name(found.config): found}
    if not path.exists():
        raise CheckpointError(f"{path} does not exist; name a model folder, a .pth.tar file or a known model.")
    if folders := part_folders(path):
        checkpoints = {part: store.load(folder) for part, folder in folders.items()}
        return {
            part: Imported(config=found.config, tensors=found.tensors, source=found.source)
            for part, found in checkpoints.items()
        }
    if huggingface.is_layout(path):
        return huggingface.read(path)
    raise CheckpointError(f"{path} holds no model; expected a model folder of ours or of the Hugging Face layout.")


def part_folders(path: Path) -> dict[str, Path]:
    """The folders of ours that a folder stands for, by part name; raises CheckpointError where two are the same."""
    found = dict[str, Path]()
    for folder in store.checkpoints_in(path):
        part = huggingface.part_name(store.load(folder).config)
        if part in found:
            raise CheckpointError(
                f"{found[part]} and {folder} are both a {part}; copy those that belong together into a folder of "
                "their own, or name one of them."
            )
        found[part] = folder
    return found


def locate(model: str, part: str = "vqvae") -> Path:
    """The path that a user's `model` stands for: mini's, one that exists, or a released model's part in the cache."""
    if model == presets.MINI:
        if not store.checkpoints_in(presets.MINI_FOLDER):
            raise CheckpointError(
                f"The weights of mini are not in this installation ({presets.MINI_FOLDER}); name another model, as in "
                f"--model {presets.TINY_RANDOM}."
            )
        return presets.MINI_FOLDER
    if Path(model).exists() or model not in presets.RELEASED:
        if not Path(model).exists() and not any(mark in model for mark in "/\\."):
            # Neither a path nor a name: say which names there are.
            raise ConfigError(f"There is no folder or file {model!r} here. {presets.unknown_model(model)}")
        return Path(model)
    file, _ = _released(model, part)
    path = cache_folder() / file.path
    if not path.is_file():
        raise CheckpointError(
            f"The {part} of {model} is not in {cache_folder()}; run `jukebox weights download {model} --parts {part}`."
        )
    return path


def _released_config(model: str, part: str) -> layout.ModelConfig | None:
    """A released file's own hyper-parameters are those of its training; what it is, the presets say."""
    is_name = model in presets.RELEASED and not Path(model).exists()
    return _released(model, part)[1] if is_name else None


def _released(model: str, part: str) -> tuple[presets.ReleasedFile, layout.ModelConfig]:
    """The file and configuration of a part of a released model."""
    released = presets.model(model)
    parts = ["vqvae", *(f"prior_level_{prior.level}" for prior in released.priors)]
    if part not in parts:
        raise CheckpointError(f"{model} has no {part}; its parts are {', '.join(parts)}.")
    index = parts.index(part)
    return released.files[index], (released.vqvae, *released.priors)[index]
