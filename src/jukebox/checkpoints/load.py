"""From what a user names to a model that runs: a folder of ours, a foreign checkpoint, or a name."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from jukebox import presets
from jukebox.checkpoints import huggingface, layout, openai, store
from jukebox.checkpoints.cache import cache_folder
from jukebox.checkpoints.openai import Imported
from jukebox.config import VqvaeConfig
from jukebox.errors import CheckpointError
from jukebox.vqvae.vqvae import VQVAE

TINY = "tiny"


def load_vqvae(model: str | Path) -> VQVAE:
    """The VQ-VAE that `model` names, in evaluation mode on the CPU; its tensors are memory-mapped where possible.

    Args:
        model: a folder of ours (a VQ-VAE, or one with a `vqvae` folder in it), a Hugging Face folder, a `.pth.tar`
            file of the original, the name of a released model whose VQ-VAE is in the cache, or "tiny": random
            weights, always the same.

    Raises:
        CheckpointError: there is no such file or name, or it is damaged or not a VQ-VAE.
    """
    if str(model) == TINY:
        return tiny_vqvae()
    found = read_parts(locate(str(model)), _released_config(str(model))).get("vqvae")
    if found is None or not isinstance(found.config, VqvaeConfig):
        raise CheckpointError(f"{model} holds no VQ-VAE; name the folder or file of a VQ-VAE.")
    return build_vqvae(found.config, found.tensors)


def build_vqvae(config: VqvaeConfig, tensors: Mapping[str, Tensor]) -> VQVAE:
    """The module around these tensors, which are not copied."""
    with torch.device("meta"):
        module = VQVAE(config)
    module.load_state_dict(dict(tensors), assign=True)
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
        path: a folder of ours or of several of ours, a Hugging Face folder, or a `.pth.tar` file.
        config: what a `.pth.tar` file without hyper-parameters is.
    """
    if path.is_file():
        found = openai.read(path, config)
        return {huggingface.part_name(found.config): found}
    if not path.exists():
        raise CheckpointError(f"{path} does not exist; name a model folder, a .pth.tar file or a known model.")
    folders = [path] if store.is_checkpoint(path) else sorted(f for f in path.iterdir() if store.is_checkpoint(f))
    if folders:
        checkpoints = [store.load(folder) for folder in folders]
        return {
            huggingface.part_name(c.config): Imported(config=c.config, tensors=c.tensors, source=c.source)
            for c in checkpoints
        }
    if huggingface.is_layout(path):
        return huggingface.read(path)
    raise CheckpointError(f"{path} holds no model; expected a model folder of ours or of the Hugging Face layout.")


def locate(model: str) -> Path:
    """The path that a user's `model` stands for: an existing path, or the VQ-VAE of a released model in the cache."""
    if Path(model).exists() or model not in presets.RELEASED:
        if not Path(model).exists() and not any(mark in model for mark in "/\\."):
            presets.model(model)  # neither a path nor a name: say which names there are
        return Path(model)
    file = presets.model(model).files[0]
    path = cache_folder() / file.path
    if not path.is_file():
        raise CheckpointError(
            f"The VQ-VAE of {model} is not in {cache_folder()}; run `jukebox weights download {model} --parts vqvae`."
        )
    return path


def _released_config(model: str) -> layout.ModelConfig | None:
    """A released file's own hyper-parameters are those of its training; what it is, the presets say."""
    is_name = model in presets.RELEASED and not Path(model).exists()
    return presets.vqvae_config(model) if is_name else None
