"""The original's `.pth.tar` files (facts 6): read without executing anything, written so that the original reads them.

Despite the name they are no tar archives but dictionaries written by `torch.save`, in the serialisation of 2020
("legacy") or the newer zip. Both are memory-mapped (`legacy.py`).
"""

import pickle
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from jukebox.checkpoints import files, layout, legacy, openai_config
from jukebox.checkpoints.names import (
    Rule,
    Table,
    check_shapes,
    foreign_shapes,
    linear,
    plain,
    shapes_of,
    table,
    to_ours,
    to_theirs,
    transformer_rules,
)
from jukebox.config import PriorConfig, VqvaeConfig
from jukebox.errors import CheckpointError

_ZIP_MAGIC = b"PK\x03\x04"


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A model from a foreign file: our configuration, our tensors (views of the file), and where it came from."""

    config: layout.ModelConfig
    tensors: Mapping[str, Tensor]
    source: Mapping[str, Any]


def read(path: Path, config: layout.ModelConfig | None = None) -> Imported:
    """The VQ-VAE or prior in a `.pth.tar` file.

    Args:
        path: the file, in either serialisation, with or without a leading `module.` in its names.
        config: what it is; needed only when the file carries no hyper-parameters.

    Raises:
        CheckpointError: the file is missing, damaged, asks to run code, or does not belong to its configuration.
    """
    content = load_dictionary(path)
    model = content.get("model")
    if not isinstance(model, Mapping) or not all(isinstance(value, Tensor) for value in model.values()):
        raise CheckpointError(f"{path} holds no 'model' with tensors; expected a checkpoint of the original.")
    theirs = {released_spelling(name): tensor for name, tensor in model.items()}
    config = config or _config(path, content.get("hps"), theirs)
    places = name_table(config)
    check_shapes(shapes_of(theirs), foreign_shapes(layout.shapes(config), places), str(path))
    tensors = add_running_sums(to_ours(theirs, places, str(path)))
    source = {"format": "openai", "file": path.name, "bytes": path.stat().st_size, "step": content.get("step")}
    return Imported(config=config, tensors=tensors, source=source)


def write(
    path: Path,
    config: layout.ModelConfig,
    tensors: Mapping[str, Tensor],
    *,
    step: int | None = None,
    serialisation: Literal["zip", "legacy"] = "legacy",
) -> None:
    """Write a file that the original reads; the codebooks' running sums, which it does not store, are left out.

    Args:
        path: the `.pth.tar` file; it appears complete or not at all.
        config: the model's configuration.
        tensors: all of its tensors, under our names.
        step: the training step it came from.
        serialisation: "legacy" is what PyTorch 1.4, the original's version, reads.

    Raises:
        CheckpointError: the original cannot express this configuration.
    """
    if isinstance(config, VqvaeConfig):
        hps = openai_config.vqvae_hps(config)
    else:
        hps = openai_config.prior_hps(config)
    theirs = to_theirs(tensors, name_table(config))
    hps["fp16_params"] = any(tensor.dtype == torch.float16 for tensor in theirs.values())
    content = {
        "hps": hps,
        "model": OrderedDict((name, tensor.detach().contiguous()) for name, tensor in theirs.items()),
        "step": step if step is not None else 0,
    }
    with files.replacing(path) as temporary:
        torch.save(content, temporary, _use_new_zipfile_serialization=serialisation == "zip")


def load_dictionary(path: Path) -> Mapping[str, Any]:
    """The dictionary that `torch.save` wrote: tensors and plain values only, or it is refused."""
    try:
        with path.open("rb") as file:
            is_zip = file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); check the path.") from error
    try:
        # PyTorch's weights-only loader has the last word on what a legacy file is not to be.
        content = None if is_zip else legacy.read(path)
        content = content or torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        # PyTorch's text names the function; its advice to load the file anyway is not for our users.
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        found = f"asks for {wanted[1]!r}" if wanted else "is damaged or asks for something else"
        raise CheckpointError(
            f"{path} {found}, but a checkpoint needs nothing but tensors and plain values; "
            "it was refused and nothing in it was executed: get the file again from a source you trust."
        ) from None
    except Exception as error:  # a damaged pickle can fail in any way
        raise CheckpointError(
            f"{path} is damaged or no checkpoint ({type(error).__name__}); get the file again."
        ) from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path} holds a {type(content).__name__}; expected a dictionary with a 'model'.")
    return content


def name_table(config: layout.ModelConfig) -> Table:
    """The original's names of every tensor of this model."""
    rules = vqvae_rules(config) if isinstance(config, VqvaeConfig) else prior_rules(config)
    return table(layout.shapes(config), rules)


