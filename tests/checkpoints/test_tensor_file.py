import hashlib
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from jukebox.checkpoints import files, tensor_file
from jukebox.errors import CheckpointError

DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 5), max_size=3)), max_size=6))
def test_what_is_written_is_read(tmp_path_factory, described):
    path = tmp_path_factory.mktemp("tensors") / "model.safetensors"
    tensors = {f"t{i}": (torch.rand(shape) * 9).to(dtype) for i, (dtype, shape) in enumerate(described)}
    digest = tensor_file.write(path, tensors)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest() == files.sha256(path)
    for found in (tensor_file.read(path), load_file(path)):
        assert found.keys() == tensors.keys()
        for name, tensor in tensors.items():
            assert found[name].dtype == tensor.dtype
            assert found[name].equal(tensor)


def test_views_are_written_as_what_they_show(tmp_path):
    matrix = torch.arange(6.0).reshape(2, 3)
    tensor_file.write(tmp_path / "m", {"turned": matrix.mT, "tied": matrix[0], "again": matrix[0]})
    assert tensor_file.read(tmp_path / "m")["turned"].equal(matrix.mT)


def test_tensors_stay_usable_and_private_after_reading(tmp_path):
    tensor_file.write(tmp_path / "m", {"a": torch.zeros(4)})
    before = (tmp_path / "m").read_bytes()
    tensor_file.read(tmp_path / "m")["a"].add_(1)
    assert (tmp_path / "m").read_bytes() == before


def test_progress_counts_bytes(tmp_path):
    seen = []
    tensor_file.write(tmp_path / "m", {"a": torch.zeros(4), "b": torch.zeros(2)}, lambda *now: seen.append(now))
    assert seen == [(16, 24), (24, 24)]


@pytest.mark.parametrize("keep", [0, 7, 30, -1])
def test_truncated_files_are_refused(keep, tmp_path):
    path = tmp_path / "m"
    tensor_file.write(path, {"a": torch.zeros(64)})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="truncated or damaged"):
        tensor_file.read(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        tensor_file.read(tmp_path / "none")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux says what a process holds")
def test_a_large_tensor_is_let_go_without_the_others(tmp_path):
    """So that a model which replaces its matrices one by one never holds all of both."""

    def mappings():
        return Path("/proc/self/maps").read_text().count(str(tmp_path))

    tensors = {name: torch.full((1 << 16,), float(index)) for index, name in enumerate("abcd")}
    tensor_file.write(tmp_path / "m", tensors | {"small": torch.ones(3), "other": torch.ones(5)})
    found = tensor_file.read(tmp_path / "m")
    assert mappings() == 5
    del found["b"], found["small"]
    assert mappings() == 4
    assert all(tensor.equal(tensors[name]) for name, tensor in found.items() if name in tensors)
    found.clear()
    assert mappings() == 0


def test_a_file_that_is_replaced_meanwhile_does_not_become_half_of_either(tmp_path, monkeypatch):
    for name, value in (("m", 0.0), ("next", 1.0)):
        tensor_file.write(tmp_path / name, {each: torch.full((1 << 16,), value) for each in "abcd"})

    def groups(tensors):
        (tmp_path / "next").replace(tmp_path / "m")
        return [[name] for name in tensors]

    monkeypatch.setattr(tensor_file, "_groups", groups)
    with pytest.raises(CheckpointError, match="was replaced while it was read; do it again"):
        tensor_file.read(tmp_path / "m")
