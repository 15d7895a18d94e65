import re

import pytest
import torch

from jukebox.checkpoints import huggingface, layout, openai
from jukebox.checkpoints.names import (
    Place,
    Rule,
    check_shapes,
    foreign_shapes,
    linear,
    plain,
    shapes_of,
    table,
    to_ours,
    to_theirs,
)
from jukebox.errors import CheckpointError
from tests.checkpoints import cases

MODELS = [cases.VQVAE, cases.upsampler(1), cases.joint_top(), cases.encoder_top(), cases.unlabelled()]


def test_templates_do_arithmetic_on_numbers():
    rules = [Rule("a.{I}.b.{J}", "x.{I+1}.{2I}.{2I+1}.{J}")]
    assert table(["a.3.b.10"], rules) == {"a.3.b.10": (Place("x.4.6.7.10", False),)}


def test_a_dot_in_a_template_is_only_a_dot():
    assert table(["aXb"], [Rule("a.b", "c")]) == {}


def test_matrices_are_turned_and_vectors_are_not():
    places = table(["m.weight", "m.bias"], linear("m", "their", "w", "b"))
    ours = {"m.weight": torch.randn(2, 3), "m.bias": torch.randn(2)}
    theirs = to_theirs(ours, places)
    assert shapes_of(theirs) == {"their.w": (3, 2), "their.b": (2,)}
    assert foreign_shapes(shapes_of(ours), places) == shapes_of(theirs)


@pytest.mark.parametrize("format_table", [openai.name_table, huggingface.name_table])
@pytest.mark.parametrize("config", MODELS)
def test_there_and_back_is_the_identity(config, format_table):
    tensors = cases.random_tensors(config)
    places = format_table(config)
    theirs = to_theirs(tensors, places)
    assert openai.add_running_sums(to_ours(theirs, places, "here")).keys() == tensors.keys()
    assert all(tensor.equal(tensors[name]) for name, tensor in to_ours(theirs, places, "here").items())
    assert shapes_of(theirs) == foreign_shapes(layout.shapes(config), places)


@pytest.mark.parametrize("format_table", [openai.name_table, huggingface.name_table])
@pytest.mark.parametrize("config", MODELS)
def test_every_name_has_a_place_but_the_running_sums(config, format_table):
    without = set(layout.shapes(config)) - set(format_table(config))
    assert all(re.fullmatch(r"codebooks\.\d\.ema_(sum|count)", name) for name in without)


def test_two_copies_of_a_tied_matrix_must_agree():
    places = table(["a.weight"], [*plain("a", "x")[:1], *plain("a", "y")[:1]])
    same = torch.randn(2, 2)
    assert to_ours({"x.weight": same, "y.weight": same.clone()}, places, "here")["a.weight"].equal(same)
    with pytest.raises(CheckpointError, match=r"different values in 'x.weight' and 'y.weight'"):
        to_ours({"x.weight": same, "y.weight": same + 1}, places, "here")


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ({"a": (1,)}, "lacks 1 tensors"),
        ({"a": (1,), "b": (2, 3), "c": (1,)}, "has 1 unknown tensors"),
        ({"a": (1,), "b": (3, 2)}, r"'b' with shape \[3, 2\]; expected \[2, 3\]"),
    ],
)
def test_what_does_not_fit_is_named(found, sentence):
    check_shapes({"a": (1,), "b": (2, 3)}, {"a": (1,), "b": (2, 3)}, "here")
    with pytest.raises(CheckpointError, match=sentence):
        check_shapes(found, {"a": (1,), "b": (2, 3)}, "here")
