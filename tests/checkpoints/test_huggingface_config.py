import dataclasses

import pytest

from jukebox import presets
from jukebox.checkpoints import huggingface, huggingface_config, layout
from jukebox.checkpoints.names import foreign_shapes
from jukebox.errors import CheckpointError
from tests.checkpoints import cases


@pytest.mark.parametrize("name", list(presets.RELEASED))
def test_released_models_there_and_back(name):
    released = presets.model(name)
    values = huggingface_config.model_values(released.vqvae, released.priors[::-1])
    assert huggingface_config.vqvae_config(values["vqvae_config"]) == released.vqvae
    for config, prior in zip(released.priors[::-1], values["prior_config_list"], strict=True):
        shapes = foreign_shapes(layout.shapes(config), huggingface.name_table(config))
        assert huggingface_config.prior_config(prior, config.level, shapes) == config


def test_the_library_is_told_to_mask_the_future():
    released = presets.model("5b_lyrics")
    values = huggingface_config.model_values(released.vqvae, released.priors[::-1])
    assert all(prior["mask"] for prior in values["prior_config_list"])
    assert values["prior_config_list"][0]["encoder_config"]["mask"]


def test_what_the_layout_cannot_express_is_refused():
    odd = dataclasses.replace(cases.VQVAE, reverse_decoder_dilation=False)
    with pytest.raises(CheckpointError, match="reversed dilation"):
        huggingface_config.vqvae_values(odd)
    transformer = dataclasses.replace(cases.unlabelled().transformer, attention="CR", rows=4)
    prior = dataclasses.replace(cases.unlabelled(), transformer=transformer)
    with pytest.raises(CheckpointError, match="'CR' has no name"):
        huggingface_config.model_values(cases.VQVAE, [prior])
    with pytest.raises(CheckpointError, match="one switch for both"):
        huggingface_config.model_values(cases.VQVAE, [dataclasses.replace(cases.joint_top(), recondition=False)])
    labels = dataclasses.replace(cases.joint_top().labels, everywhere=True)
    with pytest.raises(CheckpointError, match=r"labels\.everywhere=True, which the published layouts do not know"):
        huggingface_config.model_values(cases.VQVAE, [dataclasses.replace(cases.joint_top(), labels=labels)])


def test_unknown_attention_is_named():
    values = huggingface_config.model_values(cases.VQVAE, [cases.joint_top()])["prior_config_list"][0]
    with pytest.raises(CheckpointError, match="names attention 'new'"):
        huggingface_config.prior_config(values | {"attention_pattern": "new"}, 2, {})
