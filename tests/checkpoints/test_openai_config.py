import dataclasses
import json

import pytest

from jukebox.checkpoints import openai_config
from jukebox.errors import CheckpointError
from tests.checkpoints import cases

MANIFEST = cases.GOLDEN / "manifest"
PRIORS = sorted(p.name.removesuffix(".hparams.json") for p in MANIFEST.glob("*prior*.hparams.json"))


def recorded(name: str) -> tuple[dict, dict]:
    hps = json.loads((MANIFEST / f"{name}.hparams.json").read_text())["hps"]
    keys = json.loads((MANIFEST / f"{name}.json").read_text())["keys"]
    return hps, {key: tuple(value["shape"]) for key, value in keys.items()}


@pytest.mark.parametrize("name", PRIORS)
def test_priors_there_and_back(name):
    hps, shapes = recorded(name)
    config = openai_config.prior_config(hps, shapes)
    written = openai_config.prior_hps(config)
    assert openai_config.prior_config(written, shapes) == config
    # What is written is what was recorded, wherever the recorded field is used by that model.
    same = {"attn_order", "blocks", "heads", "n_ctx", "prior_width", "prior_depth", "n_tokens", "level", "init_scale"}
    assert {key: written[key] for key in same} == {key: hps[key] for key in same}


def test_the_vqvae_there_and_back():
    hps = json.loads((MANIFEST / "vqvae.hparams.json").read_text())["hps"]
    config = openai_config.vqvae_config(hps)
    written = openai_config.vqvae_hps(config)
    assert openai_config.vqvae_config(written) == config
    assert all(
        hps[key] == (list(value) if isinstance(value, tuple) else value)
        for key, value in written.items()
        if key != "use_bottleneck"
    )


def test_a_missing_field_is_named():
    hps = dict(cases.golden_hps()["vqvae"]["hps"])
    del hps["emb_width"]
    with pytest.raises(CheckpointError, match=r"lack 'emb_width'; say what it is with .* --config"):
        openai_config.vqvae_config(hps)


def test_switches_that_no_model_uses_are_refused():
    hps, shapes = recorded("prior_level_2_5b")
    with pytest.raises(CheckpointError, match="y_cond_as_bias"):
        openai_config.prior_config(hps | {"y_cond_as_bias": True}, shapes)


def test_what_the_original_cannot_express_is_refused():
    with pytest.raises(CheckpointError, match="2 channels"):
        openai_config.vqvae_hps(dataclasses.replace(cases.VQVAE, channels=2))
    with pytest.raises(CheckpointError, match="one switch for both"):
        openai_config.prior_hps(dataclasses.replace(cases.joint_top(), recondition=False))
    for change in ({"position": "rotary"}, {"query_key_norm": True}):
        transformer = dataclasses.replace(cases.joint_top().transformer, heads=1, **change)
        with pytest.raises(CheckpointError, match="published layouts do not know"):
            openai_config.prior_hps(dataclasses.replace(cases.joint_top(), transformer=transformer))
    labels = dataclasses.replace(cases.joint_top().labels, everywhere=True)
    with pytest.raises(CheckpointError, match=r"labels\.everywhere=True, which the published layouts do not know"):
        openai_config.prior_hps(dataclasses.replace(cases.joint_top(), labels=labels))
