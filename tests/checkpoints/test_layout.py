import dataclasses
import json
import math

import pytest

from jukebox import presets
from jukebox.checkpoints import layout
from jukebox.nn.unallocated import unallocated
from jukebox.prior.prior import Prior
from tests.checkpoints import cases


@pytest.mark.parametrize(
    ("part", "manifest"),
    [
        ("5b/prior_level_0", "prior_level_0"),
        ("5b/prior_level_1", "prior_level_1"),
        ("5b/prior_level_2", "prior_level_2_5b"),
        ("5b_lyrics/prior_level_2", "prior_level_2_5b_lyrics"),
        ("1b_lyrics/prior_level_2", "prior_level_2_1b_lyrics"),
    ],
)
def test_released_priors_have_the_recorded_number_of_parameters(part, manifest):
    recorded = json.loads((cases.GOLDEN / "manifest" / f"{manifest}.json").read_text())
    shapes = layout.shapes(presets.part_config(part))
    assert sum(map(math.prod, shapes.values())) == recorded["unique_parameters"]


def test_released_vqvae_has_the_recorded_number_of_parameters():
    recorded = json.loads((cases.GOLDEN / "manifest" / "vqvae.json").read_text())
    shapes = layout.shapes(presets.vqvae_config("5b"))
    parameters = {name: shape for name, shape in shapes.items() if ".ema_" not in name}
    assert sum(map(math.prod, parameters.values())) == recorded["total_elements_in_state_dict"]


def test_rotary_positions_have_no_table():
    config = cases.unlabelled()
    rotary = dataclasses.replace(config, transformer=dataclasses.replace(config.transformer, position="rotary"))
    assert set(layout.shapes(config)) - set(layout.shapes(rotary)) == {"position_embedding.weight"}


def test_nothing_is_allocated():
    """The largest model, 22 GB, is described in memory that it would not fit into."""
    with unallocated():
        module = Prior(presets.part_config("5b_lyrics/prior_level_2"))
    assert all(tensor.is_meta for tensor in module.state_dict().values())


def test_a_tied_output_is_stored_once():
    assert "output.weight" not in layout.shapes(cases.joint_top())
    assert "output.weight" in layout.shapes(cases.encoder_top())


def test_the_joint_vocabulary_has_lyrics_and_codes():
    assert layout.shapes(cases.joint_top())["token_embedding.weight"] == (89, 8)
    assert layout.shapes(cases.encoder_top())["token_embedding.weight"] == (10, 8)
