"""A packed model is the same model: its matrices rounded to half precision, its codes the same."""

from pathlib import Path

import pytest
import torch

from jukebox.checkpoints import packing, store
from jukebox.checkpoints.codes import codebook_fingerprint
from jukebox.checkpoints.load import load_prior, load_vqvae
from jukebox.errors import CheckpointError
from jukebox.nn.quantised import Linear4, Linear8, Reduced, widen
from jukebox.prior.prior import Prior
from tests import mini


def test_a_packed_model_has_rounded_matrices_and_the_same_codebooks(tmp_path: Path) -> None:
    runs, output = mini.write_runs(tmp_path / "runs"), tmp_path / "packed"
    parts = packing.pack(packing.parts_in(runs), output)
    assert [part.folder.name for part in parts] == ["vqvae", "top", "middle", "bottom"]
    assert all(part.error < 2**-11 for part in parts)
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
    for place in (runs / "vqvae", tmp_path / "nowhere"):
        with pytest.raises(CheckpointError, match="no whole model to be packed"):
            packing.pack(packing.parts_in(place), tmp_path / "packed")
    found = store.load(runs / "high" / "model")
    tensors = {name: tensor.clone() for name, tensor in found.tensors.items()}
    tensors["token_embedding.weight"][0, 0] = 1e6
    store.save(runs / "high" / "model", tensors, found.config, source=found.source)
    with pytest.raises(CheckpointError, match="numbers that half precision does not hold"):
        packing.pack(packing.parts_in(runs), tmp_path / "packed")


@pytest.mark.parametrize("bits", [8, 4])
def test_matrices_in_few_bits_are_kept_as_they_are(bits: int, tmp_path: Path) -> None:
    """What is loaded computes what was packed; made whole it computes the same; it is neither packed nor trained."""
    packed: dict[int, Prior] = {}

    def reduce(prior: Prior) -> None:
        prior.reduce(8 if bits == 8 else 4)
        packed[prior.config.level] = prior

    output = tmp_path / "packed"
    found = packing.pack(packing.parts_in(mini.write_runs(tmp_path / "runs")), output, reduce)
    assert 2**-9 < max(part.error for part in found) < 2 ** (1 - bits)
    for level in range(3):
        loaded = load_prior(output, level, dtype=torch.bfloat16)
        assert loaded.config.matrix_bits == bits
        expected, state = packed[level].state_dict(), loaded.state_dict()
        assert any(isinstance(module, Linear8 if bits == 8 else Linear4) for module in loaded.transformer.modules())
        for name, module in loaded.named_modules():
            if isinstance(module, Reduced):
                assert module.bias is not None
                assert module.bias.dtype == torch.bfloat16
                for part in ("weight", *module.steps):
                    assert state[f"{name}.{part}"].dtype == expected[f"{name}.{part}"].dtype
                    assert state[f"{name}.{part}"].equal(expected[f"{name}.{part}"])
        whole, same = load_prior(output, level), load_prior(output, level)
        x = torch.randn(1, 6, whole.config.transformer.width)
        widen(same.transformer)
        assert not any(isinstance(module, Reduced) for module in same.modules())
        with torch.no_grad():
            torch.testing.assert_close(whole.transformer(x).hidden, same.transformer(x).hidden, atol=1e-5, rtol=1e-5)
    with pytest.raises(CheckpointError, match=f"bottom has its matrices in {bits} bits.* cannot be packed"):
        packing.pack(packing.parts_in(output), tmp_path / "again")
    assert not (tmp_path / "again").exists()
