import json
from pathlib import Path

import pytest

from jukebox import presets
from jukebox.errors import ConfigError

MANIFEST = Path(__file__).parent / "golden" / "manifest"


def test_hops():
    assert presets.vqvae_config("5b").hops == (8, 32, 128)
    assert presets.vqvae_config("tiny").hops == (8, 32, 128)
    assert presets.vqvae_config("small_vqvae").hops == (32, 256)


@pytest.mark.parametrize(
    ("name", "manifest"),
    [("5b", "prior_level_2_5b"), ("5b_lyrics", "prior_level_2_5b_lyrics"), ("1b_lyrics", "prior_level_2_1b_lyrics")],
)
def test_top_priors_have_the_recorded_attention(name, manifest):
    recorded = json.loads((MANIFEST / f"{manifest}.hparams.json").read_text())
    top = presets.model(name).priors[2]
    assert top.transformer.attention == "".join("DRCPETXL"[kind] for kind in recorded["attn_funcs"])
    assert top.codes_context == recorded["n_ctx"]
    assert top.transformer.attention_width == recorded["n_state"]
    assert top.recondition == recorded["add_cond_after_transformer"]
    assert top.tied_output == recorded["share_x_emb_x_out"]
    assert top.lyrics is None or top.lyrics.alignment_layer == recorded["alignment_layer"]


@pytest.mark.parametrize("name", list(presets.RELEASED))
def test_every_model_has_a_prior_a_file_and_lists_for_each_level(name):
    released = presets.model(name)
    assert released.name == name
    assert [prior.level for prior in released.priors] == list(range(released.vqvae.levels))
    assert len(released.files) == len(released.priors) + 1
    assert len(released.vocabularies) == len(released.hop_fractions) == len(released.temperatures) == 3
    assert {file.path[:2] for file in released.label_lists} == set(released.vocabularies)
    assert presets.part_config("5b/vqvae") == released.vqvae
    assert presets.part_config(released.files[3].path.removesuffix(".pth.tar")) == released.priors[2]


@pytest.mark.parametrize("find", [presets.model, presets.vqvae_config, presets.part_config])
def test_unknown_names_list_the_known_ones(find):
    with pytest.raises(ConfigError, match=r"The names are .*5b"):
        find("nonsense")


def test_a_close_name_is_suggested():
    with pytest.raises(ConfigError, match="did you mean '5b_lyrics'"):
        presets.model("5b-lyrics")
