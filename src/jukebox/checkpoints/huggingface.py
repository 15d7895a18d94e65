"""The Hugging Face layout: a folder with `config.json` and one model of VQ-VAE and priors (facts 6.1).

Tensors are in `model.safetensors` or pickle shards; shards are read with the weights-only loader. Prior `N` of
the list is our level `top - N`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from jukebox.checkpoints import files, huggingface_config, layout, tensor_file
from jukebox.checkpoints.files import Progress, silent
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
from jukebox.checkpoints.openai import Imported, add_running_sums, load_dictionary
from jukebox.config import PriorConfig, VqvaeConfig
from jukebox.errors import CheckpointError

CONFIG = "config.json"
_WHOLE = ("model.safetensors", "pytorch_model.bin")


def is_layout(folder: Path) -> bool:
    """Whether this looks like such a folder: a configuration of a `jukebox` model, which ours never names so."""
    try:
        values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and values.get("model_type") == "jukebox"


def read(folder: Path) -> dict[str, Imported]:
    """Every part of the model: "vqvae" and "prior_level_L".

    Raises:
        CheckpointError: a file is missing or damaged, asks to run code, or the tensors do not fit `config.json`.
    """
    values = _read_json(folder / CONFIG)
    theirs = _read_tensors(folder)
    if not isinstance(values.get("vqvae_config"), dict) or not isinstance(values.get("prior_config_list"), list):
        raise CheckpointError(f"{folder / CONFIG} lacks vqvae_config and prior_config_list; get the folder again.")
    vqvae = huggingface_config.vqvae_config(values["vqvae_config"])
    configs: dict[str, layout.ModelConfig] = {"vqvae.": vqvae}
    for place, prior in enumerate(values["prior_config_list"]):
        prefix = f"priors.{place}."
        shapes = shapes_of(_part(theirs, prefix))
        configs[prefix] = huggingface_config.prior_config(prior, vqvae.levels - 1 - place, shapes)
    tables = {prefix: name_table(config) for prefix, config in configs.items()}
    theirs = _with_tied(theirs, tables)
    expected = {
        prefix + name: shape
        for prefix, places in tables.items()
        for name, shape in foreign_shapes(layout.shapes(configs[prefix]), places).items()
    }
    check_shapes(shapes_of(theirs), expected, str(folder))
    source = {"format": "huggingface", "folder": folder.resolve().name}
    return {
        part_name(config): Imported(
            config=config,
            tensors=add_running_sums(to_ours(_part(theirs, prefix), tables[prefix], str(folder))),
            source=source,
        )
        for prefix, config in configs.items()
    }


def write(
    folder: Path,
    parts: Mapping[str, tuple[layout.ModelConfig, Mapping[str, Tensor]]],
    progress: Progress = silent,
) -> None:
    """Write a folder that `JukeboxModel.from_pretrained` reads; it appears complete or not at all.

    Args:
        folder: the folder to create.
        parts: configuration and tensors (under our names) of "vqvae" and of every level's "prior_level_L".
        progress: called with (bytes done, bytes in all).

    Raises:
        CheckpointError: a part is missing, or the layout cannot express one.
    """
    if folder.exists():
        raise CheckpointError(f"{folder} exists already; name another folder or remove it.")
    vqvae = parts.get("vqvae", (None, {}))[0]
    if not isinstance(vqvae, VqvaeConfig):
        raise CheckpointError("A model in the Hugging Face layout needs its VQ-VAE; import that first.")
    order = ["vqvae", *(f"prior_level_{level}" for level in reversed(range(vqvae.levels)))][: len(parts)]
    if set(parts) != set(order):
        found = ", ".join(sorted(parts))
        raise CheckpointError(f"The model has {found}; the Hugging Face layout needs {', '.join(order)} (top first).")
    priors = [parts[name][0] for name in order[1:]]
    values = huggingface_config.model_values(vqvae, [p for p in priors if isinstance(p, PriorConfig)])
    theirs: dict[str, Tensor] = {}
    for place, name in enumerate(order):
        prefix = "vqvae." if place == 0 else f"priors.{place - 1}."
        config, tensors = parts[name]
        theirs |= {prefix + key: tensor for key, tensor in to_theirs(tensors, name_table(config)).items()}
    with files.replacing_folder(folder) as temporary:
        tensor_file.write(temporary / _WHOLE[0], theirs, progress)
        (temporary / CONFIG).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def part_name(config: layout.ModelConfig) -> str:
    """The name of a model's folder beside the other parts of the same song machine."""
    return "vqvae" if isinstance(config, VqvaeConfig) else f"prior_level_{config.level}"


def name_table(config: layout.ModelConfig) -> Table:
    """Their names, without the part's prefix, of every tensor of this model."""
    rules = vqvae_rules() if isinstance(config, VqvaeConfig) else prior_rules(config)
    return table(layout.shapes(config), rules)


