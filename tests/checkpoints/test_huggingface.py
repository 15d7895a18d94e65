import json
from pathlib import Path

import pytest
import torch

from jukebox.checkpoints import huggingface, tensor_file
from jukebox.errors import CheckpointError
from tests.checkpoints import cases
from tests.checkpoints.test_openai import Evil


def parts(top=None):
    configs = {"vqvae": cases.VQVAE, "prior_level_2": top or cases.joint_top()}
    configs |= {f"prior_level_{level}": cases.upsampler(level) for level in (0, 1)}
    return {name: (config, cases.random_tensors(config)) for name, config in configs.items()}


@pytest.fixture
def folder(tmp_path) -> Path:
    huggingface.write(tmp_path / "hf", parts())
    return tmp_path / "hf"


@pytest.mark.parametrize("top", [cases.joint_top(), cases.encoder_top()])
def test_a_whole_model_comes_back_bit_for_bit(top, tmp_path):
    written = parts(top)
    huggingface.write(tmp_path / "hf", written)
    assert huggingface.is_layout(tmp_path / "hf")
    found = huggingface.read(tmp_path / "hf")
    assert set(found) == set(written)
    for name, (config, tensors) in written.items():
        cases.assert_same_model(found[name], config, tensors)


def test_a_vqvae_alone_comes_back(tmp_path):
    tensors = cases.random_tensors(cases.VQVAE)
    huggingface.write(tmp_path / "hf", {"vqvae": (cases.VQVAE, tensors)})
    cases.assert_same_model(huggingface.read(tmp_path / "hf")["vqvae"], cases.VQVAE, tensors)


def test_names_are_those_of_the_library(folder):
    found = set(tensor_file.read(folder / "model.safetensors"))
    assert {
        "vqvae.encoders.1.level_blocks.0.downsample_block.4.weight",
        "vqvae.encoders.1.level_blocks.0.downsample_block.5.resnet_block.0.conv1d_2.bias",
        "vqvae.encoders.1.level_blocks.1.proj_out.weight",
        "vqvae.decoders.1.level_blocks.1.proj_in.bias",
        "vqvae.decoders.1.level_blocks.0.upsample_block.4.resnet_block.0.conv1d_1.weight",
        "vqvae.decoders.1.level_blocks.0.upsample_block.5.weight",
        "vqvae.decoders.2.out.weight",
        "vqvae.bottleneck.level_blocks.2.codebook",
        "priors.0.metadata_embedding.bow_genre_emb.weight",
        "priors.0.metadata_embedding.relative_pos_emb.emb.weight",
        "priors.0.prior.pos_emb.pos_emb",
        "priors.0.prior.transformer._attn_mods.15.attn.c_attn.weight",
        "priors.0.prior.transformer._attn_mods.16.layer_norm_1.bias",
        "priors.0.prior.fc_proj_out.weight",
        "priors.1.conditioner_blocks.embed_tokens.weight",
        "priors.2.conditioner_blocks.upsampler.proj_in.weight",
        "priors.2.conditioner_blocks.upsampler.upsample_block.2.resnet_block.1.conv1d_1.weight",
        "priors.2.conditioner_blocks.upsampler.upsample_block.3.bias",
        "priors.2.conditioner_blocks.layer_norm.weight",
    } <= found
    # Nothing is outside the two prefixes, and the running sums of the codebooks are not part of the layout.
    assert all(name.startswith(("vqvae.", "priors.")) and "ema" not in name for name in found)


def test_pickle_shards_with_an_index_are_read(folder):
    tensors = tensor_file.read(folder / "model.safetensors")
    names = sorted(tensors)
    shards = {"pytorch_model-00001-of-00002.bin": names[::2], "pytorch_model-00002-of-00002.bin": names[1::2]}
    for shard, chosen in shards.items():
        torch.save({name: tensors[name].clone() for name in chosen}, folder / shard)
    weight_map = {name: shard for shard, chosen in shards.items() for name in chosen}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (folder / "model.safetensors").unlink()
    for name, part in huggingface.read(folder).items():
        cases.assert_same_model(part, *parts()[name])


def test_one_name_of_a_tied_matrix_is_enough(folder):
    tensors = tensor_file.read(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if not name.endswith("fc_proj_out.weight")}
    (folder / "model.safetensors").unlink()
    tensor_file.write(folder / "model.safetensors", kept)
    for name, part in huggingface.read(folder).items():
        cases.assert_same_model(part, *parts()[name])


def test_a_malicious_shard_is_refused_and_nothing_runs(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    torch.save({"a": Evil(tmp_path / "executed")}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="nothing in it was executed"):
        huggingface.read(folder)
    assert not (tmp_path / "executed").exists()


def test_an_index_cannot_point_elsewhere(folder, tmp_path):
    outside = tmp_path / "outside.safetensors"
    (folder / "model.safetensors").rename(outside)
    weight_map = {"vqvae.decoders.0.out.bias": "../outside.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(CheckpointError, match=r"hf/outside.safetensors does not exist"):
        huggingface.read(folder)


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("config.json", "{", "is damaged"),
        ("config.json", "[]", "is damaged"),
        ("config.json", '{"model_type": "jukebox"}', "lacks vqvae_config"),
        ("model.safetensors", "", "truncated or damaged"),
    ],
)
def test_damaged_files_are_named(folder, file, content, sentence):
    (folder / file).write_text(content)
    with pytest.raises(CheckpointError, match=sentence):
        huggingface.read(folder)


def test_missing_fields_and_files_are_named(folder):
    values = json.loads((folder / "config.json").read_text())
    del values["vqvae_config"]["embed_dim"]
    (folder / "config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="lacks 'embed_dim'"):
        huggingface.read(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"has none of model.safetensors"):
        huggingface.read(folder)


def test_what_the_layout_cannot_hold_is_refused(tmp_path, folder):
    with pytest.raises(CheckpointError, match="exists already"):
        huggingface.write(folder, parts())
    without_vqvae = {name: part for name, part in parts().items() if name != "vqvae"}
    with pytest.raises(CheckpointError, match="needs its VQ-VAE"):
        huggingface.write(tmp_path / "new", without_vqvae)
    without_top = {name: part for name, part in parts().items() if name != "prior_level_2"}
    with pytest.raises(CheckpointError, match="needs vqvae, prior_level_2"):
        huggingface.write(tmp_path / "new", without_top)
    assert not (tmp_path / "new").exists()
