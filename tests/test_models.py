"""What a released model in the cache is, and the folder that is packed from it: the same names, the same codes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from jukebox import presets
from jukebox.checkpoints import openai, packing
from jukebox.checkpoints.load import tiny_vqvae
from jukebox.errors import LabelError
from jukebox.labels.labels import Labels
from jukebox.models import find, parts_to_pack
from jukebox.pipeline import load
from jukebox.prior.initialise import new_prior
from tests.sampling import models

LISTS = {"v2_artist": "ada;1\n", "v2_genre": "march;1\nslow;2\n", "v3_artist": "ada;1\nbo;2\n", "v3_genre": "march;1\n"}


@pytest.fixture
def released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A small model of which everything a released one consists of is in the cache."""
    cache, vqvae = tmp_path / "cache", tiny_vqvae()
    monkeypatch.setenv("JUKEBOX_CACHE", str(cache))
    (cache / "labels").mkdir(parents=True)
    for name, text in LISTS.items():
        (cache / "labels" / f"{name}_ids.txt").write_text(text)
    priors = []
    files = [presets.ReleasedFile(path="small/vqvae.pth.tar", about_bytes=1)]
    openai.write(cache / files[0].path, vqvae.config, vqvae.state_dict())
    for config in models.SHORT:
        assert config.labels is not None
        context = 8 if config.lyrics else config.transformer.context
        told = replace(
            config,
            labels=replace(config.labels, artists=3, genres=3),
            lyrics=None,  # of prefixed ones the original has orders of 72 layers alone
            transformer=replace(config.transformer, context=context, attention="RCP"),
        )
        files.append(presets.ReleasedFile(path=f"small/prior_level_{config.level}.pth.tar", about_bytes=1))
        prior = new_prior(told, torch.Generator().manual_seed(config.level))
        openai.write(cache / files[-1].path, told, prior.state_dict())
        priors.append(told)
    model = presets.ReleasedModel(
        name="small", description="", vqvae=vqvae.config, priors=tuple(priors), files=tuple(files),
        vocabularies=("v2", "v2", "v3"),
    )  # fmt: skip
    monkeypatch.setitem(presets.RELEASED, "small", model)
    return "small"


def test_a_packed_released_model_is_the_same_model(released: str, tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    parts = packing.pack(parts_to_pack(released), packed)
    assert [part.folder.name for part in parts] == ["vqvae", "top", "middle", "bottom"]
    before, after = find(released).model, find(str(packed)).model
    for level in range(3):
        told, known = after.level(level).words, before.level(level).words
        assert told is not None
        assert known is not None
        assert told.vocabulary == known.vocabulary
        assert after.level(level).forgiving == before.level(level).forgiving == (level < 2)
        assert after.level(level).hop_fraction == before.level(level).hop_fraction
    # The upsamplers' list lacks Bo: he is unknown to them, and nobody is to the top prior.
    songs = [
        load(name, "cpu").generate(Labels(artist="bo", genre="march"), seconds=0.02) for name in (released, str(packed))
    ]
    for level in range(3):
        assert torch.equal(songs[0].codes[level], songs[1].codes[level])
    with pytest.raises(LabelError, match="artist 'cy' is not in the list"):
        load(str(packed), "cpu").generate(Labels(artist="cy", genre="march"), seconds=0.02)