def vqvae_rules() -> list[Rule]:
    """Strided convolutions and residual stacks alternate in one list."""
    encoder, decoder = "encoders.{L}.level_blocks.{S}", "decoders.{L}.level_blocks.{S}"
    ours_in, ours_out = "encoders.{L}.stages.{S}", "decoders.{L}.stages.{S}"
    return [
        *plain(f"{ours_in}.steps.{{I}}.downsample", f"{encoder}.downsample_block.{{2I}}"),
        *_residual(f"{ours_in}.steps.{{I}}.blocks.{{J}}", f"{encoder}.downsample_block.{{2I+1}}"),
        *plain(f"{ours_in}.output", f"{encoder}.proj_out"),
        *plain(f"{ours_out}.input", f"{decoder}.proj_in"),
        *_residual(f"{ours_out}.steps.{{I}}.blocks.{{J}}", f"{decoder}.upsample_block.{{2I}}"),
        *plain(f"{ours_out}.steps.{{I}}.upsample", f"{decoder}.upsample_block.{{2I+1}}"),
        *plain("decoders.{L}.output", "decoders.{L}.out"),
        Rule("codebooks.{L}.vectors", "bottleneck.level_blocks.{L}.codebook"),
    ]


def prior_rules(config: PriorConfig) -> list[Rule]:
    """The transformer, its labels, the conditioner on the level above, and a separate lyrics encoder."""
    labels, upsampler = "metadata_embedding", "conditioner_blocks.upsampler"
    rules = [
        *_transformer_rules("", "prior."),
        *_transformer_rules("lyrics_encoder.", "encoder."),
        Rule("output.weight", "prior.fc_proj_out.weight"),
        Rule("labels.artist.weight", f"{labels}.artist_emb.weight"),
        Rule("labels.genre.weight", f"{labels}.bow_genre_emb.weight"),
        Rule("labels.total_length.weight", f"{labels}.total_length_emb.emb.weight"),
        Rule("labels.absolute_position.weight", f"{labels}.absolute_pos_emb.emb.weight"),
        Rule("labels.relative_position.weight", f"{labels}.relative_pos_emb.emb.weight"),
        Rule("upsampler.token_embedding.weight", "conditioner_blocks.embed_tokens.weight"),
        *plain("upsampler.input", f"{upsampler}.proj_in"),
        *_residual("upsampler.steps.{I}.blocks.{J}", f"{upsampler}.upsample_block.{{2I}}"),
        *plain("upsampler.steps.{I}.upsample", f"{upsampler}.upsample_block.{{2I+1}}"),
        *plain("upsampler.norm", "conditioner_blocks.layer_norm"),
        *linear("lyrics_encoder.projection", "encoder.proj_in", "weight", "bias"),
        *plain("lyrics_encoder.norm", "encoder.final_layer_norm"),
        Rule("lyrics_encoder.output.weight", "encoder.lm_head.weight"),
    ]
    if config.tied_output:
        rules.append(Rule("token_embedding.weight", "prior.fc_proj_out.weight"))
    return rules


def _residual(ours: str, theirs: str) -> tuple[Rule, ...]:
    block = f"{theirs}.resnet_block.{{J}}"
    return *plain(f"{ours}.dilated", f"{block}.conv1d_1"), *plain(f"{ours}.pointwise", f"{block}.conv1d_2")


def _transformer_rules(ours: str, theirs: str) -> list[Rule]:
    return transformer_rules(ours, theirs, embedding="embed_tokens", norm="layer_norm", weight="weight", bias="bias")


def _with_tied(theirs: Mapping[str, Tensor], tables: Mapping[str, Table]) -> dict[str, Tensor]:
    """Both names of tied matrices: the library writes only one of them to safetensors."""
    tied = [[prefix + p.name for p in found] for prefix, places in tables.items() for found in places.values()]
    copies = {
        name: theirs[present]
        for names in tied
        for present in names
        if present in theirs
        for name in names
        if name not in theirs
    }
    return {**theirs, **copies}


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    for whole in _WHOLE:
        if (folder / whole).is_file():
            return _read_shard(folder / whole)
        index = folder / f"{whole}.index.json"
        if index.is_file():
            shards = _read_json(index).get("weight_map")
            if not isinstance(shards, dict) or not all(isinstance(n, str) for n in shards.values()):
                raise CheckpointError(f"{index} has no weight_map; get the folder again.")
            found: dict[str, Tensor] = {}
            for shard in sorted(set(shards.values())):
                # Shards lie beside their index; a path would let the file point anywhere.
                found |= _read_shard(folder / Path(shard).name)
            return found
    raise CheckpointError(f"{folder} has none of {', '.join(_WHOLE)} or their index; get the whole folder again.")


def _read_shard(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return tensor_file.read(path)
    content = load_dictionary(path)
    if not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{path} holds more than tensors; expected a shard of a Hugging Face model.")
    return dict(content)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); get the whole folder.") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged; get the folder again.") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} is damaged; get the folder again.")
    return values
