import shutil
from pathlib import Path

import pytest
import torch

from jukebox import presets
from jukebox.checkpoints import huggingface, load, openai, store
from jukebox.errors import CheckpointError, ConfigError
from jukebox.nn.packed import PackedLinear
from tests.checkpoints import cases
from tests.prior import models as priors
from tests.sampling import test_engine as engines


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("JUKEBOX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def saved(folder):
    imported = cases.golden("vqvae")
    store.save(folder, imported.tensors, imported.config, source=imported.source)
    return imported


def same(module, tensors):
    found = module.state_dict()
    return found.keys() == tensors.keys() and all(found[name].equal(tensor) for name, tensor in tensors.items())


def test_every_form_of_one_model_loads_the_same(tmp_path):
    imported = saved(tmp_path / "models" / "vqvae")
    content = {"vqvae": (imported.config, imported.tensors)}
    huggingface.write(tmp_path / "hf", content)
    for place in (tmp_path / "models" / "vqvae", tmp_path / "models", tmp_path / "hf", cases.golden_path("vqvae")):
        module = load.load_vqvae(place)
        assert same(module, imported.tensors)
        assert not module.training
        assert not any(tensor.is_meta for tensor in module.state_dict().values())


def test_loading_copies_nothing(tmp_path):
    imported = saved(tmp_path / "vqvae")
    module = load.build_vqvae(imported.config, imported.tensors)
    assert all(tensor.data_ptr() == imported.tensors[n].data_ptr() for n, tensor in module.state_dict().items())


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux says what a process holds")
def test_a_packed_prior_lets_go_of_its_file(tmp_path):
    """Neither biases nor embeddings keep the matrices of the file in memory; where none was packed all stay there."""

    def holds_file():
        return str(tmp_path) in Path("/proc/self/maps").read_text()

    for half in (True, False):
        folder = tmp_path / str(half)
        store.save(folder, engines.prior(priors.ENCODER, half).state_dict(), priors.ENCODER, source={"origin": "test"})
        prior = load.load_prior(folder)
        assert holds_file()
        prior.pack()
        assert holds_file() == (not any(isinstance(module, PackedLinear) for module in prior.modules()))
        del prior
        assert not holds_file()


def test_tiny_is_always_the_same_and_codes_differ():
    first, second = load.load_vqvae("tiny"), load.load_vqvae("tiny")
    assert same(first, dict(second.state_dict()))
    assert presets.vqvae_config("tiny").hops == (8, 32, 128)
    noise = torch.randn(1, 1, 4096, generator=torch.Generator().manual_seed(0)) / 4
    assert all(codes.unique().numel() > 4 for codes in first.encode(noise))


def test_a_released_name_is_looked_up_in_the_cache(cache):
    with pytest.raises(CheckpointError, match="run `jukebox weights download 5b --parts vqvae`"):
        load.load_vqvae("5b")
    path = cache / "5b" / "vqvae.pth.tar"
    path.parent.mkdir(parents=True)
    config = presets.vqvae_config("5b")
    openai.write(path, config, dict(load.build_vqvae(config, cases.random_tensors(config)).state_dict()))
    assert load.load_vqvae("5b").state_dict().keys() == load.load_vqvae("1b_lyrics").state_dict().keys()


def test_names_and_paths_that_are_not_there_are_told_apart(tmp_path):
    with pytest.raises(ConfigError, match="did you mean '5b_lyrics'"):
        load.load_vqvae("5b_lyric")
    with pytest.raises(CheckpointError, match="does not exist"):
        load.load_vqvae(tmp_path / "none")
    with pytest.raises(CheckpointError, match="holds no model"):
        load.load_vqvae(tmp_path)


def test_a_prior_is_not_a_vqvae():
    with pytest.raises(CheckpointError, match="holds no VQ-VAE"):
        load.load_vqvae(cases.golden_path("prior"))


def test_several_parts_are_found_in_one_folder(tmp_path):
    saved(tmp_path / "all" / "vqvae")
    prior = cases.golden("prior")
    store.save(tmp_path / "all" / "prior_level_2", prior.tensors, prior.config, source={})
    shutil.copy(cases.CHECKPOINTS / "config.json", tmp_path / "all" / "notes.json")
    assert set(load.read_parts(tmp_path / "all")) == {"vqvae", "prior_level_2"}


def test_every_form_of_one_prior_loads_the_same(tmp_path):
    imported = cases.golden("prior")
    store.save(tmp_path / "models" / "prior_level_2", imported.tensors, imported.config, source={})
    saved(tmp_path / "models" / "vqvae")
    for place in (tmp_path / "models" / "prior_level_2", tmp_path / "models", cases.golden_path("prior")):
        module = load.load_prior(place)
        assert same(module, imported.tensors)
        assert not module.training


def test_loading_a_prior_copies_only_what_has_another_type():
    config = cases.encoder_top()
    tensors = cases.random_tensors(config)
    module = load.build_prior(config, tensors)
    for name, tensor in module.state_dict().items():
        assert tensor.dtype == torch.float32
        assert (tensor.data_ptr() == tensors[name].data_ptr()) == (tensors[name].dtype == torch.float32), name
    half = load.build_prior(config, tensors, torch.bfloat16).state_dict()
    assert {tensor.dtype for tensor in half.values()} == {torch.bfloat16}


def test_a_level_is_chosen(tmp_path, cache):
    for config in (cases.upsampler(0), cases.upsampler(1), cases.joint_top()):
        store.save(tmp_path / f"prior_level_{config.level}", cases.random_tensors(config), config, source={})
    assert [load.load_prior(tmp_path, level).config.level for level in (0, 1, 2, None)] == [0, 1, 2, 2]
    with pytest.raises(CheckpointError, match="no prior of level 3; it holds those of levels 0, 1, 2"):
        load.load_prior(tmp_path, 3)
    with pytest.raises(CheckpointError, match="holds no prior: name the folder"):
        load.load_prior(cases.golden_path("vqvae"))
    with pytest.raises(CheckpointError, match=r"prior_level_2 of 1b_lyrics is not in .* --parts prior_level_2"):
        load.load_prior("1b_lyrics")
    with pytest.raises(CheckpointError, match="5b has no prior_level_4"):
        load.load_prior("5b", 4)
