import collections
import os
import pickle
from pathlib import Path

import pytest
import torch

from jukebox.checkpoints import openai
from jukebox.errors import CheckpointError
from tests.checkpoints import cases

MODELS = [cases.VQVAE, cases.upsampler(1), cases.joint_top(), cases.encoder_top(), cases.unlabelled()]


class Evil:
    """Unpickling it freely would create a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("name", cases.NAMES)
def test_recorded_files_come_back_bit_for_bit(name, tmp_path):
    imported = cases.golden(name)
    path = tmp_path / "again.pth.tar"
    openai.write(path, imported.config, imported.tensors, step=imported.source["step"])
    again = openai.read(path)
    cases.assert_same_model(again, imported.config, dict(imported.tensors))
    assert again.source["step"] == imported.source["step"]


@pytest.mark.parametrize("name", cases.NAMES)
def test_an_export_has_the_recorded_names_and_values(name, tmp_path):
    imported = cases.golden(name)
    path = tmp_path / "again.pth.tar"
    openai.write(path, imported.config, imported.tensors)
    recorded = openai.load_dictionary(cases.golden_path(name))["model"]
    written = openai.load_dictionary(path)["model"]
    assert set(written) == {key.removeprefix("module.") for key in recorded}
    assert all(written[key.removeprefix("module.")].equal(value) for key, value in recorded.items())


@pytest.mark.parametrize("serialisation", ["legacy", "zip"])
@pytest.mark.parametrize("config", MODELS)
def test_every_kind_of_model_comes_back_bit_for_bit(config, serialisation, tmp_path):
    tensors = cases.random_tensors(config)
    path = tmp_path / "model.pth.tar"
    openai.write(path, config, tensors, serialisation=serialisation)
    cases.assert_same_model(openai.read(path), config, tensors)


def test_half_precision_is_told_to_the_original(tmp_path):
    path = tmp_path / "model.pth.tar"
    openai.write(path, cases.encoder_top(), cases.random_tensors(cases.encoder_top()))
    assert openai.load_dictionary(path)["hps"]["fp16_params"] is True


def test_the_conditioner_may_be_spelt_either_way(tmp_path):
    config, path = cases.upsampler(0), tmp_path / "model.pth.tar"
    tensors = cases.random_tensors(config)
    openai.write(path, config, tensors)
    content = dict(openai.load_dictionary(path))
    content["model"] = {f"module.{k}".replace(".blocks.", ".model."): v for k, v in content["model"].items()}
    assert any(".0.model.0.model.1." in name for name in content["model"])
    torch.save(content, path)
    cases.assert_same_model(openai.read(path), config, tensors)


@pytest.mark.parametrize("zip_format", [True, False])
@pytest.mark.parametrize("where", ["beside", "inside"])
def test_a_file_that_asks_for_code_is_refused_and_nothing_runs(zip_format, where, tmp_path):
    marker, path = tmp_path / "executed", tmp_path / "evil.pth.tar"
    content = dict(torch.load(cases.golden_path("vqvae"), weights_only=True))
    content |= {"opt": Evil(marker)} if where == "beside" else {"model": Evil(marker)}
    torch.save(content, path, _use_new_zipfile_serialization=zip_format)
    with pytest.raises(CheckpointError, match="refused and nothing in it was executed") as refusal:
        openai.read(path)
    assert "mkdir" in str(refusal.value)
    assert not marker.exists()


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_bare_malicious_pickle_is_refused(protocol, tmp_path):
    marker, path = tmp_path / "executed", tmp_path / "evil.pth.tar"
    path.write_bytes(pickle.dumps(Evil(marker), protocol=protocol))
    with pytest.raises(CheckpointError):
        openai.read(path)
    assert not marker.exists()


def test_a_harmless_foreign_class_is_refused_too(tmp_path):
    path = tmp_path / "counter.pth.tar"
    torch.save({"model": {}, "hps": collections.deque([1])}, path)
    with pytest.raises(CheckpointError, match=r"asks for 'collections.deque'"):
        openai.read(path)


@pytest.mark.parametrize("name", ["vqvae", "vqvae_zip_format"])
@pytest.mark.parametrize("keep", [0, 3, 100, 0.2, 0.7, 0.999])
def test_truncated_files_are_refused(name, keep, tmp_path):
    whole = cases.golden_path(name).read_bytes()
    path = tmp_path / "cut.pth.tar"
    path.write_bytes(whole[: int(len(whole) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(CheckpointError):
        openai.read(path, cases.golden(name).config)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([1, 2], "holds a list"),
        ({"step": 1}, "holds no 'model'"),
        ({"model": {"a": 1}}, "holds no 'model' with tensors"),
        ({"model": {"a": torch.zeros(1)}}, "carries no hyper-parameters; say what it is with .* --config"),
    ],
)
def test_other_contents_are_named(content, sentence, tmp_path):
    path = tmp_path / "other.pth.tar"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=sentence):
        openai.read(path)


def test_another_models_configuration_is_refused():
    with pytest.raises(CheckpointError, match="does not belong to its configuration"):
        openai.read(cases.golden_path("vqvae_module_prefix"), cases.upsampler(0))


def test_missing_files_and_folders_are_named(tmp_path):
    for path in (tmp_path / "none.pth.tar", tmp_path):
        with pytest.raises(CheckpointError, match="cannot be read"):
            openai.read(path)


def test_nothing_is_left_when_writing_fails(tmp_path, monkeypatch):
    path = tmp_path / "model.pth.tar"
    path.write_bytes(b"old")

    def fail(content, file, **options):
        Path(file).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(KeyboardInterrupt):
        openai.write(path, cases.VQVAE, cases.random_tensors(cases.VQVAE))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_running_sums_begin_at_the_vectors():
    tensors = cases.golden("vqvae").tensors
    assert tensors["codebooks.1.ema_sum"].equal(tensors["codebooks.1.vectors"])
    assert tensors["codebooks.1.ema_count"].unique().tolist() == [1.0]
