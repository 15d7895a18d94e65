"""A released model by its name: its published files, of small sizes here."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from jukebox import presets
from jukebox.cache import LABELS
from jukebox.checkpoints import openai
from jukebox.checkpoints.load import tiny_vqvae
from jukebox.errors import DeviceError
from jukebox.features import room
from jukebox.features.extractor import FeatureExtractor
from tests.checkpoints import cases
from tests.features.cases import sound


@pytest.fixture
def released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the files of a small 5b."""
    vqvae = tiny_vqvae()
    top = replace(cases.encoder_top(), codebook_size=64)
    priors = (*(replace(cases.upsampler(level), codebook_size=64) for level in (0, 1)), top)
    small = replace(presets.RELEASED["5b"], vqvae=vqvae.config, priors=priors)
    monkeypatch.setitem(presets.RELEASED, "5b", small)
    monkeypatch.setenv("JUKEBOX_CACHE", str(tmp_path))
    (tmp_path / LABELS).mkdir(parents=True)
    for name in ("artist", "genre"):
        (tmp_path / LABELS / f"v2_{name}_ids.txt").write_text("unknown;0\nsomebody;1\n")
    tensors = {name: tensor for name, tensor in vqvae.state_dict().items() if ".ema_" not in name}
    for file, config, values in (
        (small.files[0], small.vqvae, tensors),
        (small.files[3], top, cases.random_tensors(top)),
    ):
        (tmp_path / file.path).parent.mkdir(exist_ok=True)
        openai.write(tmp_path / file.path, config, values)
    return tmp_path


def test_by_its_name(released: Path) -> None:
    found = FeatureExtractor.load("5b", layers=(9, 3), windows=1, duration_s=0.1)
    assert found.description()["told_total_samples"] == 2_734_080  # as published
    frames = found(sound(0.2))
    assert {layer: frames[layer].shape for layer in (9, 3)} == dict.fromkeys((9, 3), (16, 8))
    assert all(bool(values.isfinite().all()) for values in frames.values())
    other = FeatureExtractor.load("5b", layers=(3,), windows=1, duration_s=0.1)
    assert torch.equal(other(sound(0.2))[3], frames[3])


def test_only_a_window_and_a_layer_need_room(released: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed, _ = room.needed_bytes(presets.RELEASED["5b"].priors[2], (3,), torch.float32)
    monkeypatch.setattr(room, "free_host_bytes", lambda: needed)
    FeatureExtractor.load("5b", layers=(3,))
    monkeypatch.setattr(room, "free_host_bytes", lambda: needed - 1)
    with pytest.raises(DeviceError, match=r"Features of 5b, layers 3, need .* of memory"):
        FeatureExtractor.load("5b", layers=(3,))