def vqvae_rules(config: VqvaeConfig) -> list[Rule]:
    """Stages keep their numbers; the closing convolution of an encoder stage is numbered after its steps."""
    encoder, decoder = "encoders.{L}.level_blocks.{S}.model", "decoders.{L}.level_blocks.{S}.model"
    ours_in, ours_out = "encoders.{L}.stages.{S}", "decoders.{L}.stages.{S}"
    rules = [
        *plain(f"{ours_in}.steps.{{I}}.downsample", f"{encoder}.{{I}}.0"),
        *_residual(f"{ours_in}.steps.{{I}}.blocks.{{J}}", f"{encoder}.{{I}}.1.model.{{J}}"),
        *plain(f"{ours_out}.input", f"{decoder}.0"),
        *_residual(f"{ours_out}.steps.{{I}}.blocks.{{J}}", f"{decoder}.{{I+1}}.0.model.{{J}}"),
        *plain(f"{ours_out}.steps.{{I}}.upsample", f"{decoder}.{{I+1}}.1"),
        *plain("decoders.{L}.output", "decoders.{L}.out"),
        Rule("codebooks.{L}.vectors", "bottleneck.level_blocks.{L}.k"),
    ]
    for stage, steps in enumerate(config.steps):
        theirs = f"encoders.{{L}}.level_blocks.{stage}.model.{steps}"
        rules += plain(f"encoders.{{L}}.stages.{stage}.output", theirs)
    return rules


def prior_rules(config: PriorConfig) -> list[Rule]:
    """The transformer, its labels, the conditioner on the level above, and a separate lyrics encoder."""
    conditioner = "conditioner_blocks.0.cond.model"
    rules = [
        *_transformer_rules("", "prior."),
        *_transformer_rules("lyrics_encoder.", "prime_prior."),
        Rule("output.weight", "prior.x_out.weight"),
        Rule("labels.artist.weight", "y_emb.artist_emb.emb.weight"),
        Rule("labels.genre.weight", "y_emb.bow_genre_emb.emb.weight"),
        Rule("labels.total_length.weight", "y_emb.total_length_emb.emb.weight"),
        Rule("labels.absolute_position.weight", "y_emb.absolute_pos_emb.emb.weight"),
        Rule("labels.relative_position.weight", "y_emb.relative_pos_emb.emb.weight"),
        Rule("upsampler.token_embedding.weight", "conditioner_blocks.0.x_emb.weight"),
        *plain("upsampler.input", f"{conditioner}.0"),
        *_residual("upsampler.steps.{I}.blocks.{J}", f"{conditioner}.{{I+1}}.0.blocks.{{J}}"),
        *plain("upsampler.steps.{I}.upsample", f"{conditioner}.{{I+1}}.1"),
        *plain("upsampler.norm", "conditioner_blocks.0.ln"),
        *linear("lyrics_encoder.projection", "prime_state_proj", "w", "b"),
        *plain("lyrics_encoder.norm", "prime_state_ln"),
        Rule("lyrics_encoder.output.weight", "prime_x_out.weight"),
    ]
    if config.tied_output:
        rules.append(Rule("token_embedding.weight", "prior.x_out.weight"))
    return rules


def released_spelling(name: str) -> str:
    """Without data-parallel's `module.`, and with the conditioner's residual blocks called `blocks`."""
    name = name.removeprefix("module.")
    return re.sub(r"^(conditioner_blocks\.\d+\.cond\.model\.\d+\.0)\.model\.", r"\1.blocks.", name)


def _residual(ours: str, theirs: str) -> tuple[Rule, ...]:
    return *plain(f"{ours}.dilated", f"{theirs}.model.1"), *plain(f"{ours}.pointwise", f"{theirs}.model.3")


def _transformer_rules(ours: str, theirs: str) -> list[Rule]:
    return transformer_rules(ours, theirs, embedding="x_emb", norm="ln", weight="w", bias="b")


def add_running_sums(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The codebooks' running sums, which foreign files lack: the vectors themselves, each counted once.

    The original restarts them so when it resumes (and scales both by the hits per step, which training knows).
    """
    sums = {}
    for name, vectors in tensors.items():
        if name.startswith("codebooks.") and name.endswith(".vectors"):
            codebook = name.removesuffix(".vectors")
            sums[f"{codebook}.ema_sum"] = vectors.clone()
            sums[f"{codebook}.ema_count"] = torch.ones(len(vectors), dtype=vectors.dtype)
    return {**tensors, **sums}


def _config(path: Path, hps: object, theirs: Mapping[str, Tensor]) -> layout.ModelConfig:
    if not isinstance(hps, Mapping):
        raise CheckpointError(
            f"{path} carries no hyper-parameters; say what it is with "
            "`jukebox weights import ... --config`, for example --config 5b/vqvae."
        )
    if "prior.x_emb.weight" in theirs:
        return openai_config.prior_config(hps, shapes_of(theirs))
    return openai_config.vqvae_config(hps)
