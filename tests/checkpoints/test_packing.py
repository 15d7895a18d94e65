"""A packed model is the same model: its matrices rounded to half precision, its codes the same."""

from pathlib import Path

import pytest
import torch

from jukebox.checkpoints import packing, store
from jukebox.checkpoints.codes import codebook_fingerprint
from jukebox.checkpoints.load import load_prior, load_vqvae
from jukebox.errors import CheckpointError
from tests import mini


def test_a_packed_model_has_rounded_matrices_and_the_same_codebooks(tmp_path: Path) -> None:
    runs, output = mini.write_runs(tmp_path / "runs"), tmp_path / "packed"
    parts = packing.pack(runs, output)
    assert [part.folder.name for part in parts] == ["vqvae", "top", "middle", "bottom"]
    assert all(part.error < 2**-11 for part in parts)
    assert (output / store.SONG).read_text() == mini.SONG
    assert codebook_fingerprint(load_vqvae(output)) == codebook_fingerprint(load_vqvae(runs))
    for part, run in zip(parts, ("vqvae", "high", "middle", "low"), strict=True):
        packed, whole = store.verify(part.folder), store.load(runs / run / "model")
        assert part.size_bytes == sum(file.stat().st_size for file in part.folder.iterdir())
        for name, tensor in whole.tensors.items():
            matrix = tensor.ndim >= 2 and not name.endswith(".vectors")
            assert packed.tensors[name].dtype == (torch.float16 if matrix else torch.float32)
            assert packed.tensors[name].equal(tensor.half() if matrix else tensor)
    loaded = [load_vqvae(output), *(load_prior(output, level) for level in range(3))]
    assert {p.dtype for module in loaded for p in module.parameters()} == {torch.float32}


def test_what_cannot_be_packed_is_said(tmp_path: Path) -> None:
    runs = mini.write_runs(tmp_path / "runs")
    with pytest.raises(CheckpointError, match="holds no whole model"):
        packing.pack(runs / "vqvae", tmp_path / "packed")
    with pytest.raises(CheckpointError, match="holds no whole model"):
        packing.pack(tmp_path / "nowhere", tmp_path / "packed")
    found = store.load(runs / "high" / "model")
    tensors = {name: tensor.clone() for name, tensor in found.tensors.items()}
    tensors["token_embedding.weight"][0, 0] = 1e6
    store.save(runs / "high" / "model", tensors, found.config, source=found.source)
    with pytest.raises(CheckpointError, match="numbers that half precision does not hold"):
        packing.pack(runs, tmp_path / "packed")
